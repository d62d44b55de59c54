"""Two runs on the same questions: the difference with its paired interval, what flipped, what differs in the cards."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from videval.db.records import RunInfo
from videval.db.session import Database
from videval.metrics import Difference, mcnemar, paired_difference
from videval.registry import RULE
from videval.report.index import SampleIndex, grouped, load_verdicts

__all__ = ["CardDifference", "Comparison", "GroupDifference", "card_differences", "compare"]

RESAMPLES = 2000
DRAWS = 40_000_000
"""Videos x resamples that a bootstrap draws at most: a few seconds."""
MOST_FLIPPED = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupDifference:
    """a - b within one group."""

    group: str
    difference: Difference


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Two runs, question by question over the `difference.n` that both answered and had scored.

    `only_a` / `only_b`: row ids of questions that only one of them got right (the first `MOST_FLIPPED`), counted in
    `num_only_a`, `num_only_b`; `p` McNemar's exact p-value. `mean_a`, `mean_b` are over the shared questions.
    """

    difference: Difference
    mean_a: float | None
    mean_b: float | None
    p: float
    num_only_a: int
    num_only_b: int
    both_right: int
    only_a: tuple[int, ...]
    only_b: tuple[int, ...]
    groups: Mapping[str, tuple[GroupDifference, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class CardDifference:
    """One fact that two run cards disagree on."""

    what: str
    a: str
    b: str


def compare(database: Database, a: RunInfo, b: RunInfo, index: SampleIndex, scorer: str = RULE) -> Comparison:
    """Compare two runs on one snapshot, whose questions are `index`."""
    of_a, of_b = (load_verdicts(database, run, index, scorer) for run in (a, b))
    _, in_a, in_b = np.intersect1d(of_a.places, of_b.places, return_indices=True)
    places = of_a.places[in_a]
    values_a, values_b = of_a.values[in_a], of_b.values[in_b]
    right_a, right_b = of_a.codes[in_a] == 0, of_b.codes[in_b] == 0
    only_a, only_b = index.ids[places[right_a & ~right_b]], index.ids[places[right_b & ~right_a]]
    videos = index.videos[places]
    groups = {
        column: tuple(
            GroupDifference(group=name, difference=_difference(values_a[m], values_b[m], videos[m]))
            for name, m in grouped(a, index, column, places)
            if m.any()
        )
        for column in index.groups
    }
    return Comparison(
        difference=_difference(values_a, values_b, videos),
        mean_a=float(values_a.mean()) if len(values_a) else None,
        mean_b=float(values_b.mean()) if len(values_b) else None,
        p=mcnemar(len(only_a), len(only_b)),
        num_only_a=len(only_a),
        num_only_b=len(only_b),
        both_right=int(np.count_nonzero(right_a & right_b)),
        only_a=tuple(map(int, only_a[:MOST_FLIPPED])),
        only_b=tuple(map(int, only_b[:MOST_FLIPPED])),
        groups=groups,
    )


def _difference(a: Any, b: Any, videos: Any) -> Difference:
    """Paired bootstrap clustered by video; fewer draws where there are very many videos."""
    clusters = len(np.unique(videos))
    resamples = max(200, min(RESAMPLES, DRAWS // max(clusters, 1)))
    return paired_difference(a, b, videos, resamples=resamples)


def _flat(value: Any, key: str = "") -> dict[str, str]:
    if isinstance(value, Mapping):
        return {
            k: v for name, inner in value.items() for k, v in _flat(inner, f"{key}.{name}" if key else name).items()
        }
    return {key: "-" if value is None else str(value)}


def card_differences(a: RunInfo, b: RunInfo) -> list[CardDifference]:
    """What differs in what was asked of two runs."""
    left, right = (_flat(dict(run.card) | {"dtype": run.dtype, "limit": run.limit}) for run in (a, b))
    return [
        CardDifference(what=key, a=left.get(key, "-"), b=right.get(key, "-"))
        for key in sorted(left.keys() | right.keys())
        if left.get(key) != right.get(key)
    ]
