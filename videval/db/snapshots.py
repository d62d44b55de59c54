"""Snapshots: the questions of a benchmark as they were, stored once however many models are run on them."""

from collections.abc import Sequence

from sqlalchemy import Connection, insert, select

from videval.db.session import db_now
from videval.db.tables import SampleRow, SnapshotRow
from videval.types import Sample

__all__ = ["add_samples", "add_snapshot", "known_samples", "sample_ids"]


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


def sample_ids(connection: Connection, snapshot_id: int) -> dict[str, int]:
    """Row id of each stored sample of a snapshot by its key."""
    rows = connection.execute(select(SampleRow.key, SampleRow.id).where(SampleRow.snapshot_id == snapshot_id))
    return {row.key: row.id for row in rows}


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
