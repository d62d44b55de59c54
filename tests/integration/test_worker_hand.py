"""One worker's hand: siblings of a clip, fair shares, what is given back, and what lies in the spool meanwhile."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.one_worker import LockedWorker, end, new_worker, stored, work_of
from tests.questions import make_run, request_ids, row_of, samples, take
from tests.servers import wait_for
from videval.asking import asking
from videval.db import claims, requests
from videval.db.session import Connection, Database, open_database
from videval.db.tables import AttemptRow
from videval.errors import DatabaseUnavailable
from videval.inference import DiedInCompany
from videval.settings import Settings
from videval.types import RequestStatus, Stage
from workers import answering, lifecycle, spool
from workers.hand import MOST_THREADS
from workers.worker import Worker

SLOW = {"latency_ms": 60_000}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"batch_size": 2, "look_ahead": 4})


def one_clip(worker: Worker, database: Database, folder: Path, count: int, **row: Any) -> list[int]:
    """Questions about one clip, and the model loaded."""
    run_id = make_run(database, folder / "data", samples(count, dict.fromkeys(range(count), row), videos=1))
    worker.load(work_of(database))
    return request_ids(database, run_id)


def status(database: Database, ids: list[int]) -> list[str]:
    return [row_of(database, i).status for i in ids]


def stages(worker: Worker) -> list[Stage]:
    return sorted(held.stage for held in worker.held())


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many requests each claim took."""
    sizes: list[int] = []
    real = claims.take

    def take(*args: Any, **more: Any) -> list[Any]:
        found = real(*args, **more)
        sizes.append(len(found))
        return found

    monkeypatch.setattr(claims, "take", take)
    return sizes


def test_six_questions_about_one_clip_are_one_claim_and_one_decoding(
    worker: Worker, database: Database, tmp_path: Path, taken: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    real = worker.decoders._decode

    def decode(message: dict[str, Any], on_decode: Callable[[], None]) -> Any:
        decoded.append(message["path"])
        return real(message, on_decode)

    monkeypatch.setattr(worker.decoders, "_decode", decode)
    ids = one_clip(worker, database, tmp_path, 6)
    worker.answer(ids[0])
    wait_for("all to be answered", lambda: stored(database) == 6, 30)
    assert taken == [6] and len(decoded) == 1


def test_the_bells_of_siblings_are_harmless(
    worker: Worker, database: Database, tmp_path: Path, taken: list[int]
) -> None:
    ids = one_clip(worker, database, tmp_path, 6, latency_ms=50)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(worker.answer, ids))
    assert status(database, ids) == [RequestStatus.DONE] * 6 and sum(taken) == 6
    assert {row_of(database, i).attempt for i in ids} == {1}


def test_two_workers_share_the_last_clip(
    worker: Worker, database: Database, settings: Settings, tmp_path: Path, taken: list[int]
) -> None:
    other = new_worker(open_database(settings), settings)
    ids = one_clip(worker, database, tmp_path, 4, **SLOW)
    other.load(work_of(database))
    worker.claimer.neighbours = other.claimer.neighbours = 2
    with ThreadPoolExecutor(2) as pool:
        pool.submit(worker.answer, ids[0])
        wait_for("the first one to have its share", lambda: len(worker.held()) == 2, 30)
        pool.submit(other.answer, ids[1])
        wait_for("the other one to have the rest", lambda: len(other.held()) >= 1, 30)
        assert taken[0] == 2 and len(worker.held()) == 2
        worker.close()
        end(other)


def test_what_has_not_begun_is_given_back_newest_first_and_costs_nothing(
    worker: LockedWorker, database: Database, tmp_path: Path
) -> None:
    ids = one_clip(worker, database, tmp_path, 6, **SLOW)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(worker.answer, ids[0])
        wait_for(
            "all to be with the model",
            lambda: set(stages(worker)) == {Stage.GENERATE, Stage.WAIT} and len(stages(worker)) == len(ids),
            30,
        )
        wait_for(
            "all of them", lambda: len(ids) == stages(worker).count(Stage.GENERATE) + stages(worker).count(Stage.WAIT)
        )
        begun = {held.claim.request_id for held in worker.held() if held.stage == Stage.GENERATE}
        back = worker.give_back(3)
        assert len(back) == 3 and begun.isdisjoint(back)
        rows = [row_of(database, i) for i in back]
        assert [(r.status, r.strikes, r.retries, r.published_at) for r in rows] == [("queued", 0, 0, None)] * 3
        rest = worker.give_back(99)
        assert begun | set(back) | set(rest) == set(ids) and worker.give_back(99) == []
        worker.close()


