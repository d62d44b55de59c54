"""What answers took, for who wants to know what more of them will take: of the newest runs, the newest answers."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Select, exists, select

from videval.db.tables import RequestRow, ResponseRow, RunRow

__all__ = ["decode_costs", "generate_costs"]

RUNS, ANSWERS = 5, 1000
"""Runs that are looked at, and answers of each: by the index on both, however many there are."""
Costs = Mapping[int, list[float]]
"""Seconds by the number of frames."""


def generate_costs(connection: Connection, load_key: str) -> Costs:
    """Seconds of preparing and generating of a model's newest answers, by the frames that it was shown."""
    query: Select[Any] = select(ResponseRow.num_frames, ResponseRow.prepare_s + ResponseRow.generate_s)
    rows = [row for run in _newest(connection, load_key=load_key) for row in connection.execute(_answers(query, run))]
    return _by_frames((row[0], row[1]) for row in rows)


def decode_costs(connection: Connection, benchmark: str) -> Costs:
    """Seconds of decoding a video of a benchmark, by frames: of each the longest that is known, since what came from
    the cache took none."""
    query: Select[Any] = select(ResponseRow.num_frames, RequestRow.video, ResponseRow.decode_s)
    query = query.join(RequestRow, RequestRow.id == ResponseRow.request_id)
    longest: dict[tuple[int, str], float] = {}
    for run in _newest(connection, benchmark=benchmark):
        for row in connection.execute(_answers(query, run)):
            clip = row.num_frames, row.video
            longest[clip] = max(row.decode_s, longest.get(clip, 0.0))
    return _by_frames((frames, seconds) for (frames, _), seconds in longest.items())


def _newest(connection: Connection, **of: str) -> list[int]:
    """The newest runs with answers."""
    answered = exists().where(ResponseRow.run_id == RunRow.id)
    query = select(RunRow.id).filter_by(**of).where(answered).order_by(RunRow.id.desc()).limit(RUNS)
    return list(connection.execute(query).scalars())


def _answers(query: Select[Any], run_id: int) -> Select[Any]:
    return query.where(ResponseRow.run_id == run_id).order_by(ResponseRow.created_at.desc()).limit(ANSWERS)


def _by_frames(rows: Iterable[tuple[int, float]]) -> Costs:
    found: dict[int, list[float]] = {}
    for frames, seconds in rows:
        found.setdefault(frames, []).append(seconds)
    return found
