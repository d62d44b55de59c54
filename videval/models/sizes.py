"""Limits in pixels, as a processor of the families takes them: its `size` in the terms of Qwen-VL.

Gemma 4's processors take a number of tokens instead, each a square of pixels.

Source of the arithmetic: qwen-vl-utils 0.0.14, `fetch_video` (the pixels of a video are shared out among its frames, by
pairs where two are one step of time), and the `smart_resize` of transformers' processors.
"""

from collections.abc import Mapping, Sequence

from videval.errors import ModelFailure
from videval.models.families import PixelRule
from videval.types import Pixels

__all__ = ["size_told", "soft_tokens_told"]

SOFT_TOKENS = (70, 140, 280, 560, 1120)
"""How many tokens of a frame Gemma 4 may be given (`_SUPPORTED_SOFT_TOKENS` of its processors)."""
FLOOR = 1.05
"""However long the video, a frame may have this much more than the least number of pixels."""


def size_told(
    rule: PixelRule, limits: Sequence[Pixels], frames: Sequence[int], own: Mapping[str, int], *, step: int = 1
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


def soft_tokens_told(limits: Sequence[Pixels], frames: Sequence[int], side: int) -> dict[str, int] | None:
    """The `max_soft_tokens` of a frame, each `side` x `side` pixels, that clips of so many frames are given at most.

    None: as the processor has it. Raises ModelFailure for limits that it cannot keep.
    """
    if all(pixels == Pixels() for pixels in limits):
        return None
    told = {_soft_tokens(pixels, count, side * side) for pixels, count in zip(limits, frames, strict=True)}
    if len(told) > 1:
        raise ModelFailure(f"the clips of one question cannot have several numbers of tokens, and these have {told}")
    return {"max_soft_tokens": told.pop()}


def _soft_tokens(pixels: Pixels, frames: int, area: int) -> int:
    caps = [pixels.max_pixels, pixels.total_pixels and pixels.total_pixels // frames]
    most = min((cap for cap in caps if cap), default=0)
    fitting = [tokens for tokens in SOFT_TOKENS if tokens * area <= most]
    if pixels.min_pixels or not fitting:
        takes = ", ".join(str(tokens * area) for tokens in SOFT_TOKENS)
        raise ModelFailure(
            f"this model is given frames of at most {takes} pixels, and of no least",
            hint="give one of these as the most",
        )
    return max(fitting)


def _size(rule: PixelRule, pixels: Pixels, frames: int, own: Mapping[str, int], step: int) -> dict[str, int]:
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
