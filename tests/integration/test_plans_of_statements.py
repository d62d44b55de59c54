"""What is asked often is found by an index, however many rows there are, and before the database has statistics."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from tests.questions import identity, key_of, make_run, request_ids, samples
from videval.db import again, queue, requests, scores, timings
from videval.db.session import Connection, Database
from videval.types import Score, Verdict

RIGHT = Score(verdict=Verdict.RIGHT, value=1.0, scorer="choice@1")
WORKER = identity("w1")


@pytest.fixture
def run_id(database: Database, tmp_path: Path) -> int:
    made = make_run(database, tmp_path / "data", samples(60, videos=6))
    ids = request_ids(database, made)
    database.write(scores.store_scores, made, dict.fromkeys(range(1, 61), RIGHT))
    database.write(queue.mark_published, ids[:30])
    return made


class _Undo(Exception):
    pass


def explained(database: Database, work: Callable[[Connection], Any], *, writes: bool) -> str:
    """The plans of all statements of `work`, each where it stands in its transaction."""
    plans: list[str] = []
    how = "EXPLAIN" if database.dialect == "postgresql" else "EXPLAIN QUERY PLAN"

    def before(connection: Any, cursor: Any, statement: str, values: Any, context: Any, many: bool) -> None:
        if statement.startswith(("SELECT", "UPDATE", "WITH")) and not many:
            cursor.execute(f"{how} {statement}", values)
            plans.extend(str(row[-1]) for row in cursor.fetchall())

    def look(connection: Connection) -> None:
        if database.dialect == "postgresql":
            connection.exec_driver_sql("SET LOCAL enable_seqscan TO off")  # so few rows are read faster in a row
        work(connection)
        raise _Undo

    event.listen(database.engine, "before_cursor_execute", before)
    try:
        with pytest.raises(_Undo):
            database.write(look) if writes else look_once(database, look)
    finally:
        event.remove(database.engine, "before_cursor_execute", before)
    return "\n".join(plans)


def look_once(database: Database, look: Callable[[Connection], None]) -> None:
    with database.read() as connection:
        look(connection)


TAKING = partial(requests.take, lease=60.0, load_key=key_of(), dtype="float32", after=0, most=4)
ASKED_OFTEN: dict[str, tuple[str, bool, Callable[[Connection], Any]]] = {
    "take": ("ix_requests_waiting_by_video", True, lambda c: TAKING(c, 1, WORKER)),
    "expire_leases": ("ix_requests_status_lease_expires_at", True, requests.expire_leases),
    "expire_workers": ("ix_requests_worker_id", True, lambda c: requests.expire_workers(c, ["w1"])),
    "due": (
        "ix_requests_run_id_status_published_at",
        False,
        partial(queue.due, load_key=key_of(), patience=0, limit=9),
    ),
    "pending_runs": ("ix_sample_scores_pending", False, scores.pending_runs),
    "pending_videos": ("ix_sample_scores_pending", True, partial(scores.pending_videos, run_id=1, most=10)),
    "paces": ("ix_responses_run_id_created_at", False, partial(timings.paces, recent_of=[1])),
}
"""By name: the index, whether it writes, and what is done."""


@pytest.mark.parametrize("name", ASKED_OFTEN)
def test_what_is_asked_often_is_found_by_an_index(database: Database, run_id: int, name: str) -> None:
    index, writes, work = ASKED_OFTEN[name]
    plan = explained(database, work, writes=writes)
    assert index in plan and not list(read_whole(plan)), plan


def read_whole(plan: str) -> Iterator[str]:
    """The lines of a plan that say that a large table is read from end to end, or what waits is sorted."""
    lines = plan.splitlines()
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        is_scan = line.startswith(("SCAN requests", "SCAN responses", "SCAN sample_scores"))
        is_scan = is_scan and "ix_sample_scores_pending" not in line
        if is_scan or ("using pk_requests" in line and "Cond" not in below) or "Sort Key: published_at" in line:
            yield line


def test_no_claim_goes_through_all_that_waits(database: Database, run_id: int) -> None:
    plan = explained(database, lambda c: TAKING(c, 1, WORKER), writes=True)
    assert "SEARCH requests USING INDEX ix_requests_status_lease_expires_at" not in plan, plan  # SQLite's way


def test_a_merge_reads_each_answer_once_and_not_all_that_are_done_for_each_piece(
    database: Database, run_id: int
) -> None:
    plan = explained(database, lambda c: again.answered_in(c, run_id, 1, 20), writes=False)
    assert "ix_requests_status" not in plan and "ix_requests_run_id_status" not in plan, plan
    assert "SCAN" not in plan and "Seq Scan" not in plan, plan
