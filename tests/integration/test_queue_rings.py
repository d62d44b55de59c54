"""What the broker is told: who is rung for, how often, in which order, and which keys have work."""

from pathlib import Path

import pytest
from sqlalchemy import update

from tests.questions import answer, key_of, make_run, request_ids, row_of, take
from videval.db import chores, queue, requests, runs
from videval.db.session import Database
from videval.db.tables import RequestRow
from videval.types import RunState


@pytest.fixture
def run_id(database: Database, tmp_path: Path) -> int:
    return make_run(database, tmp_path / "data", 4)


def due(database: Database, *, patience: float = 30.0, limit: int = 100, model: str = "fake") -> list[int]:
    with database.read() as connection:
        return [r.request_id for r in queue.due(connection, key_of(model), patience=patience, limit=limit)]


def ring(database: Database, ids: list[int]) -> None:
    database.write(lambda c: queue.mark_published(c, ids))


def set_ago(database: Database, request_id: int, seconds: float) -> None:
    then = row_of(database, request_id).published_at - seconds
    change = update(RequestRow).where(RequestRow.id == request_id).values(published_at=then)
    database.write(lambda c: c.execute(change))


@pytest.mark.parametrize("state", [RunState.PAUSED, RunState.CANCELLED, RunState.CREATING])
def test_nobody_is_rung_for_in_a_run_that_is_not_active(database, run_id, state):
    database.write(lambda c: runs.set_state(c, run_id, state))
    assert due(database) == []
    with database.read() as connection:
        assert queue.work(connection) == []


def test_what_runs_is_done_or_waits_for_its_time_is_not_rung_for(database, run_id):
    running, done, waiting, free = request_ids(database, run_id)
    take(database, running)
    answer(database, take(database, done))
    claim = take(database, waiting)
    database.write(lambda c: requests.release(c, [(claim.request_id, claim.attempt)], delay=3600.0))
    assert due(database) == [free]


def test_another_model_s_requests_are_not_rung_for(database, run_id):
    assert due(database, model="fake:other") == []


def test_a_bell_is_trusted_for_a_while_and_then_rung_again(database, run_id):
    first, *rest = request_ids(database, run_id)
    ring(database, [first])
    assert due(database) == rest
    set_ago(database, first, 31)
    assert due(database) == [*rest, first]


def test_the_patience_doubles_with_each_ring_up_to_64_times(database, run_id):
    request_id = request_ids(database, run_id)[0]
    for rings, factor in enumerate([1, 2, 4, 8, 16, 32, 64, 64, 64], start=1):
        ring(database, [request_id])
        set_ago(database, request_id, 30 * factor - 5)
        assert request_id not in due(database), f"after {rings} rings"
        set_ago(database, request_id, 10)
        assert request_id in due(database), f"after {rings} rings"


def test_those_that_were_rung_for_longest_ago_come_first(database, run_id):
    ids = request_ids(database, run_id)
    ring(database, ids)
    for n, request_id in enumerate(ids):
        set_ago(database, request_id, 1000 + n)
    assert due(database, limit=2) == [ids[3], ids[2]]


def test_a_released_request_is_rung_for_at_once(database, run_id):
    request_id = request_ids(database, run_id)[0]
    ring(database, [request_id])
    claim = take(database, request_id)
    database.write(lambda c: requests.release(c, [(claim.request_id, claim.attempt)]))
    assert request_id in due(database)


def test_a_bell_that_a_worker_with_another_model_heard_is_forgotten(database, run_id):
    request_id, other = request_ids(database, run_id)[:2]
    ring(database, [request_id, other])
    assert database.write(lambda c: queue.unring_for_others(c, request_id, key_of("fake:other"), "float32"))
    assert not database.write(lambda c: queue.unring_for_others(c, other, key_of(), "float32"))
    assert request_id in due(database) and other not in due(database)


def test_a_bell_that_a_worker_with_another_dtype_heard_is_forgotten(database, run_id):
    first, request_id, other = request_ids(database, run_id)[:3]
    take(database, first, dtype="bfloat16")
    ring(database, [request_id, other])
    assert database.write(lambda c: queue.unring_for_others(c, request_id, key_of(), "float32"))
    assert not database.write(lambda c: queue.unring_for_others(c, other, key_of(), "bfloat16"))
    assert request_id in due(database) and other not in due(database)


def test_resuming_a_run_rings_for_all_of_it_again(database, run_id):
    ring(database, request_ids(database, run_id))
    database.write(lambda c: runs.set_state(c, run_id, RunState.PAUSED))
    database.write(lambda c: runs.set_state(c, run_id, RunState.ACTIVE))
    assert due(database) == request_ids(database, run_id)


def test_a_new_run_is_published_in_order_and_once(database, run_id):
    ids = request_ids(database, run_id)
    with database.read() as connection:
        first = [r.request_id for r in queue.pending_of_run(connection, run_id, after=0, limit=3)]
        rest = [r.request_id for r in queue.pending_of_run(connection, run_id, after=first[-1], limit=3)]
    assert first + rest == ids
    ring(database, ids)
    with database.read() as connection:
        assert queue.pending_of_run(connection, run_id, after=0, limit=9) == []


def test_a_key_with_work_says_how_much_and_how_urgent(database, tmp_path, run_id):
    take(database, request_ids(database, run_id)[0], dtype="bfloat16")
    make_run(database, tmp_path / "data", 2, model="fake:b", priority=2)
    with database.read() as connection:
        urgent, normal = queue.work(connection)
    assert (urgent.load_key, urgent.priority, urgent.dtypes) == (key_of("fake:b"), 2, (None,))
    assert (normal.waiting, normal.running, normal.dtypes) == (3, 1, ("bfloat16",))


def test_a_finished_run_is_no_work(database, run_id):
    for request_id in request_ids(database, run_id):
        answer(database, take(database, request_id))
    with database.read() as connection:
        assert queue.work(connection) == []


def test_a_chore_is_taken_by_one_and_renewed_by_that_one_only(database: Database) -> None:
    mine = database.write(chores.take, "reconcile", None)
    assert mine is not None and database.write(chores.take, "reconcile", None) is None
    with database.read() as connection:
        done, now = chores.last_done(connection, "reconcile")
    assert done == mine and 0 <= now - done < 60
    while (renewed := database.write(chores.take, "reconcile", mine)) == mine:
        pass  # within one tick of the database's clock
    assert renewed is not None and database.write(chores.take, "reconcile", mine) is None


def test_each_chore_is_somebody_s_own(database: Database) -> None:
    assert database.write(chores.take, "one", None) and database.write(chores.take, "another", None)
    with database.read() as connection:
        assert chores.last_done(connection, "nobody's")[0] is None
