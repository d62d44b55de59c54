"""What will be claimed next, for who gets it ready before it may claim."""

from sqlalchemy import bindparam, select

from videval.db.claims import claim_as_it_was
from videval.db.connect import in_index_order
from videval.db.queue import RUNS_OF_KEY
from videval.db.records import Claim
from videval.db.session import Connection, db_now
from videval.db.tables import RequestRow
from videval.types import RequestStatus

__all__ = ["next_up"]

OF_A_VIDEO = 8
"""Requests that are looked at for each video that is looked for."""
NEXT = (
    select(RequestRow.id, RequestRow.attempt, RequestRow.video)
    .where(RequestRow.run_id == bindparam("run"), RequestRow.status == RequestStatus.QUEUED)
    .where(RequestRow.available_at <= db_now())
    .order_by(RequestRow.published_at.asc().nulls_last())
    .limit(bindparam("most"))
)


def next_up(connection: Connection, load_key: str, *, videos: int) -> list[Claim]:
    """A request about each of the next videos of a load key, so many at most, in the order in which they are claimed.
    None of them is claimed. Raises NewerRun."""
    in_index_order(connection)
    found: dict[tuple[int, str], Claim] = {}
    for run_id in connection.execute(RUNS_OF_KEY, {"model_key": load_key}).scalars().all():
        for row in connection.execute(NEXT, {"run": run_id, "most": videos * OF_A_VIDEO}).all():
            if len(found) == videos:
                return list(found.values())
            if (run_id, row.video) not in found and (claim := claim_as_it_was(connection, row.id, row.attempt)):
                found[run_id, row.video] = claim
    return list(found.values())
