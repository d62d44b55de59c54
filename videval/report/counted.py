"""The scores of a run as a metric asks for them: from the sums that are kept, else from all rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from videval.db import scores
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.metrics import Questions, Scored, Tally
from videval.report.index import SampleIndex, group_columns, index_columns, load_index, load_verdicts
from videval.report.rows import FromRows
from videval.report.sums import Part, sums_now

__all__ = ["Counted", "Load", "counted"]

Load = Callable[[], SampleIndex]


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """The scores of a run; how many questions of its snapshot have an answer, about how many videos these are, and how
    many scores are of each scorer."""

    scored: Scored
    scorable: int
    videos: int
    scorers: Mapping[str, int]


class _FromSums:
    """A `Scored` of sums; the rows are read where a metric asks for them."""

    def __init__(self, run: RunInfo, tallies: Mapping[Part, Tally], rows: Callable[[], Scored]) -> None:
        self.columns: Sequence[str] = group_columns(run)
        self._tallies, self._rows = tallies, rows

    def tally(self, column: str = "", least: float | None = None) -> Tally:
        """See `Scored`."""
        return self._tallies.get((column, least), Tally())

    def questions(self) -> Questions:
        """See `Scored`."""
        return self._rows().questions()


def counted(database: Database, run: RunInfo, load: Load | None = None) -> Counted:
    """The scores of a run as of now. `load` gives the questions if they are needed, for those who keep them."""

    def rows() -> FromRows:
        index = load() if load else load_index(database, run.snapshot_id, index_columns(run))
        return FromRows(run, index, load_verdicts(database, run, index))

    sums = sums_now(database, run)
    if sums is None:
        return _of_rows(database, run, rows())
    scored = _FromSums(run, sums.tallies, rows)
    return Counted(scored=scored, scorable=sums.scorable, videos=sums.videos, scorers=sums.scorers)


def _of_rows(database: Database, run: RunInfo, rows: FromRows) -> Counted:
    with database.read() as connection:
        scorers = scores.scorers_of(connection, run.run_id)
    return Counted(scored=rows, scorable=rows.index.scorable, videos=rows.index.num_videos, scorers=scorers)
