"""Where the runs of a suite stand."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from videval.db.records import RunInfo
from videval.db.session import Database
from videval.report import RunStatus, ScoreReport, run_status, score_report
from videval.suites.orders import Cell

__all__ = ["Standing", "places_of", "standings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """A run of a suite: where it stands and its score so far; None: nothing was asked of it yet."""

    cell: Cell
    status: RunStatus | None
    score: ScoreReport | None

    @property
    def is_finished(self) -> bool:
        """Whether all that was asked is answered or failed; of a cancelled run it is not."""
        return self.status is not None and self.status.counts.finished and not self.status.counts.cancelled


def standings(database: Database, cells: Sequence[Cell], runs: Iterable[RunInfo | None]) -> list[Standing]:
    """Where each of these runs stands."""
    return [
        Standing(cell=cell, status=run_status(database, run), score=score_report(database, run))
        if run
        else Standing(cell=cell, status=None, score=None)
        for cell, run in zip(cells, runs, strict=True)
    ]


def places_of(cells: Sequence[Cell]) -> list[tuple[str, str]]:
    """The row and the column of each cell in the suite's table: model and variant, numbered where two would share a
    place (tables of one name in two folders)."""
    taken: list[tuple[str, str]] = []
    for cell in cells:
        column, number = cell.column, 1
        while (cell.row, column) in taken:
            number += 1
            column = f"{cell.column} ({number})"
        taken.append((cell.row, column))
    return taken
