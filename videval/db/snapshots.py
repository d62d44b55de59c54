"""Snapshots: the questions of a benchmark as they were, stored once however many models are run on them."""

from array import array
from collections.abc import Sequence

from sqlalchemy import Connection, func, insert, select

from videval.db.session import db_now
from videval.db.tables import SampleRow, SnapshotRow
from videval.types import Sample

__all__ = ["add_samples", "add_snapshot", "count_samples", "known_samples", "row_ids"]


def add_snapshot(
    connection: Connection, *, digest: str, benchmark: str, columns: Sequence[str], num_samples: int
) -> int:
    """The id of the snapshot with this digest, made if there is none."""
    known = connection.execute(select(SnapshotRow.id).where(SnapshotRow.digest == digest)).scalar()
    if known is not None:
        return known
    values = {"digest": digest, "benchmark": benchmark, "columns": list(columns), "num_samples": num_samples}
    made = insert(SnapshotRow).values(created_at=db_now(), **values).returning(SnapshotRow.id)
    return connection.execute(made).scalar_one()


def row_ids(connection: Connection, snapshot_id: int) -> Sequence[int]:
    """The row ids of the stored samples of a snapshot, by their position."""
    rows = connection.execution_options(yield_per=10_000).execute(
        select(SampleRow.position, SampleRow.id).where(SampleRow.snapshot_id == snapshot_id)
    )
    ids = array("q")
    for position, row_id in rows:
        if position >= len(ids):
            ids.extend([0] * (position + 1 - len(ids)))
        ids[position] = row_id
    return ids


def count_samples(connection: Connection, snapshot_id: int) -> int:
    """How many samples of a snapshot are stored."""
    return connection.execute(select(func.count()).where(SampleRow.snapshot_id == snapshot_id)).scalar_one()


def known_samples(connection: Connection, snapshot_id: int, keys: Sequence[str]) -> set[str]:
    """Those of these sample ids that a snapshot has."""
    mine = (SampleRow.snapshot_id == snapshot_id) & SampleRow.key.in_(list(keys))
    return set(connection.execute(select(SampleRow.key).where(mine)).scalars())


def add_samples(connection: Connection, snapshot_id: int, samples: Sequence[tuple[int, Sample]]) -> None:
    """Store (position, sample) pairs of a snapshot that are not stored yet."""
    keys = [sample.id for _, sample in samples]
    known = set(
        connection.execute(
            select(SampleRow.key).where(SampleRow.snapshot_id == snapshot_id, SampleRow.key.in_(keys))
        ).scalars()
    )
    rows = [
        {
            "snapshot_id": snapshot_id,
            "position": position,
            "key": s.id,
            "video": s.video,
            "question": s.question,
            "answer": s.answer,
            "candidates": list(s.candidates),
            "start": s.start,
            "end": s.end,
            "beside": s.beside(),
            "row": dict(s.row),
        }
        for position, s in samples
        if s.id not in known
    ]
    if rows:
        connection.execute(insert(SampleRow), rows)
