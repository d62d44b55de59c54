"""What the scores of a run add up to: kept in the database, so that no look at a score reads all of them.

`fold` takes what is new into the sums, video by video, since intervals are clustered by video: what its scores come to
now, less what was counted of it before. Whoever reads adds what is not in them yet.
"""

import json
import logging
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from videval import __version__
from videval.benchmarks.catalog import find_benchmark
from videval.db import runs, scores
from videval.db.records import RunInfo
from videval.db.scores import DROPPED, VERDICTS, StoredSums, VideoScore
from videval.db.session import Connection, Database
from videval.errors import VidevalError
from videval.metrics import Tally
from videval.report.index import Numbers, SampleIndex, Verdicts, index_columns
from videval.report.rows import FromRows

__all__ = ["Part", "Sums", "fold", "fold_all", "sums_now"]

log = logging.getLogger(__name__)
Part = tuple[str, float | None]
"""A column ("": all questions as one group), and from which value on a question counts; see `Scored.tally`."""

CHUNK, CHUNK_VIDEOS = 1000, 100
"""New scores that are looked at in one transaction, and of how many videos the scores are added up in it at most."""
MOST = 5000
"""New scores beyond which it is faster to read all rows."""
TRIES = 5
OURS = f"{__version__} "
"""How the counters of this release begin."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sums:
    """The tallies of a run by part, and how many scores are of each scorer; `scorable`, `videos`: of the snapshot."""

    tallies: Mapping[Part, Tally]
    scorers: Mapping[str, int]
    scorable: int
    videos: int

    @classmethod
    def from_row(cls, row: StoredSums) -> "Sums":
        """As it is stored."""
        tallies = {(column, least): Tally.from_json(tally) for column, least, tally in row.tallies}
        return cls(tallies=tallies, scorers=row.scorers, scorable=row.scorable, videos=row.videos)

    def plus(self, change: "_Change", sign: int = 1) -> "Sums":
        """With a change, or without it."""
        tallies = {part: self.tallies.get(part, Tally()).plus(tally, sign) for part, tally in change.tallies.items()}
        names = dict.fromkeys([*self.scorers, *change.scorers])
        counts = {name: self.scorers.get(name, 0) + sign * change.scorers.get(name, 0) for name in names}
        scorers = {name: count for name, count in counts.items() if count}
        return Sums(tallies=tallies, scorers=scorers, scorable=self.scorable, videos=self.videos)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Change:
    tallies: Mapping[Part, Tally]
    scorers: Mapping[str, int]


def fold_all(database: Database, *, budget_s: float = math.inf) -> int:
    """Take what is new into the sums of every run, as far as it can be done in `budget_s`, the rest another time; sums
    of another release are counted anew.

    Returns of how many runs something was new.
    """
    until = time.monotonic() + budget_s
    with database.read() as connection:
        waiting = {*scores.pending_runs(connection), *scores.runs_of_others(connection, OURS)}
        found = [run for run in runs.list_runs(connection) if run.run_id in waiting] if waiting else []
    for run in found:
        try:
            fold(database, run, until=until)
        except VidevalError as error:  # a benchmark whose plugin is gone here must not keep the others waiting
            log.info("%s is not added up: %s", run.name, error)
    return len(found)


def fold(database: Database, run: RunInfo, *, until: float = math.inf) -> None:
    """Take what is new into the sums of a run; who comes second waits, and finds less to do.

    `until`: when to stop, on the monotonic clock.
    """
    parts = _parts(run)
    while time.monotonic() < until and database.write(_fold_some, run, parts, durable=False):
        pass


def _fold_some(connection: Connection, run: RunInfo, parts: Sequence[Part]) -> bool:
    """Take some videos' scores into the sums; False if there were none."""
    stored = scores.lock_sums(connection, run.run_id, run.snapshot_id, _counter(parts))
    found = scores.pending_videos(connection, run.run_id, CHUNK)
    if not found:
        return False
    videos = list(dict.fromkeys(found))[:CHUNK_VIDEOS]
    rows = scores.video_scores(connection, run.run_id, run.snapshot_id, videos, index_columns(run), lock=True)
    sums = _with(Sums.from_row(stored), run, parts, rows)
    scores.write_sums(connection, run.run_id, _row(sums, _counter(parts), stored.folds + 1))
    gone = [row.sample_id for row in rows if row.verdict == DROPPED]
    scores.mark_counted(connection, run.run_id, [r.sample_id for r in rows if r.verdict != DROPPED], gone)
    return True


