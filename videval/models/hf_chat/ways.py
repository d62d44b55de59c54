"""What data cannot say of a family: the functions that entries of `videval.models.families` name.

- one for `shapes` has the signature of `videval.models.hf_chat.seen.shapes_of`;
- one for `told` is given the processor and the clips that are shown as videos, and returns what the processor is told
  beyond the rest, as `{"videos_kwargs": {...}}`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from videval.models.families import Family
from videval.models.hf_chat.messages import Visual
from videval.models.hf_chat.seen import Shape, shapes_of
from videval.types import Clip

__all__ = ["shapes_way", "told_way"]

Shapes = Callable[[Mapping[str, Any], Any, Sequence[Visual]], list[Shape]]
Told = Callable[[Any, Sequence[Clip]], Mapping[str, Mapping[str, Any]]]


def shapes_way(family: Family) -> Shapes:
    """How the shapes of what is shown are read back for a family."""
    return SHAPES[family.shapes] if family.shapes else shapes_of


def told_way(family: Family) -> Told:
    """What else a family's processor is told."""
    return TOLD[family.told] if family.told else _nothing


def _nothing(processor: Any, clips: Sequence[Clip]) -> Mapping[str, Mapping[str, Any]]:
    return {}


SHAPES: Mapping[str, Shapes] = {}
TOLD: Mapping[str, Told] = {}
