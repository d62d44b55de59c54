"""What people want to know of a run: how far, how fast, the score with its interval and coverage, what went wrong.

Command line and dashboard show the same numbers from these functions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from videval.benchmarks.catalog import benchmark as find_benchmark
from videval.db import results, runs, stats, workers
from videval.db.records import RunInfo
from videval.db.runs import Counts
from videval.db.session import Database
from videval.db.stats import FailureGroup, ScoreCell
from videval.errors import UsageError
from videval.metrics import Estimate, mean_with_interval
from videval.registry import RULE
from videval.scorers import vlmevalkit

__all__ = [
    "GroupScore",
    "RunStatus",
    "ScoreReport",
    "run_card",
    "run_status",
    "run_statuses",
    "score_report",
    "vlmevalkit_rating",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStatus:
    """Where a run stands; rates are answers per second, `eta_s` None while it cannot be told."""

    run: RunInfo
    counts: Counts
    rate_now: float
    rate: float
    eta_s: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupScore:
    """The score of one group: mean in 0..1 with its 95 % interval, and how many were right, wrong, unparsed."""

    column: str
    group: str
    estimate: Estimate
    right: int
    wrong: int
    unparsed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreReport:
    """A run's score. An unparsed answer counts as 0 and is counted beside it; a failed or missing one is left out.

    `coverage` is scored / scorable samples of the whole benchmark; `macro` the mean of the first group column's means.
    """

    run: RunInfo
    overall: GroupScore
    groups: Mapping[str, tuple[GroupScore, ...]]
    macro: float | None
    scored: int
    scorable: int
    needs: str

    @property
    def coverage(self) -> float:
        """The share of the benchmark's scorable questions that the score rests on."""
        return self.scored / self.scorable if self.scorable else 0.0


def run_statuses(database: Database) -> list[RunStatus]:
    """All runs, newest first."""
    with database.read() as connection:
        infos = runs.list_runs(connection)
        counts = runs.counts_of_runs(connection)
    return [run_status(database, info, counts.get(info.run_id, Counts())) for info in infos]


def run_status(database: Database, run: RunInfo, counts: Counts | None = None) -> RunStatus:
    """Where one run stands."""
    with database.read() as connection:
        counts = counts or runs.counts(connection, run.run_id)
        pace = stats.pace(connection, run.run_id)
        live = len([w for w in workers.live_workers(connection) if w.load_key == run.load_key])
    window = min(pace.window_s, max(pace.elapsed_s, 1.0))
    rate_now = pace.recent / window if pace.recent else 0.0
    rate = pace.answered / pace.elapsed_s if pace.elapsed_s > 0 else 0.0
    return RunStatus(run=run, counts=counts, rate_now=rate_now, rate=rate, eta_s=_eta(counts, pace, rate_now, live))


def _eta(counts: Counts, pace: stats.Pace, rate_now: float, live: int) -> float | None:
    if not counts.waiting:
        return 0.0
    if rate_now > 0:
        return counts.waiting / rate_now
    each = pace.generate_s + pace.decode_s
    return counts.waiting * each / live if live and each else None


def _group(column: str, name: str, cells: list[ScoreCell]) -> GroupScore:
    values = [v for c in cells for v in [c.total / c.n] * c.n]
    clusters = [c.video for c in cells for _ in range(c.n)]
    return GroupScore(
        column=column,
        group=name,
        estimate=mean_with_interval(values, clusters),
        right=sum(c.right for c in cells),
        wrong=sum(c.wrong for c in cells),
        unparsed=sum(c.unparsed for c in cells),
    )


def score_report(database: Database, run: RunInfo, scorer: str = RULE) -> ScoreReport:
    """The score of a run so far, overall and by each column that its benchmark reports by."""
    bench = find_benchmark(run.benchmark)
    with database.read() as connection:
        cells = list(stats.score_cells(connection, run.run_id, scorer))
        by_column = {
            column: list(stats.score_cells(connection, run.run_id, scorer, column))
            for column in bench.groups
            if column in run.columns
        }
        scorable = stats.num_scorable(connection, run.run_id)
    overall = _group("", "overall", cells)
    groups = {column: _by_group(column, found) for column, found in by_column.items()}
    first = next(iter(groups.values()), ())
    means = [g.estimate.mean for g in first if g.estimate.mean is not None]
    return ScoreReport(
        run=run,
        overall=overall,
        groups=groups,
        macro=sum(means) / len(means) if means else None,
        scored=overall.estimate.n,
        scorable=scorable,
        needs=bench.needs,
    )


def _by_group(column: str, cells: list[ScoreCell]) -> tuple[GroupScore, ...]:
    names = sorted({c.group for c in cells if c.group is not None})
    return tuple(_group(column, name, [c for c in cells if c.group == name]) for name in names)


def failures(database: Database, run: RunInfo) -> list[FailureGroup]:
    """What failed, by kind and message."""
    with database.read() as connection:
        return stats.failure_groups(connection, run.run_id)


def vlmevalkit_rating(database: Database, run: RunInfo) -> Mapping[str, Any]:
    """The rating table as VLMEvalKit's own rule path computes it, failed rows as it treats them.

    UsageError for benchmarks whose rule path is not reproduced.
    """
    with database.read() as connection:
        found = list(results.iter_results(connection, run.run_id))
    if run.benchmark in ("MVBench", "MVBench_MP4", "MovingShapes"):
        rows = [dict(r.sample.row) | {"score": vlmevalkit.mvbench_score(r.sample, r.prediction)} for r in found]
        return vlmevalkit.mvbench_rating(rows)
    if run.benchmark == "Video-MME":
        rows = [dict(r.sample.row) | {"score": vlmevalkit.videomme_score(r.sample, r.prediction)} for r in found]
        return vlmevalkit.videomme_rating(rows)
    raise UsageError(
        f"VLMEvalKit's rule path for {run.benchmark} is not reproduced here", hint="MVBench, MVBench_MP4, Video-MME"
    )


def run_card(database: Database, run: RunInfo) -> dict[str, Any]:
    """All that the numbers depend on: what was asked, and every combination of hardware and versions that answered."""
    with database.read() as connection:
        environments = results.environments(connection, run.run_id)
        counts = runs.counts(connection, run.run_id)
    return {
        "run": run.name,
        **run.card,
        "dtype": run.dtype,
        "requests": {"done": counts.done, "failed": counts.failed, "waiting": counts.waiting, "total": counts.total},
        "missing_videos": len(run.missing),
        "answered_on": environments,
    }
