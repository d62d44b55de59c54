"""Which readings of answers say something else than what is stored of them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from videval.db.results import Answered
from videval.db.scores import DROPPED, RULE
from videval.db.tables import PredictionRow, SampleScoreRow
from videval.types import Reading

__all__ = ["news"]

Read = tuple[Answered, Reading]


def news(connection: Connection, run_id: int, readings: Sequence[Read]) -> list[Read]:
    """The readings that `store_readings` would change something with, in their order.

    Where several are of one sample all of them are: the last one counts.
    """
    row_ids = [stored.row_id for of, _ in readings for stored in of.stored]
    read_once = {row_id for row_id, times in Counter(row_ids).items() if times == 1}
    predicted, scored = _predicted(connection, run_id, row_ids), _scored(connection, run_id, row_ids)

    def is_stored(of: Answered, reading: Reading) -> bool:
        predictions = {p.sample_id: (of.request_id, p.state, p.text, p.how) for p in reading.predictions}
        scores = {name: (s.scorer, s.verdict, s.value, s.read) for name, s in reading.scores.items()}
        return all(
            stored.row_id in read_once
            and predicted.get(stored.row_id) == predictions.get(stored.sample.id)
            and scored.get(stored.row_id) == scores.get(stored.sample.id)
            for stored in of.stored
        )

    return [(of, reading) for of, reading in readings if not is_stored(of, reading)]


def _predicted(connection: Connection, run_id: int, row_ids: Sequence[int]) -> dict[int, tuple[Any, ...]]:
    said = (PredictionRow.request_id, PredictionRow.state, PredictionRow.text, PredictionRow.how)
    query = select(PredictionRow.sample_id, *said).where(PredictionRow.run_id == run_id)
    rows = connection.execute(query.where(PredictionRow.sample_id.in_(row_ids)))
    return {row_id: tuple(row) for row_id, *row in rows}


def _scored(connection: Connection, run_id: int, row_ids: Sequence[int]) -> dict[int, tuple[Any, ...]]:
    said = (SampleScoreRow.scorer, SampleScoreRow.verdict, SampleScoreRow.value, SampleScoreRow.read)
    query = select(SampleScoreRow.sample_id, *said).where(SampleScoreRow.run_id == run_id, SampleScoreRow.judge == RULE)
    rows = connection.execute(query.where(SampleScoreRow.sample_id.in_(row_ids), SampleScoreRow.verdict != DROPPED))
    return {row_id: tuple(row) for row_id, *row in rows}
