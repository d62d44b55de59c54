"""What a metric is: what it may ask of a run's scores, and what it gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from videval.metrics.intervals import Codes, Difference, Estimate, Floats
from videval.metrics.tally import Mask, Tally

__all__ = ["VIDEO", "Figure", "Metric", "Questions", "Scored", "figure_table"]

VIDEO = "video"
"""The column of a question's video, in which each video is a group."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One number by name with its interval, in 0..1; `about` says how it is counted.

    `group` "" is the whole run. `top`: the rating that 1 stands for; None is a share, shown in percent.
    """

    name: str
    about: str
    estimate: Estimate
    group: str = ""
    top: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Questions:
    """Scored questions one by one: what each is worth in 0..1, the number of its video, which are in each group.

    `units`: by column, the number of each question's value in it, and how many scorable questions of the benchmark
    have that value.
    """

    values: Floats
    videos: Codes
    groups: Mapping[str, Sequence[tuple[str, Mask]]]
    units: Mapping[str, tuple[Codes, Codes]]


class Scored(Protocol):
    """What a metric may ask of a run's scores."""

    @property
    def columns(self) -> Sequence[str]:
        """The columns that the run is reported by."""

    def tally(self, column: str = "", least: float | None = None) -> Tally:
        """The groups of a column ("": all questions as one group, named ""), from sums that are kept.

        With `least`, a question is worth 1 if its value is at least that, else 0.
        """

    def questions(self) -> Questions:
        """Every question: as dear as there are many."""


class Metric(Protocol):
    """A rule from scored questions to numbers."""

    @property
    def column(self) -> str:
        """The column whose groups it rests on; "": on none."""

    @property
    def least(self) -> float | None:
        """From which value on a question counts, where it counts all or nothing; None: each is worth its value."""

    def of(self, scored: Scored) -> tuple[Figure, ...]:
        """Its numbers, the main one first; none where they cannot be told."""

    def difference(self, a: Questions, b: Questions) -> Difference | None:
        """The paired difference of its main number between two runs on the same questions; None: it has none."""


def figure_table(figures: Sequence[Figure]) -> tuple[tuple[str, ...], list[tuple[str, tuple[Figure | None, ...]]]]:
    """The figures that are of groups as a table: the names, and for each group its figures in their order."""
    of_groups = {(f.group, f.name): f for f in figures if f.group}
    names = tuple(dict.fromkeys(name for _, name in of_groups))
    groups = dict.fromkeys(group for group, _ in of_groups)
    return names, [(group, tuple(of_groups.get((group, name)) for name in names)) for group in groups]
