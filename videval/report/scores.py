"""A run's score with its interval and coverage, overall, by group, and as it converged.

The questions of a benchmark are read once as arrays (`SampleIndex`); a run's verdicts are laid beside them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from videval.benchmarks.catalog import benchmark as find_benchmark
from videval.db import stats
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.metrics import Codes, Estimate, Floats, mean_with_interval
from videval.registry import RULE

__all__ = [
    "GroupScore",
    "Point",
    "SampleIndex",
    "ScoreReport",
    "Verdicts",
    "converging",
    "group_columns",
    "load_index",
    "load_verdicts",
    "score_report",
    "spans",
]

SPAN = 20_000
"""Row ids that one query looks at: a fraction of a second, so that no reader stays open for long."""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleIndex:
    """The questions of a snapshot as arrays in the order of their row ids: video by number, groups by number."""

    ids: Codes
    videos: Codes
    scorable: int
    groups: Mapping[str, tuple[tuple[str, ...], Codes]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdicts:
    """What a scorer said of a run: places in the SampleIndex, verdict codes, values in 0..1, answer times (s)."""

    places: Codes
    codes: npt.NDArray[np.int8]
    values: Floats
    at: Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """The score after the first `n` scored answers, the last of them at `at` (seconds since the epoch)."""

    n: int
    at: float
    mean: float
    low: float
    high: float


def spans(low: int, high: int, size: int = SPAN) -> Iterator[tuple[int, int]]:
    """low..high cut into pieces of `size`, both ends included."""
    for start in range(low, high + 1, size):
        yield start, min(start + size - 1, high)


def group_columns(run: RunInfo) -> tuple[str, ...]:
    """The columns that this run's benchmark reports by, of those that its questions have."""
    return tuple(c for c in find_benchmark(run.benchmark).groups if c in run.columns)


class _Numbers:
    """Numbers the distinct values of a column in order of first sight; None is -1."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self._parts: list[Codes] = []

    def add(self, values: Iterable[str | None]) -> None:
        """The next values."""
        known = self._known
        codes = [-1 if v is None else known.setdefault(str(v), len(known)) for v in values]
        self._parts.append(np.asarray(codes, dtype=np.int64))

    @property
    def names(self) -> tuple[str, ...]:
        """The distinct values; the number of each is its place."""
        return tuple(self._known)

    @property
    def codes(self) -> Codes:
        """The number of each value."""
        return np.concatenate([np.zeros(0, dtype=np.int64), *self._parts])


def load_index(database: Database, snapshot_id: int, columns: Sequence[str]) -> SampleIndex:
    """Read the questions of a snapshot, with their groups by `columns`.

    Span by span into arrays: one conversion of a million rows would hold up every other thread for seconds.
    """
    with database.read() as connection:
        span = stats.sample_span(connection, snapshot_id)
    ids, scorable = [np.zeros(0, dtype=np.int64)], 0
    videos, groups = _Numbers(), [_Numbers() for _ in columns]
    for low, high in spans(*span) if span else ():
        with database.read() as connection:
            rows = stats.sample_facts(connection, snapshot_id, columns, low, high)
        ids.append(np.asarray([row[0] for row in rows], dtype=np.int64))
        videos.add(row[1] for row in rows)
        scorable += sum(bool(row[2]) for row in rows)
        for at, numbers in enumerate(groups, start=3):
            numbers.add(row[at] for row in rows)
    return SampleIndex(
        ids=np.concatenate(ids),
        videos=videos.codes,
        scorable=scorable,
        groups={c: (numbers.names, numbers.codes) for c, numbers in zip(columns, groups, strict=True)},
    )


def load_verdicts(
    database: Database, run: RunInfo, index: SampleIndex, scorer: str = RULE, *, with_time: bool = False
) -> Verdicts:
    """Read what a scorer said of a run so far."""
    parts = [np.zeros((0, 4))]
    for low, high in spans(int(index.ids[0]), int(index.ids[-1])) if len(index.ids) else ():
        with database.read() as connection:
            rows = stats.verdicts(connection, run.run_id, scorer, low, high, with_time=with_time)
        parts.append(np.asarray(rows, dtype=np.float64).reshape(len(rows), 4))
    table = np.concatenate(parts)
    return Verdicts(
        places=np.searchsorted(index.ids, table[:, 0].astype(np.int64)),
        codes=table[:, 1].astype(np.int8),
        values=np.ascontiguousarray(table[:, 2]),
        at=np.ascontiguousarray(table[:, 3]),
    )


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


def _by_group(column: str, index: SampleIndex, found: Verdicts) -> tuple[GroupScore, ...]:
    names, numbers = index.groups[column]
    mine = numbers[found.places]
    scores = [_group(column, name, index, found, mine == i) for i, name in enumerate(names)]
    return tuple(sorted((s for s in scores if s.estimate.n), key=lambda s: s.group))


def score_report(
    database: Database, run: RunInfo, scorer: str = RULE, *, index: SampleIndex | None = None
) -> ScoreReport:
    """The score of a run so far, overall and by each column that its benchmark reports by."""
    index = index or load_index(database, run.snapshot_id, group_columns(run))
    found = load_verdicts(database, run, index, scorer)
    overall = _group("", "overall", index, found, np.ones(len(found.values), dtype=bool))
    groups = {column: _by_group(column, index, found) for column in index.groups}
    first = next(iter(groups.values()), ())
    means = [g.estimate.mean for g in first if g.estimate.mean is not None]
    return ScoreReport(
        run=run,
        overall=overall,
        groups=groups,
        macro=sum(means) / len(means) if means else None,
        scored=overall.estimate.n,
        scorable=index.scorable,
        needs=find_benchmark(run.benchmark).needs,
    )


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
