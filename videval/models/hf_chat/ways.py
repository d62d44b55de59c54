"""What data cannot say of a family: the functions that entries of `videval.models.families` name.

- one for `shapes` has the signature of `videval.models.hf_chat.seen.shapes_of`;
- one for `told` is given the processor and the clips that are shown as videos, and returns what the processor is told
  beyond the rest, as `{"videos_kwargs": {...}}`.
"""

from collections.abc import Callable, Mapping, Sequence
from math import isqrt
from typing import Any

from videval.errors import ModelFailure
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


def _molmo2(made: Mapping[str, Any], processor: Any, shown: Sequence[Visual]) -> list[Shape]:
    """Frames are squares of patches, and so is an image as a whole: its crops are not counted."""
    if len({visual.kind for visual in shown}) > 1:
        raise ModelFailure("Molmo2 takes a video or images with a question, not both")
    is_video = "video_grids" in made
    of, pixels = ("video_processor", "pixel_values_videos") if is_video else ("image_processor", "pixel_values")
    patches = isqrt(made[pixels].shape[1])
    side = patches * int(getattr(processor, of).patch_size)
    counts = made["video_grids"][:, 0].tolist() if is_video else [1] * len(shown)
    return [Shape(frames=n, height=side, width=side, grid=(n, patches, patches)) for n in counts]


SHAPES: Mapping[str, Shapes] = {"molmo2": _molmo2}
TOLD: Mapping[str, Told] = {}
