"""What judges said of a run's samples, and what it adds up to.

A score is stored as `pending`; whoever adds up takes it into the sums of its run and notes with the row what of it is
counted. So to store an answer costs nothing more, and a score may change or go as often as it likes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    Executable,
    Select,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal,
    select,
    true,
    update,
)

from videval.db.session import db_now, upsert
from videval.db.tables import PredictionRow, RequestRow, SampleRow, SampleScoreRow, ScoreSumRow
from videval.types import Score

__all__ = [
    "DROPPED",
    "RULE",
    "VERDICTS",
    "StoredSums",
    "VideoScore",
    "folds",
    "forget_sums",
    "judged",
    "lock_sums",
    "mark_counted",
    "pending_runs",
    "pending_videos",
    "read_sums",
    "runs_of_others",
    "scorers_of",
    "store_scores",
    "verdicts",
    "video_scores",
    "write_sums",
]

RULE = "rule"
"""The judge of a benchmark's own scores, whichever scorer it chose for a sample; others have names of their own."""
VERDICTS = ("right", "wrong", "unparsed", "truncated", "refused")
"""A verdict's code is its place here."""
DROPPED = "dropped"
"""Stands for the verdict of a score that is no more, until it is out of the sums."""

_OF_RUN = (SampleScoreRow.run_id == bindparam("of_run")) & (SampleScoreRow.judge == RULE)
_SOME = SampleScoreRow.sample_id.in_(bindparam("some", expanding=True))
_DROP = update(SampleScoreRow).where(_OF_RUN, _SOME).values(verdict=DROPPED, value=None, read=None, pending=true())
_COUNT = (
    update(SampleScoreRow)
    .where(_OF_RUN, _SOME)
    .values(
        pending=~true(),
        counted_scorer=SampleScoreRow.scorer,
        counted_verdict=SampleScoreRow.verdict,
        counted_value=SampleScoreRow.value,
    )
)
_FORGET = delete(SampleScoreRow).where(_OF_RUN, _SOME)
_SAID = select(
    *(SampleScoreRow.__table__.c[name] for name in ("sample_id", "scorer", "verdict", "value")),
    *(SampleScoreRow.__table__.c[f"counted_{name}"] for name in ("scorer", "verdict", "value")),
).where(_OF_RUN, _SOME)

SOME, MOST_VALUES = 100, 10_000
"""Videos that one query asks for, few enough for SQLite to take the index; and values in one statement."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoScore:
    """A score as it is and as it is counted, with its sample's video and values of some columns."""

    sample_id: int
    video: str
    columns: tuple[str | None, ...]
    scorer: str
    verdict: str
    value: float | None
    counted_scorer: str | None
    counted_verdict: str | None
    counted_value: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredSums:
    """A row of `score_sums`: what the counted scores of a run add up to, as JSON.

    `counter`: which counting made them. `scorable`, `videos`: questions with an answer, and videos, of the snapshot.
    `scorers`: how many scores are of each.
    """

    counter: str
    folds: int
    scorable: int
    videos: int
    scorers: Mapping[str, int]
    tallies: Sequence[Any]


def store_scores(connection: Connection, run_id: int, scores: Mapping[int, Score | None]) -> None:
    """Store scores by the row id of their samples in place of older ones; None drops an older one."""
    _change(connection, _DROP, run_id, [row_id for row_id, score in scores.items() if score is None])
    of = {"run_id": run_id, "judge": RULE, "pending": True, "created_at": db_now()}
    rows = [
        {**of, "sample_id": row_id, "scorer": s.scorer, "verdict": s.verdict, "value": s.value, "read": s.read}
        for row_id, s in scores.items()
        if s is not None
    ]
    upsert(connection, SampleScoreRow, rows, keys=["run_id", "sample_id", "judge"])


