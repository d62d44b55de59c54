"""What answers took, for who wants to know what more of them will take: a bounded number of rows, the newest."""

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, func, select

from videval.db.tables import RequestRow, ResponseRow, RunRow

__all__ = ["decode_costs", "generate_costs"]

NEWEST = 5000
"""Answers that are looked at."""
Costs = Mapping[int, list[float]]
"""Seconds by the number of frames."""


def generate_costs(connection: Connection, load_key: str) -> Costs:
    """Seconds of preparing and generating of a model's newest answers, by the frames that it was shown."""
    rows = connection.execute(
        select(ResponseRow.num_frames, ResponseRow.prepare_s + ResponseRow.generate_s)
        .join(RunRow, RunRow.id == ResponseRow.run_id)
        .where(RunRow.load_key == load_key)
        .order_by(ResponseRow.created_at.desc())
        .limit(NEWEST)
    )
    return _by_frames((frames, seconds) for frames, seconds in rows)


def decode_costs(connection: Connection, benchmark: str) -> Costs:
    """Seconds of decoding a video of a benchmark, by frames: of each the longest that is known, since what came from
    the cache took none."""
    longest = (
        select(ResponseRow.num_frames, func.max(ResponseRow.decode_s))
        .join(RequestRow, RequestRow.id == ResponseRow.request_id)
        .join(RunRow, RunRow.id == ResponseRow.run_id)
        .where(RunRow.benchmark == benchmark)
        .group_by(RequestRow.video, ResponseRow.num_frames)
        .limit(NEWEST)
    )
    return _by_frames((frames, seconds) for frames, seconds in connection.execute(longest))


def _by_frames(rows: Iterable[tuple[int, float]]) -> Costs:
    found: dict[int, list[float]] = {}
    for frames, seconds in rows:
        found.setdefault(frames, []).append(seconds)
    return found
