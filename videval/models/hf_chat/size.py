"""Limits in pixels, as a processor of the families takes them: its `size` in the terms of Qwen-VL.

Source of the arithmetic: qwen-vl-utils 0.0.14, `fetch_video` (the pixels of a video are shared out among its frames, by
pairs where two are one step of time), and the `smart_resize` of transformers' processors.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from videval.errors import ModelFailure
from videval.types import Pixels

__all__ = ["Rule", "size_told"]

FLOOR = 1.05
"""However long the video, a frame may have this much more than the least number of pixels."""


Rule = Literal["", "frame", "clip", "share"]


def size_told(
    rule: Rule, limits: Sequence[Pixels], frames: Sequence[int], own: Mapping[str, int], *, step: int = 1
) -> dict[str, int] | None:
    """The `size` that a video or image processor is told for clips of so many frames; None: as it is by itself.

    `own` is its `size` by itself, `step` how many frames are one step of time. Raises ModelFailure for limits that it
    cannot keep.
    """
    if all(pixels == Pixels() for pixels in limits):
        return None
    if not rule:
        raise ModelFailure("this model's processor takes no limits in pixels", hint="leave the pixel options out")
    sizes = [_size(rule, pixels, count, own, step) for pixels, count in zip(limits, frames, strict=True)]
    if any(size != sizes[0] for size in sizes):
        raise ModelFailure(f"the clips of one question cannot have several limits in pixels, and these have {sizes}")
    return sizes[0]


def _size(rule: Rule, pixels: Pixels, frames: int, own: Mapping[str, int], step: int) -> dict[str, int]:
    """What is not told is as the processor has it, unless what is told contradicts that."""
    shown = -(-frames // step) * step
    of_least, of_most = shown if rule == "clip" else 1, 1 if rule == "frame" else shown
    least, most = (pixels.min_pixels or 0) * of_least, (pixels.max_pixels or 0) * of_most
    most = most or max(int(own["longest_edge"]), (pixels.min_pixels or 0) * of_most)
    least = least or min(int(own["shortest_edge"]), most // of_most * of_least)
    if pixels.total_pixels and rule == "frame":
        most = min(most, max(pixels.total_pixels * step // frames, int(least * FLOOR)))
    elif pixels.total_pixels:
        most = min(most, pixels.total_pixels)
    return {"shortest_edge": min(least, most), "longest_edge": most}