def verdicts(
    connection: Connection, run_id: int, low: int, high: int, *, with_time: bool = False
) -> list[tuple[int, int, float, float]]:
    """(sample's row id, verdict's code, value or 0, when it was answered or 0) of samples with ids low..high."""
    code = case({v: i for i, v in enumerate(VERDICTS)}, value=SampleScoreRow.verdict, else_=len(VERDICTS))
    at = func.coalesce(RequestRow.finished_at, 0.0) if with_time else literal(0.0)
    query = select(SampleScoreRow.sample_id, code, func.coalesce(SampleScoreRow.value, 0.0), at)
    if with_time:
        same = (PredictionRow.run_id == SampleScoreRow.run_id) & (PredictionRow.sample_id == SampleScoreRow.sample_id)
        query = query.join(PredictionRow, same).join(RequestRow, RequestRow.id == PredictionRow.request_id)
    inside = (SampleScoreRow.sample_id >= low) & (SampleScoreRow.sample_id <= high)
    there = SampleScoreRow.verdict != DROPPED
    return [tuple(row) for row in connection.execute(query.where(_OF_RUN, inside, there), {"of_run": run_id})]


def judged(connection: Connection, run_id: int, low: int, high: int) -> dict[str, tuple[str, float | None]]:
    """The verdict and the value in 0..1 of samples with row ids low..high, by sample id."""
    inside = (SampleScoreRow.sample_id >= low) & (SampleScoreRow.sample_id <= high)
    query = (
        select(SampleRow.key, SampleScoreRow.verdict, SampleScoreRow.value)
        .join(SampleRow, SampleRow.id == SampleScoreRow.sample_id)
        .where(_OF_RUN, inside, SampleScoreRow.verdict != DROPPED)
    )
    return {key: (verdict, value) for key, verdict, value in connection.execute(query, {"of_run": run_id})}


def pending_runs(connection: Connection) -> list[int]:
    """The runs that have scores which are not in their sums."""
    query = select(SampleScoreRow.run_id).where(SampleScoreRow.pending == true()).distinct()
    return list(connection.execute(query).scalars())


def runs_of_others(connection: Connection, beginning: str) -> list[int]:
    """The runs whose sums were made by a counter that does not begin so."""
    query = select(ScoreSumRow.run_id).where(func.substr(ScoreSumRow.counter, 1, len(beginning)) != beginning)
    return list(connection.execute(query).scalars())


def pending_videos(connection: Connection, run_id: int, most: int) -> list[str]:
    """The videos of the first `most` scores of a run that are not in its sums, one for each of these scores; however
    many are pending, no more are read."""
    first = select(SampleScoreRow.sample_id).where(SampleScoreRow.pending == true(), _OF_RUN)
    some = first.order_by(SampleScoreRow.sample_id).limit(most).subquery()
    query = select(SampleRow.video).join(some, some.c.sample_id == SampleRow.id).order_by(some.c.sample_id)
    return list(connection.execute(query, {"of_run": run_id}).scalars())


def video_scores(
    connection: Connection,
    run_id: int,
    snapshot_id: int,
    videos: Sequence[str],
    columns: Sequence[str],
    *,
    lock: bool = False,
) -> list[VideoScore]:
    """All scores of some videos' samples, with the values of `columns`; `lock`: nobody changes them until this
    transaction ends."""
    values = [SampleRow.row[c].as_string() for c in columns]
    asked = select(SampleRow.id, SampleRow.video, *values).where(SampleRow.snapshot_id == snapshot_id)
    said = _SAID.with_for_update() if lock else _SAID
    found = []
    for start in range(0, len(videos), SOME):
        some = asked.where(SampleRow.video.in_(list(videos[start : start + SOME])))
        facts = {row[0]: (row[1], tuple(row[2:])) for row in connection.execute(some).all()}
        for row in _of_samples(connection, said, run_id, list(facts)):
            video, groups = facts[row.sample_id]
            found.append(VideoScore(**row._mapping, video=video, columns=groups))
    return found


