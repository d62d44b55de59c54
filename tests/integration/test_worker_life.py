"""One worker in this process: what it does with each way that an answer, a child or the database can fail."""

import os
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.one_worker import ready, stored
from tests.questions import answer, key_of, make_run, request_ids, response, row_of, take
from tests.servers import wait_for
from videval.db import queue
from videval.db.session import Database
from videval.db.tables import AttemptRow, RequestRow, ResponseRow
from videval.errors import DatabaseUnavailable, EnvironmentProblem
from workers import answering, spool
from workers import worker as worker_module
from workers.worker import Worker


def last_attempt(database: Database, request_id: int):
    query = select(*AttemptRow.__table__.c).where(AttemptRow.request_id == request_id).order_by(AttemptRow.attempt)
    with database.read() as connection:
        return connection.execute(query).all()[-1]


@pytest.fixture
def may_answer(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """What is generated is answered when this is set, however long that takes."""
    real, event = worker.engine.ask, threading.Event()

    def ask(*args: Any, **more: Any) -> Any:
        answer = real(*args, **more)
        assert event.wait(60)
        return answer

    monkeypatch.setattr(worker.engine, "ask", ask)
    return event


# requests


def test_a_request_that_is_not_to_be_had_is_forgotten(worker, database, tmp_path):
    (request_id,) = ready(worker, database, tmp_path)
    take(database, request_id, "somebody else")
    worker.answer(request_id)
    worker.answer(987654)
    assert stored(database) == 0 and worker.held() == []


def test_a_bell_that_rings_while_no_model_is_loaded_is_not_lost(worker, database, tmp_path):
    (request_id,) = request_ids(database, make_run(database, tmp_path / "data"))
    database.write(lambda c: queue.mark_published(c, [request_id]))
    worker.answer(request_id)
    assert row_of(database, request_id).published_at is None


def test_a_request_that_crashes_its_engine_is_struck_and_then_failed(worker, database, tmp_path):
    (request_id,) = ready(worker, database, tmp_path, {0: {"fake_fault": "crash"}})
    worker.answer(request_id)
    row = row_of(database, request_id)
    assert (row.status, row.strikes, row.alone) == ("queued", 1, True)
    worker.answer(request_id)
    row = row_of(database, request_id)
    assert (row.status, row.error_kind) == ("failed", "crash") and worker.answerer.ended.failed == 1


@pytest.mark.parametrize(("fault", "kind"), [("error", "model"), ("oom", "oom")])
def test_a_failure_has_its_kind_its_message_and_a_traceback(worker, database, tmp_path, fault, kind):
    (request_id,) = ready(worker, database, tmp_path, {0: {"fake_fault": fault}})
    for _ in range(2):
        worker.answer(request_id)
        time.sleep(0.15)
    row = row_of(database, request_id)
    assert (row.status, row.error_kind) == ("failed", kind)
    assert "Traceback" in last_attempt(database, request_id).traceback


def test_a_broken_video_fails_at_once_and_is_never_shown_to_the_model(worker, database, tmp_path):
    (request_id,) = ready(worker, database, tmp_path)
    (tmp_path / "data" / "v0.mp4").write_bytes(b"not a video")
    worker.answer(request_id)
    assert row_of(database, request_id).error_kind == "video"
    assert last_attempt(database, request_id).stage == "decode"


def test_data_that_is_not_on_this_machine_goes_back_for_others_and_the_worker_says_why(worker, database, tmp_path):
    (request_id,) = ready(worker, database, tmp_path)
    shutil.rmtree(tmp_path / "data")
    worker.answer(request_id)
    row = row_of(database, request_id)
    assert (row.status, row.strikes, row.retries) == ("queued", 0, 0) and "VIDEVAL_DATA_ROOT" in worker.message


def test_what_nobody_foresaw_sends_the_request_back_and_the_worker_lives_on(worker, database, tmp_path, monkeypatch):
    first, second = ready(worker, database, tmp_path, count=2)
    with monkeypatch.context() as patch:
        patch.setattr(answering, "asking", lambda *a, **k: 1 / 0)
        worker.answer(first)
        assert (row_of(database, first).status, row_of(database, first).retries) == ("queued", 1)
        for _ in range(worker.settings.max_retries):
            database.write(lambda c: c.execute(update(RequestRow).values(available_at=0.0)))
            worker.answer(first)
    row = row_of(database, first)
    assert (row.status, row.error_kind, row.error) == ("failed", "model", "ZeroDivisionError: division by zero")
    assert "1 / 0" in last_attempt(database, first).traceback
    worker.answer(second)
    assert row_of(database, second).status == "done"


def test_a_host_without_its_data_takes_ever_less_from_the_others(worker, database, tmp_path, monkeypatch):
    (request_id,) = ready(worker, database, tmp_path)
    shutil.rmtree(tmp_path / "data")
    pauses = []
    monkeypatch.setattr(worker.draining, "wait", pauses.append)
    for _ in range(3 * worker.places):
        database.write(lambda c: c.execute(update(RequestRow).values(available_at=0.0)))
        worker.answer(request_id)
    assert pauses[-1] == 4 * pauses[0] > 0


def test_a_request_thread_without_a_model_does_not_empty_the_queue(worker, database, tmp_path):
    (request_id,) = request_ids(database, make_run(database, tmp_path / "data"))
    began = time.monotonic()
    worker.answer(request_id)
    assert time.monotonic() - began >= worker_module.DEAF_PAUSE and row_of(database, request_id).status == "queued"


def test_what_waits_for_one_model_never_reaches_another(worker, database, tmp_path):
    """The engine dies under model a; while a is loaded again, the worker changes to b."""
    ids = ready(worker, database, tmp_path, {0: {"latency_ms": 60_000}}, count=3)
    with ThreadPoolExecutor(3) as pool:
        pool.submit(worker.answer, ids[0])
        wait_for("one to be generated", lambda: "generate" in [h.stage for h in worker.held()], 30)
        for request_id in ids[1:]:
            pool.submit(worker.answer, request_id)
        wait_for("the others to wait", lambda: [h.stage for h in worker.held()].count("wait") == 2, 30)
        os.kill(worker.engine.pid, signal.SIGKILL)
        wait_for("the engine to be gone", lambda: worker.engine.loaded is None, 30)
        make_run(database, tmp_path / "data", model="fake:b")
        with database.read() as connection:
            other = next(w for w in queue.work(connection) if w.load_key == key_of("fake:b"))
        worker.load(other)
    assert worker.engine.loaded.load_key == key_of("fake:b")
    assert stored(database) == 0 and {row_of(database, i).status for i in ids} == {"queued"}


def test_an_answer_whose_lease_was_lost_is_refused_counted_and_said(worker, database, tmp_path, caplog, may_answer):
    (request_id,) = ready(worker, database, tmp_path)
    thread = threading.Thread(target=worker.answer, args=(request_id,))
    thread.start()
    wait_for("it to be generated", lambda: [h.stage for h in worker.held()] == ["generate"], 30)
    gone = update(RequestRow).values(lease_expires_at=1.0)
    database.write(lambda c: c.execute(gone))
    take(database, request_id, "successor")
    may_answer.set()
    thread.join(60)
    assert worker.answerer.ended.refused == 1 and stored(database) == 0 and "answer refused" in caplog.text


# drain and end


def test_draining_takes_nothing_more_and_finishes_what_generates(worker, database, tmp_path):
    ids = ready(worker, database, tmp_path, {i: {"latency_ms": 2500} for i in range(6)}, count=6)
    with ThreadPoolExecutor(6) as pool:
        for request_id in ids:
            pool.submit(worker.answer, request_id)
        wait_for("a batch", lambda: any(h.stage == "generate" for h in worker.held()), 30)
        worker.drain()
    counts = [row_of(database, i).status for i in ids]
    assert 1 <= counts.count("done") <= 2 and counts.count("queued") == 6 - counts.count("done")
    assert all(row_of(database, i).strikes == 0 for i in ids)


def test_a_worker_that_is_ended_now_gives_everything_back_unstruck(worker, database, tmp_path):
    ids = ready(worker, database, tmp_path, {i: {"latency_ms": 60000} for i in range(3)}, count=3)
    with ThreadPoolExecutor(3) as pool:
        for request_id in ids:
            pool.submit(worker.answer, request_id)
        wait_for("a batch", lambda: any(h.stage == "generate" for h in worker.held()), 30)
        worker.close()
    rows = [row_of(database, i) for i in ids]
    assert [(r.status, r.strikes) for r in rows] == [("queued", 0)] * 3
    assert worker.engine.pid is None and worker.decoders.pids() == []


# outages of the database


class Outage:
    """A database that is away for a while."""

    def __init__(self, worker: Worker, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
        self.real, self.error, self.tries = worker.database.write, error, 0
        self._patch, self._worker = monkeypatch, worker

    def begin(self) -> None:
        self._patch.setattr(self._worker.database, "write", self._fail)

    def end(self) -> None:
        self._patch.setattr(self._worker.database, "write", self.real)

    def _fail(self, *args: object, **kw: object) -> None:
        self.tries += 1
        raise self.error


GONE = DatabaseUnavailable("the server closed the connection")
FULL = EnvironmentProblem("database sqlite: the disk is full", hint="free some space; the run goes on")


@pytest.mark.parametrize("error", [GONE, FULL], ids=["gone", "full"])
def test_an_answer_in_hand_is_kept_until_the_database_is_back(
    worker, database, tmp_path, monkeypatch, error, may_answer
):
    (request_id,) = ready(worker, database, tmp_path)
    outage = Outage(worker, monkeypatch, error)
    thread = threading.Thread(target=worker.answer, args=(request_id,))
    thread.start()
    wait_for("it to be generated", lambda: worker.held() and worker.held()[0].stage == "generate", 30)
    outage.begin()
    may_answer.set()
    wait_for("it to try to store", lambda: worker.held()[0].stage == "store" and outage.tries >= 2, 30)
    wait_for("it to say so", lambda: worker.message == str(error), 30)
    outage.end()
    thread.join(30)
    assert row_of(database, request_id).status == "done" and row_of(database, request_id).strikes == 0


def test_a_worker_that_must_end_meanwhile_keeps_it_on_disk_and_the_next_one_stores_it(
    worker, database, settings, tmp_path, monkeypatch, may_answer
):
    (request_id,) = ready(worker, database, tmp_path, {0: {"fake_answer": "kept \x00 \ud800"}})
    outage = Outage(worker, monkeypatch, GONE)
    thread = threading.Thread(target=worker.answer, args=(request_id,))
    thread.start()
    wait_for("it to be generated", lambda: worker.held() and worker.held()[0].stage == "generate", 30)
    outage.begin()
    may_answer.set()
    wait_for("it to try to store", lambda: worker.held()[0].stage == "store", 30)
    worker.close()
    thread.join(30)
    assert len(list(settings.spool_path.iterdir())) == 1
    assert spool.replay(settings, database) == 1
    assert row_of(database, request_id).status == "done" and not list(settings.spool_path.iterdir())
    with database.read() as connection:
        assert connection.execute(select(ResponseRow.text)).scalar_one() == "kept \x00 \ud800"


def test_a_spooled_answer_that_somebody_else_gave_meanwhile_is_dropped(worker, database, settings, tmp_path):
    (request_id,) = ready(worker, database, tmp_path)
    claim = take(database, request_id, "ended")
    spool.keep(settings, claim, response("mine"))
    database.write(lambda c: c.execute(update(RequestRow).values(lease_expires_at=1.0)))
    answer(database, take(database, request_id, "w2"), "theirs")
    assert spool.replay(settings, database) == 0
    with database.read() as connection:
        assert connection.execute(select(ResponseRow.text)).scalar_one() == "theirs"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"request_id": 1}', '{"request_id": "x", "attempt": []}'])
def test_a_spooled_file_that_is_none_is_left_where_it_is(database, settings, content):
    settings.spool_path.mkdir(parents=True)
    (settings.spool_path / "1-1.json").write_text(content)
    assert spool.replay(settings, database) == 0
    assert (settings.spool_path / "1-1.json").exists()


def test_a_spooled_answer_that_cannot_be_scored_keeps_no_worker_from_starting(
    worker, database, settings, tmp_path, monkeypatch
):
    (request_id,) = ready(worker, database, tmp_path)
    spool.keep(settings, take(database, request_id, "ended"), response("mine"))
    monkeypatch.setattr(spool, "asking", lambda *a, **k: 1 / 0)
    assert spool.replay(settings, database) == 0
    assert len(list(settings.spool_path.glob("*.json"))) == 1
