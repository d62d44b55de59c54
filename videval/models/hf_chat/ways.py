"""What data cannot say of a family: the functions that entries of `videval.models.families` name.

- one for `seen` has the signature of `videval.models.hf_chat.seen.shapes_of`, the general rule;
- one for `asked` is given the processor and the clips that are shown as videos, and returns what the processor is told
  beyond the rest, as `{"videos_kwargs": {...}}`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from videval.errors import ModelFailure
from videval.models.families import Family
from videval.models.hf_chat.messages import Visual
from videval.models.hf_chat.seen import Shape, shapes_of
from videval.types import Clip

__all__ = ["asked_way", "seen_way"]

SeenWay = Callable[[Mapping[str, Any], Any, Sequence[Visual]], list[Shape]]
Asked = Callable[[Any, Sequence[Clip]], Mapping[str, Mapping[str, Any]]]


def seen_way(family: Family) -> SeenWay:
    """How the shapes of what is shown are read back for a family."""
    return SEEN[family.seen] if family.seen else shapes_of


def asked_way(family: Family) -> Asked:
    """What else a family's processor is told."""
    return ASKED[family.asked] if family.asked else _nothing


def _nothing(processor: Any, clips: Sequence[Clip]) -> Mapping[str, Mapping[str, Any]]:
    return {}


def _sampled_rate(processor: Any, clips: Sequence[Clip]) -> Mapping[str, Mapping[str, Any]]:
    """The frames a second that are shown, for a processor that reads no metadata (Qwen2.5-Omni, Qwen3-Omni)."""
    rates = {clip.num_frames / (clip.span_frames or clip.total_frames) * clip.fps for clip in clips}
    if len(rates) > 1:
        told = ", ".join(f"{rate:.3g}" for rate in sorted(rates))
        raise ModelFailure(f"the processor takes one rate for all clips of a question, and these have {told} frames/s")
    return {"videos_kwargs": {"fps": min(rates)} if rates else {}}


SEEN: Mapping[str, SeenWay] = {}
ASKED: Mapping[str, Asked] = {"sampled_rate": _sampled_rate}
