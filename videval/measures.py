"""Numbers that a benchmark gives beside the mean score, each by its name: averages of groups, precision, recall, F1.

A page declares them (`measures`); a report holds what they measured. Each rests on the groups of one column.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Detection", "MeanOfGroups", "MeanOfQuestions", "Measure", "Measured", "Tally", "measure_table"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """What was counted in one group: `n` scored questions, `right` of them, `total` the sum of their values in 0..1."""

    group: str
    n: int
    right: int
    total: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One number by name, in 0..1 or None where nothing was scored; `group` "" is the whole run.

    `about` says how it is counted.
    """

    name: str
    value: float | None
    about: str
    group: str = ""


class Measure(Protocol):
    """What a page declares: a rule from the groups of `column` to numbers."""

    @property
    def column(self) -> str:
        """The column whose groups it rests on."""

    def of(self, tallies: Sequence[Tally]) -> tuple[Measured, ...]:
        """The numbers of these groups, of which each has scored questions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanOfGroups:
    """The mean of the groups' means: each group counts the same."""

    column: str
    name: str = ""

    def of(self, tallies: Sequence[Tally]) -> tuple[Measured, ...]:
        about = f"mean of the {self.column} scores"
        value = _mean([t.total / t.n for t in tallies])
        return (Measured(name=self.name or about, value=value, about=about),)


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanOfQuestions:
    """The mean over all questions of some groups: each question counts the same."""

    column: str
    name: str
    groups: tuple[str, ...]

    def of(self, tallies: Sequence[Tally]) -> tuple[Measured, ...]:
        chosen = [t for t in tallies if t.group in self.groups]
        n = sum(t.n for t in chosen)
        value = math.fsum(t.total for t in chosen) / n if n else None
        about = f"all questions of {len(self.groups)} {self.column} groups together"
        return (Measured(name=self.name, value=value, about=about),)


@dataclass(frozen=True, kw_only=True, slots=True)
class Detection:
    """Precision, recall and F1 of each group but `negative`, whose questions are the negatives of all; and their means.

    Whoever is right on a positive has found it, whoever is wrong on a negative has seen what is not there; what has no
    denominator is 0. Nothing is measured before a negative and a positive are scored.
    """

    column: str
    negative: str

    def of(self, tallies: Sequence[Tally]) -> tuple[Measured, ...]:
        false = sum(t.n - t.right for t in tallies if t.group == self.negative)
        kinds = [t for t in tallies if t.group != self.negative]
        if not kinds or len(kinds) == len(tallies):
            return ()
        rows = {t.group: _precision_recall_f1(t.right, t.n - t.right, false) for t in kinds}
        means = [_mean(column) for column in zip(*rows.values(), strict=True)]
        about = f"by {self.column}, {self.negative} videos as negatives"
        return tuple(
            Measured(name=name, value=value, about=about, group=group)
            for group, values in [*rows.items(), ("mean", means)]
            for name, value in zip(("precision", "recall", "F1"), values, strict=True)
        )


def _precision_recall_f1(found: int, missed: int, false: int) -> tuple[float, float, float]:
    precision, recall = (found / n if n else 0.0 for n in (found + false, found + missed))
    f1 = 2 * found / (2 * found + missed + false) if found else 0.0
    return precision, recall, f1


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def measure_table(
    measured: Sequence[Measured],
) -> tuple[tuple[str, ...], list[tuple[str, tuple[float | None, ...]]]]:
    """The numbers that are of groups as a table: the names, and for each group its values in their order."""
    of_groups = [m for m in measured if m.group]
    names = tuple(dict.fromkeys(m.name for m in of_groups))
    values = {(m.group, m.name): m.value for m in of_groups}
    groups = dict.fromkeys(m.group for m in of_groups)
    return names, [(group, tuple(values.get((group, name)) for name in names)) for group in groups]
