"""Two runs on the same questions: the difference with its paired interval, what flipped, what differs in the cards."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from videval.benchmarks.base import Benchmark
from videval.benchmarks.catalog import find_benchmark
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.metrics import Codes, Difference, Figure, Mask, mcnemar, paired_difference, worth
from videval.plain import plain
from videval.report.index import SampleIndex, Verdicts, load_verdicts
from videval.report.rows import FromRows
from videval.report.scores import score_of_questions

__all__ = ["CardDifference", "Comparison", "GroupDifference", "MetricDifference", "card_differences", "compare"]

MOST_FLIPPED = 500
_OF_RECIPE = ("name", "digest", "wording")
"""What of a recipe may make two runs differ."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupDifference:
    """a - b within one group."""

    group: str
    difference: Difference


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricDifference:
    """a - b of one metric, by the figure that it gives of each run over the shared questions."""

    a: Figure
    b: Figure
    difference: Difference


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Two runs, question by question over the `difference.n` that both answered and had scored.

    `only_a` / `only_b`: row ids of questions that only one of them got right (the first `MOST_FLIPPED`), counted in
    `num_only_a`, `num_only_b`; `num_unlike`: how many are worth another value in each, right or not; `p` McNemar's
    exact p-value. `mean_a`, `mean_b` are over the shared questions. `difference` is of the mean over questions (`top`:
    see `Figure`), `metrics` of what else the benchmark declares and has one.
    """

    difference: Difference
    top: float | None
    metrics: tuple[MetricDifference, ...]
    mean_a: float | None
    mean_b: float | None
    p: float
    num_only_a: int
    num_only_b: int
    both_right: int
    num_unlike: int
    only_a: tuple[int, ...]
    only_b: tuple[int, ...]
    groups: Mapping[str, tuple[GroupDifference, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class CardDifference:
    """One fact that two run cards disagree on."""

    what: str
    a: str
    b: str


def compare(database: Database, a: RunInfo, b: RunInfo, index: SampleIndex) -> Comparison:
    """Compare two runs on one snapshot, whose questions are `index`."""
    bench = find_benchmark(a.benchmark)
    of_a, of_b = _shared(*(load_verdicts(database, run, index) for run in (a, b)))
    rows_a, rows_b = FromRows(a, index, of_a), FromRows(b, index, of_b)
    least = score_of_questions(bench).least
    values_a, values_b = worth(of_a.values, least), worth(of_b.values, least)
    right_a, right_b = of_a.codes == 0, of_b.codes == 0
    ids = index.ids[of_a.places]
    only_a, only_b = ids[right_a & ~right_b], ids[right_b & ~right_a]
    videos = index.videos[of_a.places]

    def differing(mask: Mask) -> Difference:
        return paired_difference(values_a[mask], values_b[mask], videos[mask])

    return Comparison(
        difference=differing(np.ones(len(ids), dtype=np.bool_)),
        top=score_of_questions(bench).top,
        metrics=tuple(_metrics(bench, rows_a, rows_b)),
        mean_a=float(values_a.mean()) if len(values_a) else None,
        mean_b=float(values_b.mean()) if len(values_b) else None,
        p=mcnemar(len(only_a), len(only_b)),
        num_only_a=len(only_a),
        num_only_b=len(only_b),
        both_right=int(np.count_nonzero(right_a & right_b)),
        num_unlike=int(np.count_nonzero(of_a.values != of_b.values)),
        only_a=tuple(map(int, only_a[:MOST_FLIPPED])),
        only_b=tuple(map(int, only_b[:MOST_FLIPPED])),
        groups={
            column: tuple(
                GroupDifference(group=name, difference=differing(mask))
                for name, mask in rows_a.groups(column)
                if mask.any()
            )
            for column in rows_a.columns
        },
    )


def _shared(a: Verdicts, b: Verdicts) -> tuple[Verdicts, Verdicts]:
    """What was said of the questions that both have scored, in the same order."""
    _, in_a, in_b = np.intersect1d(a.places, b.places, return_indices=True)
    return _some(a, in_a), _some(b, in_b)


def _some(found: Verdicts, at: Codes) -> Verdicts:
    return Verdicts(places=found.places[at], codes=found.codes[at], values=found.values[at], at=found.at[at])


def _metrics(bench: Benchmark, a: FromRows, b: FromRows) -> Iterator[MetricDifference]:
    """Of each metric that has a difference, but the mean over questions, which is the comparison itself."""
    questions_a, questions_b = a.questions(), b.questions()
    for metric in bench.metrics:
        difference = None if metric == score_of_questions(bench) else metric.difference(questions_a, questions_b)
        if difference is not None and difference.n:
            yield MetricDifference(a=metric.of(a)[0], b=metric.of(b)[0], difference=difference)


def _flat(value: Any, key: str = "") -> dict[str, str]:
    if isinstance(value, Mapping):
        return {
            k: v for name, inner in value.items() for k, v in _flat(inner, f"{key}.{name}" if key else name).items()
        }
    return {key: "-" if value in (None, "") else str(value)}


def _asked(run: RunInfo) -> dict[str, Any]:
    """What was asked of a run, with its recipe but for what that says of itself."""
    recipe = {name: value for name, value in plain(run.recipe).items() if name in _OF_RECIPE} if run.recipe else {}
    return dict(run.card) | {"dtype": run.dtype, "limit": run.limit, "recipe": recipe}


def card_differences(a: RunInfo, b: RunInfo) -> list[CardDifference]:
    """What differs in what was asked of two runs."""
    left, right = (_flat(_asked(run)) for run in (a, b))
    return [
        CardDifference(what=key, a=left.get(key, "-"), b=right.get(key, "-"))
        for key in sorted(left.keys() | right.keys())
        if left.get(key, "-") != right.get(key, "-")
    ]
