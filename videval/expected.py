"""What requests are expected to cost, so that the longest go out first and no worker begins one when all others end.

Only the order counts, so a unit will do: the time in which a frame of a short clip is decoded and seen.
"""

import math
from collections.abc import Mapping

from videval.types import ClipRef, FrameSampling, Sample
from videval.video.sampling import fitting

__all__ = ["Expectation"]

A_SECOND, LONGEST_REACH = 0.6, 10.0
"""Of a frame, for each second that must be read through to reach it; after so many there is a key frame to begin at
(12 ms a second, 13 + 7 ms a frame in the decode table of perf/RESULTS.md: 720p, key frames each 10 s)."""
AN_ANSWER = 16
"""Tokens of an answer to a question, if it may have so many: each takes about as long as a frame is seen."""
UNKNOWN, LONGEST = 60.0, 1e6
"""Seconds that a video counts as, where frames go by its length and nobody knows that; and at most, whatever is
said."""
STEPS = 2
"""Classes from a cost to twice of it: in one class all are alike, and shuffled."""


class Expectation:
    """What the requests of a run cost by what is known of them without opening a video: frames, seconds, tokens.

    `took`: mean seconds of earlier answers of the same model, by video.
    """

    def __init__(self, sampling: FrameSampling, *, new_tokens: int, took: Mapping[str, float] | None = None) -> None:
        self._sampling = sampling
        self._new_tokens = new_tokens
        self._took = took or {}
        self._by_seconds: dict[float | None, float] = {}

    def of(self, sample: Sample, questions: int = 1) -> float:
        """Of a request that asks so many questions about what this sample shows."""
        answer = min(self._new_tokens, AN_ANSWER * questions)
        if sample.clips:
            return answer + sum(_clip(ref.sampling or self._sampling, _shown(ref)) for ref in sample.clips)
        seconds = _seconds(sample)
        if seconds not in self._by_seconds:
            self._by_seconds[seconds] = _clip(self._sampling, seconds)
        return answer + self._by_seconds[seconds]

    def classes(self, units: Mapping[str, float], counts: Mapping[str, int]) -> dict[str, int]:
        """By video, how long its requests take together; the higher the longer. `units`: what they add up to by `of`,
        `counts`: how many they are. What earlier answers took counts more, and says what a unit is for the others."""
        known = {video: self._took[video] * counts[video] for video in units if self._took.get(video, 0.0) > 0}
        told = sum(units[video] for video in known)
        pace = sum(known.values()) / told if told else 1.0
        return {video: _class(known.get(video) or pace * cost) for video, cost in units.items()}


def _class(cost: float) -> int:
    return round(STEPS * math.log2(cost)) if cost > 0 else -(2**31)


def _clip(sampling: FrameSampling, seconds: float | None) -> float:
    """Of one clip."""
    frames = _frames(sampling, UNKNOWN if seconds is None else seconds)
    apart = 0.0 if seconds is None else min(seconds / max(frames, 1.0), LONGEST_REACH)
    return frames * (1 + A_SECOND * apart)


def _frames(sampling: FrameSampling, seconds: float) -> float:
    fitted = fitting(sampling, seconds)
    count = fitted.num_frames or (fitted.fps or 1.0) * seconds
    return max(min(count, fitted.max_frames or count), fitted.min_frames or 1)


def _shown(ref: ClipRef) -> float | None:
    return None if ref.span is None else _bounded(ref.span[1] - ref.span[0])


def _seconds(sample: Sample) -> float | None:
    """How long what a sample shows is; None if neither its span nor its column `duration` says so."""
    if sample.start is not None and sample.end is not None:
        return _bounded(sample.end - sample.start)
    said = sample.row.get("duration")
    if said is None or isinstance(said, bool):
        return None
    try:
        seconds = float(said)
    except (ValueError, OverflowError):
        return None
    return _bounded(seconds) if math.isfinite(seconds) and seconds > 0 else None


def _bounded(seconds: float) -> float:
    return min(max(0.0, seconds), LONGEST)