def _of_samples(connection: Connection, query: Select[Any], run_id: int, row_ids: Sequence[int]) -> Iterator[Any]:
    """In pieces: a statement takes tens of thousands of values at most."""
    for start in range(0, len(row_ids), MOST_VALUES):
        some = row_ids[start : start + MOST_VALUES]
        yield from connection.execute(query, {"of_run": run_id, "some": some}).all()


def mark_counted(connection: Connection, run_id: int, row_ids: Sequence[int], dropped: Sequence[int]) -> None:
    """Note that the scores of these samples are in the sums as they stand, and that `dropped` ones are out of them."""
    _change(connection, _COUNT, run_id, row_ids)
    _change(connection, _FORGET, run_id, dropped)


def _change(connection: Connection, statement: Executable, run_id: int, row_ids: Sequence[int]) -> None:
    for start in range(0, len(row_ids), MOST_VALUES):
        connection.execute(statement, {"of_run": run_id, "some": list(row_ids[start : start + MOST_VALUES])})


def read_sums(connection: Connection, run_id: int, *, lock: bool = False) -> StoredSums | None:
    """The sums of a run; None if nothing was added up yet."""
    names = StoredSums.__dataclass_fields__
    query = select(*(getattr(ScoreSumRow, name) for name in names))
    query = query.where(ScoreSumRow.run_id == run_id, ScoreSumRow.judge == RULE)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else StoredSums(**row._mapping)


def folds(connection: Connection, run_id: int) -> int | None:
    """How often something was added to the sums of a run."""
    query = select(ScoreSumRow.folds).where(ScoreSumRow.run_id == run_id, ScoreSumRow.judge == RULE)
    return connection.execute(query).scalar()


def write_sums(connection: Connection, run_id: int, sums: StoredSums) -> None:
    """Put sums in the place of those that `lock_sums` gave."""
    fields = {name: getattr(sums, name) for name in StoredSums.__dataclass_fields__}
    upsert(connection, ScoreSumRow, [{"run_id": run_id, "judge": RULE, **fields}], keys=["run_id", "judge"])


def lock_sums(connection: Connection, run_id: int, snapshot_id: int, counter: str) -> StoredSums:
    """The sums of a run, for this transaction only; empty ones if another counting made them, or there are none."""
    found = read_sums(connection, run_id, lock=True)
    if found is not None and found.counter == counter:
        return found
    facts = select(func.count(SampleRow.answer), func.count(SampleRow.video.distinct()))
    scorable, videos = connection.execute(facts.where(SampleRow.snapshot_id == snapshot_id)).one()
    empty = StoredSums(counter=counter, folds=0, scorable=scorable, videos=videos, scorers={}, tallies=[])
    if found is None:
        row = {name: getattr(empty, name) for name in StoredSums.__dataclass_fields__}
        connection.execute(insert(ScoreSumRow).values(run_id=run_id, judge=RULE, **row))
    else:
        write_sums(connection, run_id, empty)
    _count_anew(connection, run_id)
    return empty


def forget_sums(connection: Connection, run_id: int) -> None:
    """Have the scores of a run added up anew."""
    connection.execute(delete(ScoreSumRow).where(ScoreSumRow.run_id == run_id, ScoreSumRow.judge == RULE))


def scorers_of(connection: Connection, run_id: int) -> dict[str, int]:
    """How many scores of a run are of each scorer, from all rows."""
    query = select(SampleScoreRow.scorer, func.count().label("n")).where(_OF_RUN, SampleScoreRow.verdict != DROPPED)
    found = connection.execute(query.group_by(SampleScoreRow.scorer), {"of_run": run_id})
    return {row.scorer: row.n for row in found}


def _count_anew(connection: Connection, run_id: int) -> None:
    nothing = {"counted_scorer": None, "counted_verdict": None, "counted_value": None}
    connection.execute(update(SampleScoreRow).where(_OF_RUN).values(pending=true(), **nothing), {"of_run": run_id})
