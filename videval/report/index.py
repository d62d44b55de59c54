"""The questions of a snapshot as arrays, and a run's verdicts beside them.

The questions are read once (`SampleIndex`), span by span, however many runs rest on them.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from videval.benchmarks.catalog import find_benchmark
from videval.db import scores, stats
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.metrics import VIDEO, Codes, Floats, Mask
from videval.report.spans import spans

__all__ = [
    "Numbers",
    "SampleIndex",
    "Verdicts",
    "group_columns",
    "grouped",
    "index_columns",
    "load_index",
    "load_verdicts",
    "natural",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleIndex:
    """The questions of a snapshot as arrays in the order of their row ids.

    Videos by number; `has_answer`: whether it can be scored; by column that is reported by, its distinct values and
    the number of each question's (-1: none).
    """

    ids: Codes
    videos: Codes
    has_answer: Mask
    groups: Mapping[str, tuple[tuple[str, ...], Codes]]

    @property
    def num_videos(self) -> int:
        """How many videos the questions are about."""
        return int(self.videos.max()) + 1 if len(self.videos) else 0

    @property
    def scorable(self) -> int:
        """How many questions have an answer to compare with."""
        return int(np.count_nonzero(self.has_answer))

    def units(self, column: str) -> tuple[Codes, Codes]:
        """The number of each question's value in a column or of its video, and how many with an answer have each.

        Questions without a value have one in common, the last, of which there are none.
        """
        numbers = self.videos if column == VIDEO else self.groups[column][1]
        count = int(numbers.max(initial=-1)) + 1
        sizes = np.append(np.bincount(numbers[self.has_answer & (numbers >= 0)], minlength=count), 0)
        return np.where(numbers < 0, count, numbers), sizes


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdicts:
    """What was said of a run's samples: places in the SampleIndex, verdict codes, values in 0..1, answer times (s)."""

    places: Codes
    codes: npt.NDArray[np.int8]
    values: Floats
    at: Floats


def group_columns(run: RunInfo) -> tuple[str, ...]:
    """The columns that this run's benchmark reports by, of those that its questions have."""
    return tuple(c for c in find_benchmark(run.benchmark).groups if c in run.columns)


def index_columns(run: RunInfo) -> tuple[str, ...]:
    """These, and those that only a metric of the benchmark rests on."""
    asked = (metric.column for metric in find_benchmark(run.benchmark).metrics)
    more = (c for c in asked if c != VIDEO and c in run.columns)
    return tuple(dict.fromkeys([*group_columns(run), *more]))


class Numbers:
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
    ids, has_answer = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.bool_)]
    videos, groups = Numbers(), [Numbers() for _ in columns]
    for low, high in spans(*span) if span else ():
        with database.read() as connection:
            rows = stats.sample_facts(connection, snapshot_id, columns, low, high)
        ids.append(np.asarray([row[0] for row in rows], dtype=np.int64))
        videos.add(row[1] for row in rows)
        has_answer.append(np.asarray([bool(row[2]) for row in rows], dtype=np.bool_))
        for at, numbers in enumerate(groups, start=3):
            numbers.add(row[at] for row in rows)
    return SampleIndex(
        ids=np.concatenate(ids),
        videos=videos.codes,
        has_answer=np.concatenate(has_answer),
        groups={c: (numbers.names, numbers.codes) for c, numbers in zip(columns, groups, strict=True)},
    )


def load_verdicts(database: Database, run: RunInfo, index: SampleIndex, *, with_time: bool = False) -> Verdicts:
    """Read what the benchmark's own scorers said of a run so far."""
    parts = [np.zeros((0, 4))]
    for low, high in spans(int(index.ids[0]), int(index.ids[-1])) if len(index.ids) else ():
        with database.read() as connection:
            rows = scores.verdicts(connection, run.run_id, low, high, with_time=with_time)
        parts.append(np.asarray(rows, dtype=np.float64).reshape(len(rows), 4))
    table = np.concatenate(parts)
    return Verdicts(
        places=np.searchsorted(index.ids, table[:, 0].astype(np.int64)),
        codes=table[:, 1].astype(np.int8),
        values=np.ascontiguousarray(table[:, 2]),
        at=np.ascontiguousarray(table[:, 3]),
    )


def grouped(run: RunInfo, index: SampleIndex, column: str, places: Codes) -> Iterator[tuple[str, Mask]]:
    """Each group of a column in natural order, with which of the questions at `places` count in it.

    The benchmark says which groups a value of the column belongs to; a question may count in several.
    """
    values, numbers = index.groups[column]
    groups_of = find_benchmark(run.benchmark).groups_of
    members: dict[str, list[int]] = {}
    for number, value in enumerate(values):
        for group in groups_of(column, value):
            members.setdefault(group, []).append(number)
    mine = numbers[places]
    for group in sorted(members, key=natural):
        belongs = np.zeros(len(values) + 1, dtype=bool)  # the last is for questions without a value
        belongs[members[group]] = True
        yield group, belongs[mine]


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """A key that sorts names as people do: task 2 before task 10."""
    parts = re.split(r"(\d+)", name)
    numbers = (part.lstrip("0") if i % 2 else part for i, part in enumerate(parts))
    return tuple((len(part) if i % 2 else 0, part) for i, part in enumerate(numbers))
