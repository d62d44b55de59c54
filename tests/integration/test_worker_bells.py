"""One worker that hears bells: of paused runs, of other models, of work that is gone; and what it says then."""

import time
from pathlib import Path

import pytest

from tests.one_worker import FakeConsumer, ready, stored, work_of
from tests.questions import key_of, make_run, request_ids, row_of, samples, take
from tests.servers import wait_for
from videval.db import queue, runs, workers
from videval.db.session import Database
from videval.errors import DatabaseUnavailable, ModelUnavailable
from videval.types import RequestStatus, RunState, Stage, WorkerState
from workers import ledger
from workers.dispatch import Dispatch


def paused_run(database: Database, folder: Path, count: int) -> list[int]:
    """The requests of a run that was rung for and then paused."""
    run_id = make_run(database, folder / "data", count, max_pixels=count)
    ids = request_ids(database, run_id)
    database.write(lambda c: queue.mark_published(c, ids))
    database.write(lambda c: runs.set_state(c, run_id, RunState.PAUSED))
    return ids


def test_the_messages_of_a_paused_run_cost_the_others_nothing(worker, database, tmp_path):
    """300 stale bells lie before the 20 of a run that goes on: the first 20 that are heard answer all of it."""
    stale = paused_run(database, tmp_path, 300)
    run_id = make_run(database, tmp_path / "data", 20)
    worker.load(work_of(database))
    for bell in stale[:20]:
        worker.answer(bell)
    wait_for("all of it", lambda: stored(database) == 20, 30)
    with database.read() as connection:
        assert runs.counts(connection, run_id).done == 20


def test_a_bell_for_nothing_is_passed_over_without_a_write(worker, database, tmp_path, monkeypatch):
    stale = paused_run(database, tmp_path, 30)
    make_run(database, tmp_path / "data", 1)
    worker.load(work_of(database))
    for bell in stale[:2]:
        worker.answer(bell)
    monkeypatch.setattr(worker.database, "write", lambda *a, **k: pytest.fail("a transaction for nothing"))
    for bell in stale[2:]:
        worker.answer(bell)


def test_a_worker_that_passes_over_messages_says_so_and_stops_saying_so(worker, database, tmp_path):
    stale = paused_run(database, tmp_path, 5)
    ready(worker, database, tmp_path)
    assert worker.pulse().state == "idle"
    for bell in stale:
        worker.answer(bell)
    assert worker.pulse().state == WorkerState.PASSING == "passing over messages"
    database.write(lambda c: workers.beat(c, worker.identity.id, worker.pulse()))
    with database.read() as connection:
        assert [w.state for w in workers.live_workers(connection)] == [WorkerState.PASSING]
        assert len(workers.seats(connection, silent_s=60.0)) == 1
    worker.claimer._last_bell -= 5.0
    assert worker.pulse().state == "idle"


def test_work_that_comes_after_bells_for_nothing_is_taken_at_once(worker, database, tmp_path):
    stale = paused_run(database, tmp_path, 6)
    ready(worker, database, tmp_path)
    for bell in stale[:4]:
        worker.answer(bell)
    make_run(database, tmp_path / "data", 1, max_pixels=99)
    worker.answer(stale[4])
    assert stored(database) == 2


@pytest.mark.parametrize("count", [0, 1], ids=["nothing else to do", "something else to do"])
def test_another_model_s_bell_is_rung_again_for_those_who_have_it(worker, database, tmp_path, count):
    (request_id,) = request_ids(database, make_run(database, tmp_path / "data", model="fake:b"))
    make_run(database, tmp_path / "data", 1)
    with database.read() as connection:
        worker.load(next(w for w in queue.work(connection) if w.load_key == key_of()))
    if not count:
        worker.answer(0)
        worker.answer(0)
    database.write(lambda c: queue.mark_published(c, [request_id]))
    worker.answer(request_id)
    assert row_of(database, request_id).published_at is None and stored(database) == 1


def test_a_worker_leaves_bells_to_those_that_have_the_dtype_of_all_that_is_left(worker, database, tmp_path):
    """It has answered the run that was for it; the other one is that of a device with another dtype."""
    theirs = request_ids(database, make_run(database, tmp_path / "data", 4, max_pixels=4))
    database.write(lambda c: queue.mark_published(c, theirs))
    (mine,) = request_ids(database, make_run(database, tmp_path / "data", 1))
    taken = take(database, theirs[0], dtype="bfloat16")
    dispatch = Dispatch(worker, consumer := FakeConsumer())
    dispatch.step()
    worker.answer(theirs[1])
    assert row_of(database, mine).status == RequestStatus.DONE and len(consumer.queues) == 1
    worker.answer(theirs[2])
    worker.answer(theirs[3])
    assert [row_of(database, i).published_at for i in theirs[1:]] == [None] * 3, "to be rung for again, soon"
    dispatch.step()
    assert consumer.queues == []
    make_run(database, tmp_path / "data", 1, max_pixels=9)
    dispatch.step()
    assert len(consumer.queues) == 1 and row_of(database, taken.request_id).attempt == 1


