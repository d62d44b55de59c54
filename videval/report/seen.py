"""How a run's answers ended and what the models' processors made of its clips, in a few numbers for its card."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from statistics import median
from typing import Any

from videval.db import responses, stats, timings
from videval.db.records import RunInfo
from videval.db.responses import SeenClips
from videval.db.session import Database
from videval.errors import NewerRun
from videval.report.spans import spans
from videval.types import FrameSampling, Seen
from videval.video.sampling import rule_for, seconds_shown
from videval.words import plural

__all__ = ["endings", "seen_summary"]

SPAN = 4000
"""Request ids that one query looks at: what was seen takes 50 microseconds an answer to read."""
MOST_SIZES, MOST_WARNINGS = 5, 5
_Shape = tuple[int, int, tuple[int, ...]]


def endings(database: Database, run: RunInfo) -> dict[str, int]:
    """How many answers of a run thought before, ended at the token limit, and ended there while they thought."""
    counts: Counter[str] = Counter()
    for low, high in _spans(database, run):
        with database.read() as connection:
            counts.update(responses.endings_in(connection, run.run_id, low, high))
    return dict(counts)


def seen_summary(database: Database, run: RunInfo) -> dict[str, Any]:
    """Frames and tokens per clip, the sizes of frames, and what was seen in two ways; empty where nothing is known."""
    found = _Counts(_sampling(database, run))
    for low, high in _spans(database, run):
        with database.read() as connection:
            found.add(responses.saw_in(connection, run.run_id, low, high))
    return found.summary()


def _spans(database: Database, run: RunInfo) -> Iterator[tuple[int, int]]:
    with database.read() as connection:
        span = timings.request_span(connection, run.run_id)
    return spans(*span, SPAN) if span else iter(())


def _sampling(database: Database, run: RunInfo) -> FrameSampling | None:
    """What the run is sampled by; None if a newer videval made it, in a way that is not known here."""
    try:
        with database.read() as connection:
            return stats.config_of_run(connection, run.run_id).sampling
    except NewerRun:
        return None


class _Counts:
    """What adds up of what was seen."""

    def __init__(self, sampling: FrameSampling | None) -> None:
        self._sampling = sampling
        self._frames: list[int] = []
        self._tokens: list[int] = []
        self._sizes: Counter[str] = Counter()
        self._shapes: dict[tuple[Any, ...], Counter[_Shape]] = {}

    def add(self, found: Iterable[SeenClips]) -> None:
        for saw in found:
            self._frames += (clip.frames for clip in saw.seen)
            self._tokens += (clip.tokens for clip in saw.seen)
            self._sizes.update(f"{clip.width}x{clip.height}" for clip in saw.seen)
            if len(saw.seen) == 1 and self._sampling is not None:
                self._shapes.setdefault(self._given(saw, self._sampling), Counter())[_shape(saw.seen[0])] += 1

    def _given(self, saw: SeenClips, sampling: FrameSampling) -> tuple[Any, ...]:
        """All that decides how one clip is seen: frames, their size, and the rule by its length."""
        rule = rule_for(sampling, seconds_shown(saw.total_frames, saw.fps, saw.span_frames))
        return saw.num_frames, saw.width, saw.height, rule

    def summary(self) -> dict[str, Any]:
        if not self._tokens:
            return {}
        most = dict(self._sizes.most_common(MOST_SIZES))
        others = self._sizes.total() - sum(most.values())
        return {
            "clips": len(self._tokens),
            "frames_per_clip": _middle(self._frames),
            "tokens_per_clip": _middle(self._tokens),
            "sizes": most | ({"others": others} if others else {}),
            "warnings": list(self._warnings())[:MOST_WARNINGS],
        }

    def _warnings(self) -> Iterator[str]:
        for (frames, width, height, _), shapes in self._shapes.items():
            if len(shapes) > 1:
                said = " and ".join(
                    f"{_said(shape)} ({plural(count, 'answer')})" for shape, count in shapes.most_common()
                )
                yield (
                    f"clips of {frames} frames of {width}x{height} pixels were seen as {said}: two versions of a "
                    "library answered -> the same versions on all hosts, then the run anew (--new)"
                )


def _shape(clip: Seen) -> _Shape:
    return clip.width, clip.height, clip.grid


def _said(shape: _Shape) -> str:
    width, height, grid = shape
    return f"{width}x{height}" + (f" in {'x'.join(map(str, grid))} patches" if grid else "")


def _middle(numbers: list[int]) -> Mapping[str, float]:
    return {"min": min(numbers), "median": median(numbers), "max": max(numbers)}
