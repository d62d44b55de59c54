"""A run's score with its interval and coverage: the metrics that its benchmark declares, by group, as it converged."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from videval.asking import newer_than
from videval.benchmarks.base import Benchmark
from videval.benchmarks.catalog import find_benchmark
from videval.db.records import RunInfo
from videval.db.scores import VERDICTS
from videval.db.session import Database
from videval.metrics import Cell, Estimate, Figure, Mean, Scored, mean_with_interval, worth
from videval.report.counted import Counted, Load, counted
from videval.report.index import SampleIndex, Verdicts, natural
from videval.report.published import Reproduction, reproductions
from videval.types import Verdict
from videval.words import plural

__all__ = ["GroupScore", "Point", "ScoreReport", "converging", "metric_rows", "score_of_questions", "score_report"]

FEW_VIDEOS = 10
"""Below this many videos an interval is so wide that it needs a word."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupScore:
    """The score of one group with its 95 % interval, and how many were right, wrong, unparsed, truncated,
    refused."""

    column: str
    group: str
    estimate: Estimate
    right: int
    wrong: int
    unparsed: int
    truncated: int
    refused: int

    @property
    def scored(self) -> int:
        """How many questions were judged, whatever the verdict."""
        return self.right + self.wrong + self.unparsed + self.truncated + self.refused

    @property
    def videos(self) -> int:
        """How many videos the scored questions are about."""
        return self.estimate.clusters


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreReport:
    """A run's score. An unparsed, truncated or refused answer counts as 0 and is counted beside it; a failed or missing
    one is left out.

    `overall` is the headline, the first of the benchmark's metrics; `name` it and `top` it see `Figure`. `metrics`
    are the figures of the others, `published` the numbers of the run's recipe beside them. `coverage` is scored /
    scorable samples of the whole benchmark; `videos` how many videos that has. `outdated`: what is to be done since a
    scorer is newer than its scores; else empty.
    """

    run: RunInfo
    name: str
    top: float | None
    overall: GroupScore
    groups: Mapping[str, tuple[GroupScore, ...]]
    metrics: tuple[Figure, ...]
    scored: int
    scorable: int
    videos: int
    needs: str
    outdated: str
    published: tuple[Reproduction, ...] = ()

    @property
    def value(self) -> float | None:
        """The headline in 0..1; None while nothing is scored."""
        return self.overall.estimate.mean

    @property
    def coverage(self) -> float:
        """The share of the benchmark's scorable questions that the score rests on."""
        return self.scored / self.scorable if self.scorable else 0.0

    @property
    def too_short(self) -> str:
        """What is to be done where answers ended inside their thinking; else empty."""
        count = self.overall.truncated
        if not count:
            return ""
        return f"{plural(count, 'answer')} ended inside the thinking -> a higher --max-new-tokens, or --thinking-budget"

    @property
    def held_back(self) -> str:
        """What the score makes of answers that a server's content filter held back; empty where there are none."""
        count = self.overall.refused
        if not count:
            return ""
        return f"{plural(count, 'answer')} held back by the server's content filter: counted as 0, and not as wrong"

    @property
    def verdicts(self) -> tuple[str, ...]:
        """The verdicts that a table has columns for: servers that refuse are few, and the others need no column."""
        return VERDICTS if self.overall.refused else tuple(v for v in VERDICTS if v != Verdict.REFUSED)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is to be said beside the score."""
        return tuple(filter(None, (self.too_short, self.held_back, self.caution)))

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


def score_report(database: Database, run: RunInfo, load: Load | None = None) -> ScoreReport:
    """The score of a run so far, overall and by each column that its benchmark reports by.

    `load`: see `counted`.
    """
    found, bench = counted(database, run, load), find_benchmark(run.benchmark)
    headline, *others = bench.metrics
    (first, *more) = headline.of(found.scored) or (_nothing(),)
    cells = found.scored.tally().cells
    overall = _group("", "overall", cells.get("", _EMPTY), first.estimate)
    metrics = (*more, *(figure for metric in others for figure in metric.of(found.scored)))
    named = {figure.name: figure for figure in (*metrics, first) if not figure.group}
    return ScoreReport(
        run=run,
        name=first.name,
        top=first.top,
        overall=overall,
        groups={column: _by_group(bench, found.scored, column) for column in found.scored.columns},
        metrics=metrics,
        scored=overall.scored,
        scorable=found.scorable,
        videos=found.videos,
        needs=bench.needs,
        outdated=_outdated(run, bench, found),
        published=reproductions(run.recipe, named | {"": first}, scored=overall.scored, scorable=found.scorable),
    )


def metric_rows(report: ScoreReport) -> list[dict[str, Any]]:
    """The headline and all other figures as plain records, for files; in 0..1, `top` as of `Figure`."""
    first = Figure(name=report.name, about="", estimate=report.overall.estimate, top=report.top)
    return [
        {"name": f.name, "group": f.group, "top": f.top, "value": f.estimate.mean}
        | {name: getattr(f.estimate, name) for name in ("low", "high", "n", "clusters")}
        for f in (first, *report.metrics)
    ]


_EMPTY = Cell(n=0, right=0, wrong=0, unparsed=0, total=0.0, squares=0.0, videos=0)


def _nothing() -> Figure:
    """The headline of a metric that cannot be told yet."""
    return Figure(name="score", about="", estimate=Estimate(mean=None, low=None, high=None, n=0, clusters=0))


def score_of_questions(bench: Benchmark) -> Mean:
    """What is said of each group: the first metric that is a mean over questions."""
    return next((metric for metric in bench.metrics if isinstance(metric, Mean) and not metric.only), Mean())


def _by_group(bench: Benchmark, scored: Scored, column: str) -> tuple[GroupScore, ...]:
    cells, estimates = scored.tally(column).cells, score_of_questions(bench).each(scored, column)
    return tuple(_group(column, name, cells[name], estimates[name]) for name in sorted(cells, key=natural))


def _group(column: str, name: str, cell: Cell, found: Estimate) -> GroupScore:
    verdicts = {verdict: getattr(cell, verdict) for verdict in VERDICTS}
    return GroupScore(column=column, group=name, estimate=found, **verdicts)


def _outdated(run: RunInfo, bench: Benchmark, found: Counted) -> str:
    newer = {stored: now for stored in sorted(found.scorers) if (now := newer_than(bench, stored))}
    if not newer:
        return ""
    said = ", ".join(f"scores by {stored}, this videval has {now}" for stored, now in newer.items())
    return f"{said} -> videval merge {run.name}"


def converging(run: RunInfo, index: SampleIndex, found: Verdicts, *, points: int = 40) -> list[Point]:
    """The mean over questions as it converged: after ever more answers, in the order in which they came."""
    order = np.argsort(found.at, kind="stable")
    n = len(order)
    sizes = sorted({max(1, round(n * (i + 1) / points)) for i in range(points)}) if n else []
    least = score_of_questions(find_benchmark(run.benchmark)).least
    values, videos = worth(found.values[order], least), index.videos[found.places[order]]
    steps = [(size, mean_with_interval(values[:size], videos[:size])) for size in sizes]
    return [
        Point(n=size, at=float(found.at[order[size - 1]]), mean=e.mean, low=e.low, high=e.high)
        for size, e in steps
        if e.mean is not None and e.low is not None and e.high is not None
    ]
