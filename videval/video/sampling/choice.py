"""The frames of one video: the part that is shown, the policy inside it, the limits, and what had to be done to them.

VLMEvalKit and models' libraries turn seconds into frame numbers by the mean rate; a sampling with real times takes the
frames' own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from videval.errors import UsageError, VideoFailure
from videval.types import FrameSampling
from videval.video.sampling import evenly, spans
from videval.video.sampling.policies import POLICY
from videval.video.sampling.rules import check_sampling, fitting, seconds_shown
from videval.video.sampling.spans import Clock, Span, Stretch

__all__ = ["FrameChoice", "choose_frames", "frame_indices"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameChoice:
    """The chosen frames, 0-based in the policy's own order, and what was clamped, thinned or made up.

    `span_frames`: how many frames the shown part has, if that is not the whole video.
    """

    indices: tuple[int, ...]
    notes: tuple[str, ...] = ()
    span_frames: int | None = None


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
        part = _timed(clock, fps, span, notes)
    else:
        clock, part = None, _counted(total_frames, fps, sampling, span, notes)
    partial = part.length if part.length < total_frames else None
    wanted = fitting(sampling, seconds_shown(total_frames, fps, partial))
    numbers = _numbers(part, clock, total_frames, fps, wanted, span, first)
    numbers = _limited(numbers or _too_short(part, wanted, notes), part, wanted, notes)
    return FrameChoice(indices=tuple(_clamp(numbers, total_frames, notes)), notes=tuple(notes), span_frames=partial)


def _numbers(
    part: Stretch, clock: Clock | None, total: int, fps: float, wanted: FrameSampling, span: Span | None, first: int
) -> list[int]:
    """What the policy chooses; two of them know more of the video than the stretch that is shown."""
    if wanted.policy == "segment" and clock is None:
        return evenly.segment_of_span(total, fps, wanted.num_frames or 0, span, first)
    if wanted.policy == "rate" and clock is not None:
        return evenly.by_clock(clock, part, span, wanted.fps or 0.0)
    return POLICY[wanted.policy].choose(part, fps, wanted)


def _counted(total_frames: int, fps: float, sampling: FrameSampling, span: Span | None, notes: list[str]) -> Stretch:
    """The shown part by the mean rate, as the policy's own library takes its ends."""
    if span is not None:
        starts, ends = round(span[0] * fps), round(span[1] * fps)
        notes += spans.span_notes(span, total_frames / fps, starts_before=starts < 0,
                                  starts_after=starts >= total_frames,
                                  reaches_past=starts < total_frames < ends)  # fmt: skip
    cut = spans.closed if POLICY[sampling.policy].by_author else spans.rounded
    return cut(total_frames, fps, span)


def _timed(clock: Clock, fps: float, span: Span | None, notes: list[str]) -> Stretch:
    """The shown part by the frames' own times."""
    if span is not None:
        late = span[0] >= clock.end
        notes += spans.span_notes(span, clock.end, starts_before=span[0] < -spans.ROUNDING, starts_after=late,
                                  reaches_past=not late and span[1] > clock.end + 0.5 / fps)  # fmt: skip
    return spans.timed(clock, span, notes)


def _check_video(total_frames: int, fps: float) -> None:
    if total_frames < 1:
        raise VideoFailure("the video has no frames")
    if not (math.isfinite(fps) and fps > 0):
        raise VideoFailure(f"the video's frame rate is {fps}, which is no rate")


def _check_span(span: Span | None) -> None:
    if span is not None and not all(math.isfinite(t) for t in span):
        raise UsageError(f"a span is two times in seconds, not {span[0]} and {span[1]}")


def _too_short(part: Stretch, wanted: FrameSampling, notes: list[str]) -> list[int]:
    notes.append(f"too short for {wanted.fps:g} frames per second: the first frame is shown")
    return [part.first]


def _limited(numbers: list[int], part: Stretch, wanted: FrameSampling, notes: list[str]) -> list[int]:
    """A rate within its limits, thinned or filled up evenly; the policies of authors keep theirs themselves."""
    if wanted.policy != "rate":
        return _said(numbers, wanted, notes)
    multiple, found = wanted.multiple or 1, len(numbers)
    least = math.ceil((wanted.min_frames or 1) / multiple) * multiple
    most = (wanted.max_frames or max(found, least)) // multiple * multiple
    count = min(max(found // multiple * multiple, least), most)
    if count == found:
        return numbers
    to = f"max_frames {count}" if count == wanted.max_frames else f"{count}, a multiple of {multiple}"
    if count < found:
        notes.append(f"{found} frames thinned evenly to {to}")
        return [numbers[i] for i in _evenly(found, count)]
    notes.append(f"{found} frames are too few: {count} of the shown part in equal steps")
    return [part.first + i for i in _evenly(part.length, count)]


def _said(numbers: list[int], wanted: FrameSampling, notes: list[str]) -> list[int]:
    if wanted.num_frames is not None and len(numbers) != wanted.num_frames:
        notes.append(f"{len(numbers)} frames in place of {wanted.num_frames}, as {wanted.policy} has it")
    return numbers


def _evenly(length: int, count: int) -> list[int]:
    return [int(i) for i in np.linspace(0, length - 1, count).astype(int)]


def _clamp(numbers: Sequence[int], total_frames: int, notes: list[str]) -> list[int]:
    outside = sum(not 0 <= n < total_frames for n in numbers)
    if outside:
        notes.append(f"{outside} of {len(numbers)} frame numbers clamped to 0..{total_frames - 1}")
    return [min(max(n, 0), total_frames - 1) for n in numbers]
