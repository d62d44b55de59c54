"""Limits in pixels, as a processor of the families takes them: its `size` in the terms of Qwen-VL.

Source of the arithmetic: qwen-vl-utils 0.0.14, `fetch_video` (the pixels of a video are shared out among its frames, by
pairs where two are one step of time), and the `smart_resize` of transformers' processors.
"""

from collections.abc import Sequence
from typing import Any, Literal

from videval.errors import ModelFailure
from videval.types import Pixels

__all__ = ["size_told"]

FLOOR = 1.05
"""However long the video, a frame may have this much more than the least number of pixels."""


def size_told(
    rule: Literal["", "frame", "clip"], limits: Sequence[Pixels], frames: Sequence[int], processor: Any
) -> dict[str, int] | None:
    """The `size` that a video or image processor is told for clips of so many frames; None: as it is by itself.

    Raises ModelFailure for limits that it cannot keep.
    """
    if all(pixels == Pixels() for pixels in limits):
        return None
    if not rule:
        raise ModelFailure("this model's processor takes no limits in pixels", hint="leave the pixel options out")
    make = _of_frame if rule == "frame" else _of_clip
    sizes = [make(pixels, count, processor) for pixels, count in zip(limits, frames, strict=True)]
    if any(size != sizes[0] for size in sizes):
        raise ModelFailure(f"the clips of one question cannot have several limits in pixels, and these have {sizes}")
    return sizes[0]


def _of_frame(pixels: Pixels, frames: int, processor: Any) -> dict[str, int]:
    """`size` where its numbers are of one frame."""
    own = processor.size
    least = pixels.min_pixels or int(own["shortest_edge"])
    most = int(own["longest_edge"])
    if pixels.total_pixels:
        most = int(max(min(most, pixels.total_pixels / frames * _step(processor)), int(least * FLOOR)))
    if pixels.max_pixels:
        most = min(pixels.max_pixels, most) if pixels.total_pixels else pixels.max_pixels
    return {"shortest_edge": least, "longest_edge": most}


def _of_clip(pixels: Pixels, frames: int, processor: Any) -> dict[str, int]:
    """`size` where its numbers are of all frames of a video, those that it is padded with among them."""
    own, shown = processor.size, -(-frames // _step(processor)) * _step(processor)
    least = pixels.min_pixels * shown if pixels.min_pixels else int(own["shortest_edge"])
    caps = [pixels.total_pixels, pixels.max_pixels and pixels.max_pixels * shown]
    most = min((cap for cap in caps if cap), default=int(own["longest_edge"]))
    return {"shortest_edge": min(least, most), "longest_edge": most}


def _step(processor: Any) -> int:
    """How many frames are one step of time."""
    return int(getattr(processor, "temporal_patch_size", None) or 1)
