"""The stored answers of a run with what was read in them, and which new readings say something else."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Integer, bindparam, select

from videval.db import results
from videval.db.results import ANSWERS, Answered, answers_of
from videval.db.scores import DROPPED, RULE
from videval.db.tables import PredictionRow, RequestRow, RequestSampleRow, SampleScoreRow
from videval.db.timings import in_span
from videval.types import Reading, RequestStatus

__all__ = ["Attempts", "Known", "Read", "answered_in", "attempts_in", "news", "store_news"]

Read = tuple[Answered, Reading]
Known = Mapping[int, tuple[tuple[Any, ...] | None, tuple[Any, ...] | None]]
"""Of samples by their row ids: the prediction as (request, state, text, how), the score as (scorer, verdict, value,
read); None where there is none."""

Attempts = Sequence[tuple[int, int]]
"""The requests that are answered, each with the number of the attempt that answered it."""

_PREDICTED = (PredictionRow.request_id.label("said_by"), PredictionRow.state, PredictionRow.text, PredictionRow.how)
_SCORED = (SampleScoreRow.scorer, SampleScoreRow.verdict, SampleScoreRow.value, SampleScoreRow.read)
_RUN = bindparam("of_run", type_=Integer)
_AGAIN = (
    ANSWERS.outerjoin(
        PredictionRow, (PredictionRow.run_id == _RUN) & (PredictionRow.sample_id == RequestSampleRow.sample_id)
    )
    .outerjoin(
        SampleScoreRow,
        (SampleScoreRow.run_id == _RUN)
        & (SampleScoreRow.sample_id == RequestSampleRow.sample_id)
        & (SampleScoreRow.judge == RULE)
        & (SampleScoreRow.verdict != DROPPED),
    )
    .add_columns(*_PREDICTED, *_SCORED)
)


def answered_in(connection: Connection, run_id: int, low: int, high: int) -> tuple[list[Answered], Known]:
    """The answers of a run to requests with ids low..high, in their order, and what is stored of their samples."""
    rows = connection.execute(_AGAIN.where(in_span(run_id, low, high)), {"of_run": run_id}).all()
    known = {row.id: (row[-8:-4] if row.said_by else None, row[-4:] if row.verdict else None) for row in rows}
    return answers_of(rows), known


def attempts_in(connection: Connection, run_id: int, low: int, high: int) -> Attempts:
    """Which requests of a run with ids low..high are answered, in their order."""
    ids = (RequestRow.id >= low) & (RequestRow.id <= high) & ((RequestRow.run_id + 0) == run_id)
    done = RequestRow.status + "" == RequestStatus.DONE
    query = select(RequestRow.id, RequestRow.attempt).where(ids, done).order_by(RequestRow.id)
    return [(row.id, row.attempt) for row in connection.execute(query)]


def store_news(
    connection: Connection, run_id: int, low: int, high: int, readings: Sequence[Read], of: Attempts
) -> bool:
    """Store readings of answers to requests with ids low..high; False, and nothing, if these are not the answers any
    more: what was read in others is newer."""
    if attempts_in(connection, run_id, low, high) != of:
        return False
    results.store_readings(connection, run_id, readings)
    return True


def news(readings: Sequence[Read], known: Known) -> list[Read]:
    """The readings that `store_readings` would change something with, in their order.

    Where several are of one sample all of them are: the last one counts.
    """
    times = Counter(stored.row_id for of, _ in readings for stored in of.stored)

    def is_stored(of: Answered, reading: Reading) -> bool:
        predictions = {p.sample_id: (of.request_id, p.state, p.text, p.how) for p in reading.predictions}
        scores = {name: (s.scorer, s.verdict, s.value, s.read) for name, s in reading.scores.items()}
        return all(
            times[stored.row_id] == 1
            and known[stored.row_id] == (predictions.get(stored.sample.id), scores.get(stored.sample.id))
            for stored in of.stored
        )

    return [(of, reading) for of, reading in readings if not is_stored(of, reading)]
