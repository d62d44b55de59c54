"""Scores as rows: what a metric asks, answered from some questions with what was said of each."""

from collections.abc import Sequence

import numpy as np

from videval.db.records import RunInfo
from videval.metrics import VIDEO, Mask, Questions, Tally, tally_of, worth
from videval.report.index import SampleIndex, Verdicts, group_columns, grouped

__all__ = ["FromRows"]


class FromRows:
    """A `Scored` of these verdicts, whose places are in the index."""

    def __init__(self, run: RunInfo, index: SampleIndex, found: Verdicts) -> None:
        self.index = index
        self._run, self._found = run, found
        self.columns: Sequence[str] = tuple(c for c in group_columns(run) if c in index.groups)

    def groups(self, column: str) -> list[tuple[str, Mask]]:
        """Which questions count in each group; all of them in one, without a column."""
        if not column:
            return [("", np.ones(len(self._found.values), dtype=np.bool_))]
        if column not in self.index.groups:
            return []
        return list(grouped(self._run, self.index, column, self._found.places))

    def tally(self, column: str = "", least: float | None = None) -> Tally:
        """See `Scored`."""
        found = self._found
        return tally_of(worth(found.values, least), found.codes, self.index.videos[found.places], self.groups(column))

    def questions(self) -> Questions:
        """See `Scored`."""
        places, index = self._found.places, self.index
        units = {column: index.units(column) for column in (VIDEO, *index.groups)}
        return Questions(
            values=self._found.values,
            videos=index.videos[places],
            groups={column: self.groups(column) for column in index.groups},
            units={column: (numbers[places], sizes) for column, (numbers, sizes) in units.items()},
        )