def test_two_runs_of_one_model_share_a_worker_by_turns(worker, database, tmp_path):
    big = make_run(database, tmp_path / "data", samples(12, videos=12), max_pixels=12)
    small = make_run(database, tmp_path / "data", 3)
    worker.load(work_of(database))
    for bell in request_ids(database, big)[:6]:
        worker.answer(bell)
    with database.read() as connection:
        assert [runs.counts(connection, r).done for r in (big, small)] == [3, 3]


# what was lost, and what is over


def test_a_request_whose_lease_is_lost_is_neither_decoded_nor_generated(worker, database, tmp_path, monkeypatch):
    (request_id,) = ready(worker, database, tmp_path)
    real = worker.answerer.stages.enter

    def lose(held, stage: Stage) -> None:
        held.lost = True
        real(held, stage)

    monkeypatch.setattr(worker.answerer.stages, "enter", lose)
    monkeypatch.setattr(worker.engine, "ask", lambda *a, **k: pytest.fail("it is another worker's"))
    worker.answer(request_id)
    assert stored(database) == 0 and worker.held() == []


def test_a_database_that_is_back_is_no_trouble_any_more(worker, database, tmp_path, monkeypatch):
    (request_id,) = ready(worker, database, tmp_path)
    real, tries = worker.database.write, []

    def fail_once(*args, **kw):
        tries.append(worker.message)
        if len(tries) == 1:
            raise DatabaseUnavailable("the server closed the connection")
        return real(*args, **kw)

    monkeypatch.setattr(worker.database, "write", fail_once)
    worker.answer(request_id)
    assert tries[1] == "the server closed the connection" and worker.message is None


def test_data_that_is_there_again_is_no_trouble_any_more(worker, database, tmp_path):
    first, second = ready(worker, database, tmp_path, count=2)
    data = tmp_path / "data"
    data.rename(tmp_path / "away")
    worker.answer(first)
    assert "VIDEVAL_DATA_ROOT" in worker.message
    (tmp_path / "away").rename(data)
    worker.answer(second)
    assert worker.message is None


def test_trouble_with_a_run_that_nobody_wants_any_more_is_over(worker, database, tmp_path):
    dispatch = Dispatch(worker, FakeConsumer())
    run_id = make_run(database, tmp_path / "data")
    dispatch.step()
    (tmp_path / "data").rename(tmp_path / "away")
    worker.answer(request_ids(database, run_id)[0])
    dispatch.step()
    assert "VIDEVAL_DATA_ROOT" in worker.message, "the run still asks for it"
    database.write(lambda c: runs.cancel(c, run_id))
    dispatch.step()
    assert worker.message is None


def test_a_model_that_nobody_asks_for_any_more_is_no_trouble(worker, database, tmp_path, monkeypatch):
    dispatch = Dispatch(worker, FakeConsumer())
    run_id = make_run(database, tmp_path / "data")
    monkeypatch.setattr(worker, "load", lambda work: (_ for _ in ()).throw(ModelUnavailable("too large")))
    dispatch.step()
    dispatch.step()
    assert "cannot be loaded: too large" in worker.message
    database.write(lambda c: runs.cancel(c, run_id))
    dispatch.step()
    assert worker.message is None


def test_troubles_are_told_together_and_end_one_by_one(database):
    kept = ledger.Ledger(database, lease=60)
    kept.note(ledger.Trouble.DATA, "no data")
    kept.note(ledger.Trouble.DATABASE, "no database")
    kept.note(ledger.Trouble.DATA, "no data at all")
    assert kept.message == "no data at all; no database"
    kept.over(ledger.Trouble.DATA)
    assert kept.message == "no database"
    kept.over(*ledger.Trouble)
    assert kept.message is None


def test_a_worker_that_drains_does_not_wait_out_its_pause(worker, database, tmp_path, monkeypatch):
    (request_id,) = ready(worker, database, tmp_path)
    (tmp_path / "data").rename(tmp_path / "away")
    worker.answerer._not_here_in_a_row = 6 * worker.places
    real = worker.answerer._release

    def release_and_drain(*args, **kw) -> None:
        real(*args, **kw)
        worker.drain()

    monkeypatch.setattr(worker.answerer, "_release", release_and_drain)
    worker.answerer._settings = worker.settings.model_copy(update={"retry_delay": 60.0})
    began = time.monotonic()
    worker.answer(request_id)
    assert time.monotonic() - began < 30, "it would have been 64 s"
