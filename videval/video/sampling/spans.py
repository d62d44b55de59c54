"""Which frames of a video a span of seconds holds: by the mean rate, or by the frames' own times."""

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Clock", "Span", "Stretch", "closed", "rounded", "span_notes", "timed"]

Span = tuple[float, float]

ROUNDING = 1e-3
"""Seconds: many containers keep times in milliseconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """When each frame of a video is first shown, ascending, and when the last one ends; in seconds."""

    times: Sequence[float]
    end: float

    def at(self, time: float) -> int:
        """The frame that is on the screen at this time."""
        return max(0, bisect.bisect_right(self.times, time + ROUNDING) - 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """The frames that a policy is applied to: `length` frames from number `first` on."""

    first: int
    length: int

    @property
    def last(self) -> int:
        """The number of its last frame."""
        return self.first + self.length - 1


def rounded(total_frames: int, fps: float, span: Span | None) -> Stretch:
    """The frames of a span, both ends included and rounded; at least one frame, and inside the video."""
    if span is None:
        return Stretch(first=0, length=total_frames)
    return _inside(total_frames, round(span[0] * fps), round(span[1] * fps))


def closed(total_frames: int, fps: float, span: Span | None) -> Stretch:
    """The frames that begin inside a span, both ends included; at least one frame, and inside the video.

    Source: qwen-vl-utils 0.0.14, calculate_video_frame_range (which fails where this gives one frame).
    """
    if span is None:
        return Stretch(first=0, length=total_frames)
    start, end = (max(0.0, min(time, total_frames / fps)) for time in span)
    return _inside(total_frames, math.ceil(start * fps), math.floor(end * fps))


def timed(clock: Clock, span: Span | None, notes: list[str]) -> Stretch:
    """The frames whose own times lie in a span; if there are none, the one that is on the screen when it starts."""
    if span is None:
        return Stretch(first=0, length=len(clock.times))
    first = bisect.bisect_left(clock.times, span[0] - ROUNDING)
    length = bisect.bisect_right(clock.times, span[1] + ROUNDING) - first
    if length > 0:
        return Stretch(first=first, length=length)
    if not notes:
        notes.append(f"no frame begins in the span {span[0]:g}..{span[1]:g} s: the one on the screen then is shown")
    return Stretch(first=clock.at(span[0]), length=1)


def span_notes(span: Span, length: float, *, starts_before: bool, starts_after: bool, reaches_past: bool) -> list[str]:
    """What is odd about a span of a video of this many seconds: half a frame over the end is rounding, more is said."""
    start, end = span
    shown = f"span {start:g}..{end:g} s"
    odd = {
        f"{shown} ends before it starts": end < start,
        f"{shown} starts before the video": starts_before,
        f"{shown} starts after the video's end ({length:.2f} s)": starts_after,
        f"{shown} reaches past the video's end ({length:.2f} s)": reaches_past,
    }
    return [note for note, is_so in odd.items() if is_so]


def _inside(total_frames: int, first: int, last: int) -> Stretch:
    first = min(max(0, first), total_frames - 1)
    last = min(max(first, last), total_frames - 1)
    return Stretch(first=first, length=last - first + 1)