def test_what_is_not_decoded_yet_is_given_back_too_and_nobody_goes_on_with_it(
    worker: LockedWorker, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go = threading.Event()
    real = worker.decoders.clip
    monkeypatch.setattr(worker.decoders, "clip", lambda *a, **k: may_go.wait(30) and real(*a, **k))
    ids = one_clip(worker, database, tmp_path, 3)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(worker.answer, ids[0])
        wait_for("all to wait for their frames", lambda: stages(worker) == [Stage.CLAIMED] * 3, 30)
        back = worker.give_back(2)
        assert len(back) == 2 and [row_of(database, i).status for i in back] == ["queued"] * 2
        may_go.set()
    wait_for("the one that was kept", lambda: not worker.held(), 30)
    assert stored(database) == 1 and status(database, back) == ["queued"] * 2


def test_a_worker_that_ends_finishes_siblings_that_are_generated_although_no_bell_stands_for_them(
    database: Database, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = new_worker(open_database(settings), settings)
    asked = samples(2, {1: {"latency_ms": 1000}}, videos=1)
    ids = request_ids(database, make_run(database, tmp_path / "data", asked, model="fake_server:2"))
    worker.load(work_of(database))
    worker.answer(ids[0])
    wait_for("the sibling to be generated", lambda: stages(worker) == [Stage.GENERATE], 30)
    monkeypatch.setattr(lifecycle._life, "worker", worker)
    lifecycle._on_shutdown()
    assert status(database, ids) == ["done", "done"]
    for fd in worker.held_fds:
        os.close(fd)


def test_no_more_is_in_hand_than_there_are_threads_to_hold_it(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request without a thread would be in nobody's hand, and its lease would run out."""
    monkeypatch.setattr(type(worker.engine), "slots", 5000)
    assert worker.places == MOST_THREADS


# stages, and what they cost


def seen_stages(database: Database, request_id: int) -> str:
    with database.read() as connection:
        return connection.execute(select(AttemptRow.stage).where(AttemptRow.request_id == request_id)).scalar_one()


def test_a_worker_that_dies_between_generating_and_storing_is_known_to_have_generated(
    worker: Worker, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scoring, may_score = threading.Event(), threading.Event()

    def slow(*args: Any) -> Any:
        scoring.set()
        assert may_score.wait(30)
        return asking(*args)

    monkeypatch.setattr(answering, "asking", slow)
    (request_id,) = one_clip(worker, database, tmp_path, 1)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(worker.answer, request_id)
        assert scoring.wait(30)
        wait_for("the row to say so", lambda: seen_stages(database, request_id) == Stage.STORE, 10)
        may_score.set()


def test_a_clip_that_is_warm_is_never_noted_as_decoded(
    worker: Worker, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = one_clip(worker, database, tmp_path, 2, latency_ms=20)
    noted: list[tuple[int, Stage]] = []

    def note(connection: object, pairs: list[tuple[int, int]], stage: Stage) -> None:
        noted.append((pairs[0][0], stage))

    monkeypatch.setattr(requests, "enter_stage", note)
    monkeypatch.setattr(worker.claimer, "neighbours", 2)
    for request_id in (first, second):
        worker.answer(request_id)
    assert [stage for i, stage in noted if i == first] == [Stage.DECODE, Stage.PREPARE, Stage.GENERATE, Stage.STORE]
    assert [stage for i, stage in noted if i == second] == [Stage.GENERATE, Stage.STORE]


def test_who_was_generated_beside_others_when_the_engine_died_runs_alone_and_is_not_struck(
    worker: Worker, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def died(*args: Any, **more: Any) -> Any:
        raise DiedInCompany("the engine died")

    (request_id,) = one_clip(worker, database, tmp_path, 1)
    monkeypatch.setattr(worker.engine, "ask", died)
    worker.answer(request_id)
    row = row_of(database, request_id)
    assert (row.status, row.alone, row.strikes, row.retries) == ("queued", True, 0, 0)


# the spool


@pytest.fixture
def over(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """An outage: the database is away from the first answer on, until it is over."""
    write, ask, away = worker.database.write, worker.engine.ask, threading.Event()

    def answered(*args: Any, **more: Any) -> Any:
        answer = ask(*args, **more)
        away.set()
        return answer

    def written(*args: Any, **more: Any) -> Any:
        if away.is_set():
            raise DatabaseUnavailable("the server closed the connection")
        return write(*args, **more)

    monkeypatch.setattr(worker.engine, "ask", answered)
    monkeypatch.setattr(worker.database, "write", written)
    return away.clear


def begin(worker: Worker, request_id: int) -> threading.Thread:
    """A request whose answer comes when the database is away."""
    thread = threading.Thread(target=worker.answer, args=(request_id,))
    thread.start()
    return thread


def spooled(settings: Settings) -> list[Path]:
    return list(settings.spool_path.glob("*"))


def test_while_the_database_is_away_an_answer_is_on_disk_at_once_and_goes_when_it_is_stored(
    worker: Worker, database: Database, settings: Settings, tmp_path: Path, over: Callable[[], None]
) -> None:
    (request_id,) = one_clip(worker, database, tmp_path, 1)
    thread = begin(worker, request_id)
    wait_for("it to be on disk", lambda: len(spooled(settings)) == 1, 30)
    assert stored(database) == 0
    over()
    thread.join(30)
    assert stored(database) == 1 and spooled(settings) == []


def test_an_answer_that_a_new_worker_stored_from_the_spool_meanwhile_is_not_called_refused(
    worker: Worker, database: Database, settings: Settings, tmp_path: Path, over: Callable[[], None]
) -> None:
    (request_id,) = one_clip(worker, database, tmp_path, 1)
    thread = begin(worker, request_id)
    wait_for("it to be on disk", lambda: len(list(settings.spool_path.glob("*.json"))) == 1, 30)
    assert spool.replay(settings, database) == 1
    over()
    thread.join(30)
    ended = worker.answerer.ended
    assert stored(database) == 1 and (ended.done, ended.refused) == (1, 0) and spooled(settings) == []


@pytest.mark.parametrize("is_succeeded", [False, True])
def test_an_answer_that_outlived_its_lease_in_an_outage_counts_unless_somebody_else_has_the_request_by_now(
    worker: Worker,
    database: Database,
    settings: Settings,
    tmp_path: Path,
    over: Callable[[], None],
    is_succeeded: bool,
) -> None:
    (request_id,) = one_clip(worker, database, tmp_path, 1)
    thread = begin(worker, request_id)
    wait_for("it to be on disk", lambda: len(list(settings.spool_path.glob("*.json"))) == 1, 30)
    database.write(requests.expire_workers, [worker.identity.id])
    assert not is_succeeded or take(database, request_id, "w2") is not None
    over()
    thread.join(30)
    ended = worker.answerer.ended
    assert (ended.done, ended.refused) == ((0, 1) if is_succeeded else (1, 0))
    assert stored(database) == ended.done and spooled(settings) == []


def test_a_spool_that_cannot_be_written_loses_no_answer_while_the_worker_lives(
    worker: Worker, database: Database, settings: Settings, tmp_path: Path, over: Callable[[], None], caplog: Any
) -> None:
    settings.home_path.mkdir(parents=True, exist_ok=True)
    settings.spool_path.write_text("a file where the folder should be")
    (request_id,) = one_clip(worker, database, tmp_path, 1)
    thread = begin(worker, request_id)
    wait_for("it to be said", lambda: "cannot be kept" in caplog.text, 30)
    over()
    thread.join(30)
    assert stored(database) == 1


@contextmanager
def another_writer(database: Database) -> Iterator[None]:
    """The database is held by somebody else who writes, until the block ends."""
    holds, may_end = threading.Event(), threading.Event()

    def hold(connection: Connection) -> None:
        if database.dialect == "postgresql":
            connection.exec_driver_sql("LOCK TABLE runs, requests, attempts, responses, predictions")
        holds.set()
        assert may_end.wait(60)

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(database.write, hold)
        assert holds.wait(20)
        try:
            yield
        finally:
            may_end.set()
            held.result(20)


def test_what_is_in_hand_is_decoded_and_generated_while_somebody_else_holds_the_database(
    worker: Worker, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, is_held, real = tmp_path / "log", threading.Event(), worker.decoders._decode

    def decode(message: dict[str, Any], on_decode: Callable[[], None]) -> Any:
        assert is_held.wait(30)
        return real(message, on_decode)

    monkeypatch.setenv("VIDEVAL_FAKE_LOG", str(log))
    monkeypatch.setattr(worker.decoders, "_decode", decode)
    ids = one_clip(worker, database, tmp_path, 6)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(worker.answer, ids[0])
        wait_for("all to be in hand", lambda: len(worker.held()) == 6, 30)
        with another_writer(database):
            is_held.set()
            wait_for("all to be generated", lambda: log.exists() and len(log.read_text().splitlines()) == 6, 20)
        wait_for("all to be stored", lambda: stored(database) == 6, 30)


# places


def test_places_follow_the_model_and_look_ahead_and_are_told_once(
    worker: Worker, database: Database, tmp_path: Path
) -> None:
    told: list[int] = []
    worker.on_places = told.append
    worker.say_places()
    assert told == [1 + 4] == [worker.places]
    ids = one_clip(worker, database, tmp_path, 2)
    assert told == [5, 2 + 4] and worker.places == 6
    worker.answer(ids[0])
    assert told == [5, 6], "look-ahead was set by the user: it is heeded"


def test_a_user_who_set_no_look_ahead_gets_more_for_a_fast_model(
    database: Database, database_settings: Settings, tmp_path: Path
) -> None:
    worker = new_worker(open_database(database_settings), database_settings)
    ids = one_clip(worker, database, tmp_path, 2)
    assert worker.places == 3
    for request_id in ids:
        worker.answer(request_id)
    assert 3 < worker.places <= 1 + 4 * 2
    end(worker)
