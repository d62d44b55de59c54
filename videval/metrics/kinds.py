"""How a score is made, each way by its name: means of questions and of groups, thresholds, precision and recall.

A page declares its `metrics`; the first is the headline. A report shows whatever they give.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from videval.metrics.intervals import (
    Codes,
    Difference,
    Estimate,
    Floats,
    mean_with_interval,
    paired_difference,
    resampled_difference,
)
from videval.metrics.metric import VIDEO, Figure, Questions, Scored
from videval.metrics.tally import Cell, Mask, Slopes, Tally, estimate

__all__ = [
    "AllOfGroup",
    "Detection",
    "GroupMean",
    "Mean",
    "MeanRelativeAccuracy",
    "Rating",
    "ShareAbove",
    "worth",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mean:
    """The mean over all questions, or over those of the groups `only` of a column: each question counts the same.

    `least`, `top`: see `Metric` and `Figure`. Interval: `estimate` of `videval/metrics/tally.py`.
    """

    name: str = "score"
    column: str = ""
    only: tuple[str, ...] = ()
    least: float | None = None
    top: float | None = None

    def of(self, scored: Scored) -> tuple[Figure, ...]:
        tally = scored.tally(self.column, self.least)
        found = _mean(tally, self.only or tuple(tally.cells))
        return (Figure(name=self.name or self._about(), about=self._about(), estimate=found, top=self.top),)

    def each(self, scored: Scored, column: str) -> dict[str, Estimate]:
        """The same of each group of a column."""
        tally = scored.tally(column, self.least)
        return {group: _mean(tally, (group,)) for group in tally.cells}

    def difference(self, a: Questions, b: Questions) -> Difference | None:
        masks = [mask for group, mask in a.groups.get(self.column, ()) if group in self.only]
        chosen = np.any(masks, axis=0) if masks else np.full(len(a.values), not self.only)
        of_a, of_b = (worth(q.values[chosen], self.least) for q in (a, b))
        return paired_difference(of_a, of_b, a.videos[chosen])

    def _about(self) -> str:
        return f"all questions of {len(self.only)} {self.column} groups together" if self.only else "mean of all"


@dataclass(frozen=True, slots=True)
class ShareAbove(Mean):
    """The share of the questions whose value is at least this: R@1 at an IoU of 0.5."""

    least: float = 0.5
    name: str = field(default="", kw_only=True)

    def _about(self) -> str:
        return f"share of at least {self.least:g}"


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanRelativeAccuracy(Mean):
    """The mean of what the scorer `number` says: the part of ten thresholds that a number is close enough for."""

    name: str = "MRA"

    def _about(self) -> str:
        return "mean relative accuracy of numbers"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rating(Mean):
    """The mean of ratings of 0 to `top`, which a scorer gives as values of 0 to 1."""

    name: str = "rating"
    top: float | None = 5.0

    def _about(self) -> str:
        return f"mean rating of 0 to {self.top:g}"


def worth(values: Floats, least: float | None) -> Floats:
    """What values count: themselves, or with `least` all or nothing."""
    return values if least is None else (values >= least).astype(np.float64)


def _mean(tally: Tally, groups: Sequence[str]) -> Estimate:
    cells = {group: tally.cells[group] for group in groups if group in tally.cells}
    n = sum(cell.n for cell in cells.values())
    if not n:
        return Estimate(mean=None, low=None, high=None, n=0, clusters=0)
    value = math.fsum(cell.total for cell in cells.values()) / n
    return estimate(tally, value, dict.fromkeys(cells, (-value / n, 1 / n)))


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupMean:
    """The mean of the means of a column's groups: each group counts the same.

    Without a column it is of the first that the run is reported by, if that has several groups and no question counts
    in two of them. Interval: as of `Mean`; groups that share videos go together as they do there.
    """

    column: str = ""
    name: str = ""

    least = None

    def of(self, scored: Scored) -> tuple[Figure, ...]:
        column = self.column or next(iter(scored.columns), "")
        cells = scored.tally(column).cells if column else {}
        several = len(cells) > 1 and sum(c.n for c in cells.values()) <= scored.tally().cells[""].n
        if not cells or not (self.column or several):
            return ()
        value = math.fsum(c.total / c.n for c in cells.values()) / len(cells)
        found = estimate(scored.tally(column), value, {g: _slope(c, len(cells)) for g, c in cells.items()})
        about = f"mean of the {column} scores"
        return (Figure(name=self.name or about, about=about, estimate=found),)

    def difference(self, a: Questions, b: Questions) -> Difference | None:
        column = self.column or next(iter(a.groups), "")
        masks = [mask for _, mask in a.groups.get(column, ()) if mask.any()]
        if not masks or not (self.column or (len(masks) > 1 and np.sum(masks, axis=0).max() == 1)):
            return None
        chosen = np.any(masks, axis=0)
        _, video = np.unique(a.videos[chosen], return_inverse=True)
        change, count = (a.values - b.values)[chosen], int(video.max()) + 1
        weights = [*(change * mask[chosen] for mask in masks), *(mask[chosen].astype(np.float64) for mask in masks)]
        parts = np.stack([np.bincount(video, weight, count) for weight in weights], axis=1).astype(np.float64)
        return resampled_difference(parts, _mean_of_ratios, n=int(chosen.sum()))


def _slope(cell: Cell, groups: int) -> tuple[float, float]:
    return -cell.total / cell.n**2 / groups, 1 / cell.n / groups


def _mean_of_ratios(sums: Floats) -> float:
    """Of the groups that were drawn."""
    changes, counts = np.split(sums, 2)
    there = counts > 0
    return float((changes[there] / counts[there]).mean())


@dataclass(frozen=True, kw_only=True, slots=True)
class AllOfGroup:
    """What whole groups are worth: the share of their questions that are right, to a power; with the usual one, 1 if
    all are right and else 0.

    A group is the questions with one value in a column, or of one video; those of which a question is not scored do
    not count. Interval: that of a mean over groups, clustered by the video of their first question.
    """

    column: str = VIDEO
    power: float = math.inf
    name: str = ""

    least = None

    def of(self, scored: Scored) -> tuple[Figure, ...]:
        values, videos, whole = self._worth(scored.questions())
        found = mean_with_interval(values[whole], videos[whole])
        return (Figure(name=self.name or self._about(), about=self._about(), estimate=found),)

    def difference(self, a: Questions, b: Questions) -> Difference | None:
        of_a, videos, whole = self._worth(a)
        return paired_difference(of_a[whole], self._worth(b)[0][whole], videos[whole])

    def _worth(self, questions: Questions) -> tuple[Floats, Codes, Mask]:
        """Of each group: what it is worth, its video, and whether all of its questions are scored."""
        unit, sizes = questions.units[self.column]
        n = np.bincount(unit, minlength=len(sizes))
        total = np.bincount(unit, weights=questions.values, minlength=len(sizes))
        videos = np.zeros(len(sizes), dtype=np.int64)
        videos[unit[::-1]] = questions.videos[::-1]
        worth_of = np.minimum(total / np.maximum(sizes, 1), 1.0) ** self.power
        return worth_of, videos, (n == sizes) & (sizes > 0)

    def _about(self) -> str:
        what = "all right" if math.isinf(self.power) else f"the share of right answers to the power of {self.power:g}"
        return f"by {self.column}: {what}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Detection:
    """Precision, recall and F1 of each group but `negative`, whose questions are the negatives of all; and their means.

    Whoever is right on a positive has found it, whoever is wrong on a negative has seen what is not there; what has no
    denominator is 0. Nothing is told before a negative and a positive are scored. Interval: as of `Mean`.
    """

    column: str
    negative: str

    least = None

    def of(self, scored: Scored) -> tuple[Figure, ...]:
        tally = scored.tally(self.column)
        kinds = [group for group in tally.cells if group != self.negative]
        if not kinds or len(kinds) == len(tally.cells):
            return ()
        rows = {kind: self._of_kind(tally, kind) for kind in sorted(kinds)}
        means = [_mean_of(column) for column in zip(*rows.values(), strict=True)]
        about = f"by {self.column}, {self.negative} videos as negatives"
        return tuple(
            Figure(name=name, about=about, estimate=estimate(tally, value, slopes), group=group)
            for group, numbers in [*rows.items(), ("mean", means)]
            for name, (value, slopes) in zip(("precision", "recall", "F1"), numbers, strict=True)
        )

    def difference(self, a: Questions, b: Questions) -> Difference | None:
        return None

    def _of_kind(self, tally: Tally, kind: str) -> list[tuple[float, Slopes]]:
        """Precision, recall and F1 of one kind, each with its slopes."""
        cell, other = tally.cells[kind], tally.cells[self.negative]
        found, n, false = cell.total, cell.n, other.n - other.total
        seen, both = found + false or 1.0, found + n + false
        return [
            (found / seen, {kind: (0.0, false / seen**2), self.negative: (-found / seen**2, found / seen**2)}),
            (found / n, {kind: (-found / n**2, 1 / n)}),
            (
                2 * found / both,
                {
                    kind: (-2 * found / both**2, 2 * (both - found) / both**2),
                    self.negative: (-2 * found / both**2, 2 * found / both**2),
                },
            ),
        ]


def _mean_of(numbers: Sequence[tuple[float, Slopes]]) -> tuple[float, Slopes]:
    """The mean of several numbers, whose slopes are the means of theirs."""
    slopes: dict[str, tuple[float, float]] = {}
    for _, each in numbers:
        for group, (by_n, by_total) in each.items():
            known = slopes.get(group, (0.0, 0.0))
            slopes[group] = known[0] + by_n / len(numbers), known[1] + by_total / len(numbers)
    return math.fsum(value for value, _ in numbers) / len(numbers), slopes
