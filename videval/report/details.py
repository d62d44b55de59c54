"""What lies behind a run's numbers: its course over time, where the time went, what failed."""

from collections.abc import Mapping
from dataclasses import dataclass

from videval.db import runs, stats, timings
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.db.stats import FailureGroup
from videval.db.timings import Slow
from videval.report.spans import spans
from videval.types import STAGES, RunState

__all__ = [
    "Moment",
    "TimeSpent",
    "failed_videos",
    "failures",
    "time_spent",
    "timeline",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """One step of a run's course: until `at` (seconds since the epoch), `done` and `failed` in all, `rate` in the
    step (answers per second)."""

    at: float
    done: int
    failed: int
    rate: float


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeSpent:
    """Mean seconds that an answer spent in each stage, over `n` answers, and the slowest of them."""

    n: int
    seconds: Mapping[str, float]
    prompt_tokens: int
    new_tokens: int
    slowest: tuple[Slow, ...]


def timeline(database: Database, run: RunInfo, *, steps: int = 60) -> list[Moment]:
    """The course of a run from its first answer until its last one (until now while it goes on)."""
    with database.read() as connection:
        pace = timings.pace(connection, run.run_id)
        counts = runs.counts(connection, run.run_id)
        if pace.first_at is None or pace.last_at is None:
            return []
        going = counts.waiting and run.state == RunState.ACTIVE
        end = pace.now if going else max(pace.last_at, timings.last_finished(connection, run.run_id) or 0.0)
        width = max(end - pace.first_at, 1.0) / steps
        moments = [pace.first_at + i * width for i in range(steps)] + [end + 1e-3]
        found = timings.finished_before(connection, run.run_id, [run.created_at, *moments])
    course, done, failed = [], 0, 0
    for at, before, (answered, bad) in zip(moments, [moments[0] - width, *moments], found, strict=False):
        done, failed = done + answered, failed + bad
        course.append(Moment(at=at, done=done, failed=failed, rate=answered / max(at - before, 1e-3)))
    return course


def time_spent(database: Database, run: RunInfo, *, slowest: int = 10) -> TimeSpent:
    """Where the time of a run's answers went; read in spans."""
    with database.read() as connection:
        span = timings.request_span(connection, run.run_id)
    total, seconds, slow, tokens = 0, dict.fromkeys(STAGES, 0.0), list[Slow](), [0, 0]
    for low, high in spans(*span) if span else ():
        with database.read() as connection:
            part = timings.stage_sums_in(connection, run.run_id, low, high)
            slow += timings.slowest_in(connection, run.run_id, low, high, limit=slowest)
        total += part.n
        tokens = [tokens[0] + part.prompt_tokens, tokens[1] + part.new_tokens]
        seconds = {s: seconds[s] + part.seconds[s] for s in STAGES}
    slow.sort(key=lambda s: -(s.decode_s + s.generate_s))
    return TimeSpent(
        n=total,
        seconds={s: v / total if total else 0.0 for s, v in seconds.items()},
        prompt_tokens=tokens[0],
        new_tokens=tokens[1],
        slowest=tuple(slow[:slowest]),
    )


def failures(database: Database, run: RunInfo) -> list[FailureGroup]:
    """What failed, by kind and message."""
    with database.read() as connection:
        return stats.failure_groups(connection, run.run_id)


def failed_videos(group: FailureGroup, *, most: int = 3) -> str:
    """Where a group of failures happened: "2 videos: broken.mp4 (17), notvideo.mp4 (15)", or the one video."""
    names = [video.rsplit("/", 1)[-1] for video, _ in group.videos]
    if len(set(names)) < len(names):
        names = [video for video, _ in group.videos]
    if len(names) == 1:
        return names[0]
    said = [f"{name} ({count})" for name, (_, count) in zip(names[:most], group.videos, strict=False)]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{len(names)} videos: {', '.join(said)}{more}"
