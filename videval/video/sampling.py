"""Which frames are shown: pure arithmetic from a frame count, a frame rate, a span and a policy to frame numbers.

`interior`, `segment` and `rate` choose exactly what VLMEvalKit chooses (tests/golden/sampling.json), down to the order
of floating-point operations; `uniform` is numpy's linspace; `stride` is Video-LLaVA's own i*N/n. VLMEvalKit turns
seconds into frame numbers by the mean rate; a sampling with real times takes the frames' own.
"""

import bisect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from videval.errors import UsageError, VideoFailure
from videval.types import POLICIES, FrameSampling

__all__ = ["Clock", "FrameChoice", "check_sampling", "choose_frames", "frame_indices"]

Span = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameChoice:
    """The chosen frames, 0-based in the policy's own order, and what was clamped, thinned or made up."""

    indices: tuple[int, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """When each frame of a video is first shown, ascending, and when the last one ends; in seconds."""

    times: Sequence[float]
    end: float

    def at(self, time: float) -> int:
        """The frame that is on the screen at this time."""
        return max(0, bisect.bisect_right(self.times, time + _ROUNDING) - 1)


_ROUNDING = 1e-3
"""Seconds: many containers keep times in milliseconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stretch:
    """The frames that a policy is applied to: `length` frames from number `first` on."""

    first: int
    length: int

    @property
    def last(self) -> int:
        """The number of its last frame."""
        return self.first + self.length - 1


def frame_indices(total_frames: int, fps: float, sampling: FrameSampling, span: Span | None = None) -> list[int]:
    """Choose 0-based frame numbers of a video, in the policy's own order; see `choose_frames`."""
    return list(choose_frames(total_frames, fps, sampling, span).indices)


def choose_frames(
    total_frames: int,
    fps: float,
    sampling: FrameSampling,
    span: Span | None = None,
    *,
    first: int = 0,
    clock: Clock | None = None,
) -> FrameChoice:
    """Choose 0-based frame numbers of a video, in the policy's own order, and say what was done to them.

    `fps` is the video's, `span` is in seconds. Numbers may repeat or descend; they are never sorted or deduplicated,
    and those outside the video are clamped into it. `first` is the number that the frames are counted from: 1 for a
    folder of images, whose files are numbered 1..total_frames; the result are positions in the sorted folder all the
    same (file number - 1). `clock` is what a sampling with real times goes by; without it the rate is taken as
    constant. Raises UsageError for a sampling that cannot be, VideoFailure for a video without frames.
    """
    check_sampling(sampling)
    _check_video(total_frames, fps)
    _check_span(span)
    notes: list[str] = []
    if sampling.times == "real":
        clock = clock or Clock(times=[n / fps for n in range(total_frames)], end=total_frames / fps)
        numbers = _by_clock(clock, fps, sampling, span, notes)
    else:
        numbers = _by_mean_rate(total_frames, fps, sampling, span, first, notes)
    numbers = _thin(numbers, sampling.max_frames, notes)
    return FrameChoice(indices=tuple(_clamp(numbers, total_frames, notes)), notes=tuple(notes))


def _by_mean_rate(
    total_frames: int, fps: float, sampling: FrameSampling, span: Span | None, first: int, notes: list[str]
) -> list[int]:
    end = total_frames / fps
    if span is not None:
        starts, ends = round(span[0] * fps), round(span[1] * fps)
        notes += _span_notes(span, end, starts_before=starts < 0, starts_after=starts >= total_frames,
                             reaches_past=starts < total_frames < ends)  # fmt: skip
    if sampling.policy == "segment":
        return _segment(total_frames, fps, sampling.num_frames or 0, span, first)
    stretch = _stretch(total_frames, fps, span)
    numbers = [stretch.first + i for i in _inside(stretch.length, fps, sampling)]
    return numbers or _too_short(stretch, sampling, notes)


def _by_clock(clock: Clock, fps: float, sampling: FrameSampling, span: Span | None, notes: list[str]) -> list[int]:
    if span is not None:
        late = span[0] >= clock.end
        notes += _span_notes(span, clock.end, starts_before=span[0] < -_ROUNDING, starts_after=late,
                             reaches_past=not late and span[1] > clock.end + 0.5 / fps)  # fmt: skip
    stretch = _stretch_by_clock(clock, span, notes)
    if sampling.policy == "segment":
        return _midpoints(stretch.first, stretch.last, sampling.num_frames or 0)
    if sampling.policy == "rate":
        end = clock.end if span is None else span[1]
        return _rate_by_clock(clock, stretch, end, sampling.fps or 0.0) or _too_short(stretch, sampling, notes)
    return [stretch.first + i for i in _BY_COUNT[sampling.policy](stretch.length, sampling.num_frames or 0)]


def _rate_by_clock(clock: Clock, stretch: _Stretch, end: float, fps: float) -> list[int]:
    """The frame on the screen every 1/fps seconds, from the first of the stretch to its last one's end, or to `end`."""
    start, behind = clock.times[stretch.first], stretch.last + 1
    end = min(end, clock.times[behind] if behind < len(clock.times) else clock.end)
    return [min(clock.at(start + k / fps), stretch.last) for k in range(int((end - start) * fps + _ROUNDING))]


def _stretch_by_clock(clock: Clock, span: Span | None, notes: list[str]) -> _Stretch:
    """The frames whose own times lie in a span; if there are none, the one that is on the screen when it starts."""
    if span is None:
        return _Stretch(first=0, length=len(clock.times))
    first = bisect.bisect_left(clock.times, span[0] - _ROUNDING)
    length = bisect.bisect_right(clock.times, span[1] + _ROUNDING) - first
    if length > 0:
        return _Stretch(first=first, length=length)
    if not notes:
        notes.append(f"no frame begins in the span {span[0]:g}..{span[1]:g} s: the one on the screen then is shown")
    return _Stretch(first=clock.at(span[0]), length=1)


def check_sampling(sampling: FrameSampling) -> None:
    """Raise UsageError unless the sampling has a known policy with the count or the rate that this policy takes."""
    if sampling.policy not in POLICIES:
        raise UsageError(f"unknown sampling policy {sampling.policy!r}", hint=f"policies are {', '.join(POLICIES)}")
    if sampling.max_frames is not None and sampling.max_frames < 1:
        raise UsageError(f"max_frames must be at least 1, not {sampling.max_frames}")
    if sampling.policy == "rate":
        _check_rate(sampling)
    else:
        _check_count(sampling)


def _check_rate(sampling: FrameSampling) -> None:
    if sampling.num_frames is not None:
        raise UsageError("policy rate takes frames per second, not a frame count", hint="leave num_frames out")
    if sampling.fps is None or not (math.isfinite(sampling.fps) and sampling.fps > 0):
        raise UsageError(f"policy rate needs frames per second above 0, not {sampling.fps}")


def _check_count(sampling: FrameSampling) -> None:
    if sampling.fps is not None:
        raise UsageError(f"policy {sampling.policy} takes a frame count, not a rate", hint="leave fps out")
    if sampling.num_frames is None or sampling.num_frames < 1:
        raise UsageError(f"policy {sampling.policy} needs at least 1 frame, not {sampling.num_frames}")
    if sampling.max_frames is not None and sampling.num_frames > sampling.max_frames:
        raise UsageError(f"{sampling.num_frames} frames are more than max_frames {sampling.max_frames}")


def _check_video(total_frames: int, fps: float) -> None:
    if total_frames < 1:
        raise VideoFailure("the video has no frames")
    if not (math.isfinite(fps) and fps > 0):
        raise VideoFailure(f"the video's frame rate is {fps}, which is no rate")


def _check_span(span: Span | None) -> None:
    if span is not None and not all(math.isfinite(t) for t in span):
        raise UsageError(f"a span is two times in seconds, not {span[0]} and {span[1]}")


def _segment(total_frames: int, fps: float, count: int, span: Span | None, first: int) -> list[int]:
    """MVBench's midpoints of `count` equal segments of the span; beyond the video they descend or repeat.

    Source: VLMEvalKit, MVBench.get_index; without a span it is MVBench_MP4.get_index_by_frame.
    """
    last = total_frames - 1 + first
    start, end = (first, last) if span is None else (round(span[0] * fps), round(span[1] * fps))
    return [n - first for n in _midpoints(max(first, start), min(end, last), count)]


def _midpoints(start: int, end: int, count: int) -> list[int]:
    size = float(end - start) / count
    return [int(start + size / 2 + round(size * i)) for i in range(count)]


def _stretch(total_frames: int, fps: float, span: Span | None) -> _Stretch:
    """The frames of a span, both ends included; at least one frame, and inside the video."""
    if span is None:
        return _Stretch(first=0, length=total_frames)
    first = min(max(0, round(span[0] * fps)), total_frames - 1)
    last = min(max(first, round(span[1] * fps)), total_frames - 1)
    return _Stretch(first=first, length=last - first + 1)


def _inside(length: int, fps: float, sampling: FrameSampling) -> list[int]:
    if sampling.policy == "rate":
        return _rate(length, fps, sampling.fps or 0.0)
    return _BY_COUNT[sampling.policy](length, sampling.num_frames or 0)


def _interior(length: int, count: int) -> list[int]:
    """i*N/(n+1) for i = 1..n. Source: VLMEvalKit, VideoBaseDataset.save_video_frames."""
    step = length / (count + 1)
    return [int(i * step) for i in range(1, count + 1)]


def _uniform(length: int, count: int) -> list[int]:
    """From the first frame to the last in equal steps."""
    return [int(i) for i in np.linspace(0, length - 1, count).astype(int)]


def _stride(length: int, count: int) -> list[int]:
    """i*N/n for i = 0..n-1. Source: the model card of Video-LLaVA-7B-hf, np.arange(0, N, N / 8)."""
    step = length / count
    return [int(i * step) for i in range(count)]


def _rate(length: int, video_fps: float, fps: float) -> list[int]:
    """Steps of video_fps/fps; none if the video is shorter than one step.

    Source: VLMEvalKit, VideoBaseDataset.save_video_frames and MVBench_MP4.get_index_by_fps.
    """
    duration = length / video_fps
    step = video_fps / fps
    return [int(i * step) for i in range(int(duration * fps))]


_BY_COUNT: dict[str, Callable[[int, int], list[int]]] = {
    "interior": _interior,
    "uniform": _uniform,
    "stride": _stride,
}


def _too_short(stretch: _Stretch, sampling: FrameSampling, notes: list[str]) -> list[int]:
    notes.append(f"too short for {sampling.fps:g} frames per second: the first frame is shown")
    return [stretch.first]


def _thin(numbers: list[int], most: int | None, notes: list[str]) -> list[int]:
    if most is None or len(numbers) <= most:
        return numbers
    notes.append(f"{len(numbers)} frames thinned evenly to max_frames {most}")
    return [numbers[i] for i in _uniform(len(numbers), most)]


def _clamp(numbers: Sequence[int], total_frames: int, notes: list[str]) -> list[int]:
    outside = sum(not 0 <= n < total_frames for n in numbers)
    if outside:
        notes.append(f"{outside} of {len(numbers)} frame numbers clamped to 0..{total_frames - 1}")
    return [min(max(n, 0), total_frames - 1) for n in numbers]


def _span_notes(span: Span, length: float, *, starts_before: bool, starts_after: bool, reaches_past: bool) -> list[str]:
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
