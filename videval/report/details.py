"""What lies behind a run's numbers: its course over time, where the time went, what failed, its card."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from videval.benchmarks.catalog import find_benchmark
from videval.db import results, runs, stats, timings
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.db.stats import FailureGroup
from videval.db.timings import Slow
from videval.db.usage import Usage, usage_of_runs
from videval.errors import UsageError
from videval.plain import plain
from videval.report.arrived import frames_lost
from videval.report.index import spans
from videval.report.seen import endings, seen_summary
from videval.scorers import vlmevalkit
from videval.types import STAGES, RequestStatus, RunState

__all__ = [
    "Moment",
    "TimeSpent",
    "failed_videos",
    "failures",
    "run_card",
    "time_spent",
    "timeline",
    "vlmevalkit_rating",
]

_OVER = (RequestStatus.DONE, RequestStatus.FAILED)


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


def vlmevalkit_rating(database: Database, run: RunInfo) -> Mapping[str, Any]:
    """The rating table as VLMEvalKit's own rule path computes it, failed rows as it treats them.

    What is not answered yet is left out. UsageError for benchmarks that VLMEvalKit does not rate without a judge.
    """
    rule = vlmevalkit.RULES.get(find_benchmark(run.benchmark).vlmevalkit)
    if rule is None:
        raise UsageError(
            f"VLMEvalKit has no rule for {run.benchmark} without a judge", hint=f"videval score {run.name}"
        )
    with database.read() as connection:
        found = [r for r in results.iter_results(connection, run.run_id) if r.status in _OVER]
    rating: Mapping[str, Any] = rule.rating(
        [dict(r.sample.row) | {"score": rule.score(r.sample, r.prediction)} for r in found]
    )
    return rating


def _environments(database: Database, run: RunInfo) -> list[dict[str, Any]]:
    with database.read() as connection:
        span = timings.request_span(connection, run.run_id)
    distinct: dict[str, dict[str, Any]] = {}
    for low, high in spans(*span) if span else ():
        with database.read() as connection:
            found = timings.environments_in(connection, run.run_id, low, high)
        distinct |= {repr(sorted(e.items())): e for e in found}
    return [distinct[k] for k in sorted(distinct)]


def _used(usage: Usage, run: RunInfo) -> dict[str, Any]:
    return asdict(usage) | {"reused": usage.reused, "currency": run.currency or None}


def run_card(database: Database, run: RunInfo) -> dict[str, Any]:
    """All that the numbers depend on: what was asked, every combination of hardware and versions that answered, how the
    answers ended, what they took and cost, and what the model's processor made of the clips."""
    environments, lost = _environments(database, run), frames_lost(database, run)
    with database.read() as connection:
        counts = runs.counts(connection, run.run_id)
        used = usage_of_runs(connection, [run.run_id]).get(run.run_id)
    return {
        "run": run.name,
        **run.card,
        **({"recipe": plain(run.recipe)} if run.recipe else {}),
        "dtype": run.dtype,
        "requests": {"done": counts.done, "failed": counts.failed, "waiting": counts.waiting, "total": counts.total},
        "missing_videos": len(run.missing),
        "answered_on": environments,
        "answers": endings(database, run),
        **({"usage": _used(used, run) | {"warnings": [lost] if lost else []}} if used else {}),
        "seen": seen_summary(database, run),
    }