def sums_now(database: Database, run: RunInfo) -> Sums | None:
    """The sums of a run with what is not in them yet; None where reading all rows is faster."""
    parts = _parts(run)
    for _ in range(TRIES):
        with database.read() as connection:
            stored = scores.read_sums(connection, run.run_id)
            if stored is None or stored.counter != _counter(parts):
                return None
            found = scores.pending_videos(connection, run.run_id, MOST)
            if not found:
                return Sums.from_row(stored)
            if len(found) == MOST:
                return None
            videos = list(dict.fromkeys(found))
            rows = scores.video_scores(connection, run.run_id, run.snapshot_id, videos, index_columns(run))
            if scores.folds(connection, run.run_id) == stored.folds:
                return _with(Sums.from_row(stored), run, parts, rows)
    return None


def _parts(run: RunInfo) -> tuple[Part, ...]:
    """What the metrics of the run's benchmark rest on."""
    columns, metrics = ("", *index_columns(run)), find_benchmark(run.benchmark).metrics
    return tuple((column, least) for least in dict.fromkeys([None, *(m.least for m in metrics)]) for column in columns)


def _counter(parts: Sequence[Part]) -> str:
    """Sums of another release are counted anew, since its pages may have grouped otherwise."""
    return f"{OURS}{json.dumps(parts)}"


def _row(sums: Sums, counter: str, folds: int) -> StoredSums:
    return StoredSums(
        counter=counter,
        folds=folds,
        scorable=sums.scorable,
        videos=sums.videos,
        scorers=sums.scorers,
        tallies=[[column, least, tally.to_json()] for (column, least), tally in sums.tallies.items()],
    )


def _with(sums: Sums, run: RunInfo, parts: Sequence[Part], rows: Sequence[VideoScore]) -> Sums:
    """The sums with all scores of some videos as they are, in place of what was counted of these."""
    index = _index(rows, index_columns(run))
    before = _change(run, parts, index, [(r.counted_scorer, r.counted_verdict, r.counted_value) for r in rows])
    now = _change(run, parts, index, [(r.scorer, r.verdict, r.value) for r in rows])
    return sums.plus(now).plus(before, -1)


def _index(rows: Sequence[VideoScore], columns: Sequence[str]) -> SampleIndex:
    """The samples of these rows."""
    videos, groups = Numbers(), {column: Numbers() for column in columns}
    videos.add(row.video for row in rows)
    for at, numbers in enumerate(groups.values()):
        numbers.add(row.columns[at] for row in rows)
    return SampleIndex(
        ids=np.arange(len(rows)),
        videos=videos.codes,
        has_answer=np.ones(len(rows), dtype=np.bool_),
        groups={column: (numbers.names, numbers.codes) for column, numbers in groups.items()},
    )


def _change(
    run: RunInfo, parts: Sequence[Part], index: SampleIndex, said: Sequence[tuple[str | None, str | None, float | None]]
) -> _Change:
    """What (scorer, verdict, value) of each sample of the index come to; without a verdict, to nothing."""
    places = np.array([at for at, (_, verdict, _) in enumerate(said) if verdict not in (None, DROPPED)], dtype=np.int64)
    there = [said[at] for at in places]
    found = Verdicts(
        places=places,
        codes=np.array([VERDICTS.index(str(verdict)) for _, verdict, _ in there], dtype=np.int8),
        values=np.array([value or 0.0 for _, _, value in there], dtype=np.float64),
        at=np.zeros(len(places)),
    )
    scored = FromRows(run, index, found)
    return _Change(
        tallies={(column, least): scored.tally(column, least) for column, least in parts},
        scorers=Counter(str(scorer) for scorer, _, _ in there),
    )
