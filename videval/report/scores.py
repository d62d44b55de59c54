"""A run's score with its interval and coverage, overall, by group, by name, and as it converged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from videval.benchmarks.catalog import benchmark as find_benchmark
from videval.db import stats
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.measures import MeanOfGroups, Measure, Measured, Tally
from videval.metrics import Estimate, mean_with_interval
from videval.registry import RULE
from videval.report.index import SampleIndex, Verdicts, group_columns, grouped, load_index, load_verdicts

__all__ = ["GroupScore", "Point", "ScoreReport", "converging", "score_report"]

FEW_VIDEOS = 10
"""Below this many videos an interval is so wide that it needs a word."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupScore:
    """The score of one group: mean in 0..1 with its 95 % interval, and how many were right, wrong, unparsed."""

    column: str
    group: str
    estimate: Estimate
    right: int
    wrong: int
    unparsed: int

    @property
    def videos(self) -> int:
        """How many videos the scored questions are about."""
        return self.estimate.clusters


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreReport:
    """A run's score. An unparsed answer counts as 0 and is counted beside it; a failed or missing one is left out.

    `coverage` is scored / scorable samples of the whole benchmark; `videos` how many videos that has; `macro` the
    mean of the first group column's means, None where its groups overlap; `measures` further numbers by name.
    """

    run: RunInfo
    overall: GroupScore
    groups: Mapping[str, tuple[GroupScore, ...]]
    macro: float | None
    measures: tuple[Measured, ...]
    scored: int
    scorable: int
    videos: int
    needs: str

    @property
    def coverage(self) -> float:
        """The share of the benchmark's scorable questions that the score rests on."""
        return self.scored / self.scorable if self.scorable else 0.0

    @property
    def caution(self) -> str:
        """Why the interval is as wide as it is, where there are few videos; else empty."""
        count = self.overall.videos
        if not 0 < count < FEW_VIDEOS:
            return ""
        said = "1 video" if count == 1 else f"{count} videos"
        return f"the interval is wide: it counts videos, not questions, and these answers are about {said}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """The score after the first `n` scored answers, the last of them at `at` (seconds since the epoch)."""

    n: int
    at: float
    mean: float
    low: float
    high: float


def _group(column: str, name: str, index: SampleIndex, found: Verdicts, chosen: npt.NDArray[np.bool_]) -> GroupScore:
    counts = np.bincount(found.codes[chosen], minlength=len(stats.VERDICTS))
    return GroupScore(
        column=column,
        group=name,
        estimate=mean_with_interval(found.values[chosen], index.videos[found.places[chosen]]),
        right=int(counts[0]),
        wrong=int(counts[1]),
        unparsed=int(counts[2]),
    )


def _by_group(run: RunInfo, column: str, index: SampleIndex, found: Verdicts) -> tuple[GroupScore, ...]:
    masks = grouped(run, index, column, found.places)
    return tuple(_group(column, name, index, found, chosen) for name, chosen in masks if chosen.any())


def score_report(
    database: Database, run: RunInfo, scorer: str = RULE, *, index: SampleIndex | None = None
) -> ScoreReport:
    """The score of a run so far, overall and by each column that its benchmark reports by."""
    index = index or load_index(database, run.snapshot_id, group_columns(run))
    found = load_verdicts(database, run, index, scorer)
    overall = _group("", "overall", index, found, np.ones(len(found.values), dtype=bool))
    groups = {column: _by_group(run, column, index, found) for column in index.groups}
    bench = find_benchmark(run.benchmark)
    return ScoreReport(
        run=run,
        overall=overall,
        groups=groups,
        macro=_macro(next(iter(groups.values()), ()), overall.estimate.n),
        measures=_measured(bench.measures, groups, overall.estimate.n),
        scored=overall.estimate.n,
        scorable=index.scorable,
        videos=index.num_videos,
        needs=bench.needs,
    )


def _macro(groups: Sequence[GroupScore], n: int) -> float | None:
    """The mean of the groups' means; None where there are none, or where a question counts in several."""
    if sum(g.estimate.n for g in groups) > n:
        return None
    found = MeanOfGroups(column="").of(_tallies(groups))
    return found[0].value


def _measured(
    declared: Sequence[Measure], groups: Mapping[str, tuple[GroupScore, ...]], n: int
) -> tuple[Measured, ...]:
    """What the page declares; and the mean of the first column's groups, unless it has a name or they overlap."""
    first = next(iter(groups), "")
    named = any(isinstance(m, MeanOfGroups) and m.column == first for m in declared)
    plain = [] if named or len(groups.get(first, ())) < 2 or _macro(groups[first], n) is None else [first]
    chosen = [*(MeanOfGroups(column=column) for column in plain), *declared]
    return tuple(found for m in chosen if groups.get(m.column) for found in m.of(_tallies(groups[m.column])))


def _tallies(groups: Sequence[GroupScore]) -> list[Tally]:
    return [
        Tally(group=g.group, n=g.estimate.n, right=g.right, total=g.estimate.mean * g.estimate.n)
        for g in groups
        if g.estimate.mean is not None
    ]


def converging(index: SampleIndex, found: Verdicts, *, points: int = 40) -> list[Point]:
    """The score as it converged: after ever more answers, in the order in which they came."""
    order = np.argsort(found.at, kind="stable")
    n = len(order)
    sizes = sorted({max(1, round(n * (i + 1) / points)) for i in range(points)}) if n else []
    values, videos = found.values[order], index.videos[found.places[order]]
    steps = [(size, mean_with_interval(values[:size], videos[:size])) for size in sizes]
    return [
        Point(n=size, at=float(found.at[order[size - 1]]), mean=e.mean, low=e.low, high=e.high)
        for size, e in steps
        if e.mean is not None and e.low is not None and e.high is not None
    ]
