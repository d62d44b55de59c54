"""What answers took, for who wants to know what more of them will take: of the newest runs, the newest answers."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, exists, select

from videval.db.tables import RequestRow, ResponseRow, RunRow

__all__ = ["decode_costs", "generate_costs", "paid_costs"]

RUNS, ANSWERS = 5, 1000
"""Runs that are looked at, and answers of each: by the index on both, however many there are."""
Costs = Mapping[int, list[float]]
"""Seconds, or money, by the number of frames."""


def generate_costs(connection: Connection, load_key: str) -> Costs:
    """Seconds of preparing and generating of a model's newest answers, by the frames that it was shown."""
    took = (ResponseRow.prepare_s + ResponseRow.generate_s).label("seconds")
    runs = _newest(connection, load_key=load_key)
    return _by_frames((row.num_frames, row.seconds) for run in runs for row in _answers(connection, run, took))


def paid_costs(connection: Connection, load_key: str) -> Costs:
    """What a model's newest answers cost, of those that have a price, by the frames that it was shown."""
    runs = _newest(connection, load_key=load_key)
    found = (row for run in runs for row in _answers(connection, run, ResponseRow.cost.label("cost")))
    return _by_frames((row.num_frames, row.cost) for row in found if row.cost is not None)


def decode_costs(connection: Connection, benchmark: str) -> Costs:
    """Seconds of decoding a video of a benchmark, by frames: of each the longest that is known, since what came from
    the cache took none."""
    longest: dict[tuple[int, str], float] = {}
    for run in _newest(connection, benchmark=benchmark):
        for row in _answers(connection, run, ResponseRow.decode_s.label("seconds")):
            clip = row.num_frames, row.video
            longest[clip] = max(row.seconds, longest.get(clip, 0.0))
    return _by_frames((frames, seconds) for (frames, _), seconds in longest.items())


def _newest(connection: Connection, **of: str) -> list[int]:
    """The newest runs with answers."""
    answered = exists().where(ResponseRow.run_id == RunRow.id)
    query = select(RunRow.id).filter_by(**of).where(answered).order_by(RunRow.id.desc()).limit(RUNS)
    return list(connection.execute(query).scalars())


def _answers(connection: Connection, run_id: int, took: Any) -> Iterable[Any]:
    """num_frames, video and what they took of the newest answers of a run."""
    query = select(ResponseRow.num_frames, RequestRow.video, took)
    query = query.join(RequestRow, RequestRow.id == ResponseRow.request_id).where(ResponseRow.run_id == run_id)
    return connection.execute(query.order_by(ResponseRow.created_at.desc()).limit(ANSWERS))


def _by_frames(rows: Iterable[tuple[int, float]]) -> Costs:
    found: dict[int, list[float]] = {}
    for frames, seconds in rows:
        found.setdefault(frames, []).append(seconds)
    return found
