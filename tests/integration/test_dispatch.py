"""Dispatch: which model a worker serves, by what all can see, and how little it looks at while nothing changes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select, update

from tests.one_worker import FakeConsumer, LockedWorker, QuickEngine, end, new_worker, quick
from tests.questions import identity, key_of, make_run, request_ids, take
from videval.db import queue, runs, workers
from videval.db.identity import database_id
from videval.db.session import Database, open_database
from videval.db.tables import WorkerRow
from videval.settings import Settings
from workers import dispatch as dispatch_module
from workers.bell import queue_name
from workers.dispatch import Dispatch
from workers.loops import Crowd
from workers.worker import Worker


@pytest.fixture
def consumer() -> FakeConsumer:
    return FakeConsumer()


@pytest.fixture
def engine(worker: Worker) -> QuickEngine:
    return quick(worker)


@pytest.fixture
def dispatch(worker: Worker, engine: QuickEngine, consumer: FakeConsumer) -> Dispatch:
    return Dispatch(worker, consumer)


@pytest.fixture
def other(database: Database, settings: Settings) -> Iterator[LockedWorker]:
    """A worker beside the first one."""
    made = new_worker(open_database(settings), settings)
    quick(made)
    yield made
    end(made)


def loaded(worker: Worker) -> str | None:
    """The load key of the model that is there."""
    return worker.engine.loaded.load_key if worker.engine.loaded else None


def seats_of_others(database: Database, count: int, load_key: str | None = None) -> None:
    """So many more workers, far away."""
    for n in range(count):
        database.write(workers.register, identity(f"w{n}", lock_domain="another host"))
        database.write(workers.take_seat, f"w{n}", load_key)


def test_what_has_work_is_loaded_and_its_queue_consumed(
    worker: Worker, dispatch: Dispatch, consumer: FakeConsumer, database: Database, tmp_path: Path
) -> None:
    dispatch.step()
    assert consumer.queues == [] and worker.engine.loaded is None, "no work, no load"
    run_id = make_run(database, tmp_path / "data")
    dispatch.step()
    assert loaded(worker) == key_of() and len(consumer.queues) == 1
    dispatch.step()
    assert worker.engine.loads == 1
    database.write(runs.cancel, run_id)
    make_run(database, tmp_path / "data", model="fake:b")
    dispatch.step()
    assert loaded(worker) == key_of("fake:b") and len(consumer.queues) == 1


def test_a_queue_that_was_added_in_vain_is_added_again(
    dispatch: Dispatch, consumer: FakeConsumer, database: Database, tmp_path: Path
) -> None:
    make_run(database, tmp_path / "data")
    dispatch.step()
    (name,) = consumer.queues
    consumer.queues.clear()
    dispatch.step()
    assert consumer.queues == [name]


def test_a_turn_begins_when_the_model_is_loaded_however_long_that_took(
    worker: Worker, dispatch: Dispatch, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(work: queue.KeyWork) -> None:
        long_ago = update(WorkerRow).values(serving_since=WorkerRow.serving_since - 500)
        database.write(lambda c: c.execute(long_ago))

    monkeypatch.setattr(worker, "load", load)
    make_run(database, tmp_path / "data")
    dispatch.step()
    with database.read() as connection:
        (me,) = workers.live_workers(connection)
    assert me.load_key == key_of() and me.served_s < 100


def test_while_a_model_is_loaded_all_can_see_so(
    worker: Worker, dispatch: Dispatch, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(database, tmp_path / "data")
    said: list[str] = []

    def load(work: queue.KeyWork) -> None:
        with database.read() as connection:
            said.append(connection.execute(select(WorkerRow.state)).scalar_one())

    monkeypatch.setattr(worker, "load", load)
    dispatch.step()
    assert said == ["loading"]


def test_a_model_that_cannot_be_loaded_is_said_and_its_queue_left_to_others(
    worker: Worker,
    engine: QuickEngine,
    dispatch: Dispatch,
    consumer: FakeConsumer,
    database: Database,
    tmp_path: Path,
) -> None:
    make_run(database, tmp_path / "data")
    dispatch.step()
    engine.loaded, engine.cannot = None, {key_of()}  # it died, and its reload failed
    dispatch.step()
    assert consumer.queues == [] and "fake cannot be loaded" in str(worker.message)
    with database.read() as connection:
        row = connection.execute(select(WorkerRow.load_key, WorkerRow.refuses)).one()
    assert (row.load_key, row.refuses) == (None, [key_of()])


def test_a_dtype_that_this_device_does_not_have_is_left_to_others(
    worker: Worker, dispatch: Dispatch, consumer: FakeConsumer, database: Database, tmp_path: Path
) -> None:
    run_id = make_run(database, tmp_path / "data", 2)
    take(database, request_ids(database, run_id)[0], dtype="bfloat16")
    dispatch.step()
    assert worker.engine.loaded is None and consumer.queues == []


def test_two_workers_that_choose_at_once_serve_two_keys(
    worker: Worker, dispatch: Dispatch, other: Worker, database: Database, tmp_path: Path
) -> None:
    others = Dispatch(other, FakeConsumer())
    make_run(database, tmp_path / "data", 9, model="fake:a")
    make_run(database, tmp_path / "data", 9, model="fake:b")
    with ThreadPoolExecutor(2) as pool:
        for _ in range(4):
            list(pool.map(lambda one: one.step(), (dispatch, others)))
    assert {dispatch.load_key, others.load_key} == {key_of("fake:a"), key_of("fake:b")}
    assert worker.engine.loads + other.engine.loads <= 3


def test_queues_that_the_user_named_are_the_only_ones_served(
    worker: Worker,
    engine: QuickEngine,
    consumer: FakeConsumer,
    database: Database,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    make_run(database, tmp_path / "data", model="fake:a")
    make_run(database, tmp_path / "data", model="fake:b")
    named = queue_name(database_id(database), key_of("fake:b"))
    chosen = Dispatch(worker, consumer, queues=frozenset({named}))
    chosen.step()
    assert loaded(worker) == key_of("fake:b")
    assert consumer.queues == [named]
    with database.read() as connection:
        assert connection.execute(select(WorkerRow.refuses)).scalar_one() == [key_of("fake:a")]
    chosen.step()
    said = [message for message in caplog.messages if "-Q" in message]
    left = queue_name(database_id(database), key_of("fake:a"))
    assert said == [f"-Q leaves {key_of('fake:a')} to others: its queue is {left}"], "once, with its name"


def test_a_model_that_one_worker_cannot_load_goes_to_another(
    engine: QuickEngine, dispatch: Dispatch, other: Worker, database: Database, tmp_path: Path
) -> None:
    others = Dispatch(other, FakeConsumer())
    make_run(database, tmp_path / "data", 9, model="fake:b")
    others.step()
    make_run(database, tmp_path / "data", 9, model="fake:a")
    engine.cannot = {key_of("fake:a")}
    for _ in range(3):
        dispatch.step()
        others.step()
    assert (dispatch.load_key, others.load_key) == (key_of("fake:b"), key_of("fake:a"))


# what a look costs


@pytest.fixture
def settled(dispatch: Dispatch, database: Database, tmp_path: Path) -> Dispatch:
    """One that serves a run, among others."""
    make_run(database, tmp_path / "data", 9)
    seats_of_others(database, 3, key_of())
    dispatch.step()
    dispatch.step()
    return dispatch


def test_while_nothing_changes_a_look_is_one_statement(settled: Dispatch, statements: list[str]) -> None:
    settled.step()
    assert len(statements) == 1


def test_an_idle_worker_that_nobody_needs_looks_as_cheaply(
    dispatch: Dispatch, database: Database, tmp_path: Path, statements: list[str]
) -> None:
    make_run(database, tmp_path / "data", 1)
    seats_of_others(database, 3, key_of())
    dispatch.step()
    statements.clear()
    dispatch.step()
    assert len(statements) == 1 and dispatch.load_key is None


def test_with_no_work_at_all_a_look_is_one_statement(dispatch: Dispatch, statements: list[str]) -> None:
    dispatch.step()
    statements.clear()
    dispatch.step()
    assert len(statements) == 1


@pytest.mark.parametrize("change", ["a worker is gone", "a worker comes", "a run comes", "a priority changes"])
def test_after_a_change_all_workers_are_looked_at(
    settled: Dispatch, database: Database, tmp_path: Path, statements: list[str], change: str
) -> None:
    if change == "a worker is gone":
        database.write(workers.stop, "w0")
    elif change == "a worker comes":
        database.write(workers.register, identity("new", lock_domain="another host"))
    elif change == "a run comes":
        make_run(database, tmp_path / "data", model="fake:b")
    else:
        make_run(database, tmp_path / "data", max_pixels=9, priority=1)
    settled.step()
    assert len(statements) > 1
    seen = len(statements)
    settled.step()
    assert len(statements) == seen + 1 or change == "a run comes", "a key without a worker is not settled"


def test_after_some_looks_all_workers_are_looked_at_whatever_did_not_change(
    settled: Dispatch, statements: list[str]
) -> None:
    for _ in range(dispatch_module.MOST_LOOKS):
        settled.step()
    assert len(statements) == dispatch_module.MOST_LOOKS + 1


def test_a_key_that_is_left_alone_is_taken_over_although_its_run_did_not_change(
    settled: Dispatch, database: Database, tmp_path: Path
) -> None:
    make_run(database, tmp_path / "data", 1, model="fake:b")
    database.write(workers.take_seat, "w2", key_of("fake:b"))
    settled.step()
    settled.step()
    assert settled.load_key == key_of()
    database.write(workers.stop, "w2")
    for n in range(2):  # they have something else to do
        database.write(workers.refuse, f"w{n}", [key_of("fake:b")])
    settled.step()
    assert settled.load_key == key_of("fake:b")


def test_a_worker_without_a_model_looks_more_often(
    worker: Worker, engine: QuickEngine, database: Database, tmp_path: Path
) -> None:
    worker.settings = worker.settings.model_copy(update={"dispatch": 8.0})
    one = Dispatch(worker, FakeConsumer())
    assert one.pause < 1.0
    make_run(database, tmp_path / "data")
    one.step()
    assert engine.loads == 1 and one.pause > 7.0


def test_many_workers_look_less_often_and_not_all_at_once(worker: Worker, database: Database) -> None:
    one = Dispatch(worker, FakeConsumer(), crowd := Crowd())
    seats_of_others(database, 199)
    one.step()
    assert crowd.size == 200
    assert all(3.5 < one.pause < 4.5 for _ in range(20)) and len({one.pause for _ in range(9)}) > 1


def test_a_worker_is_told_how_many_serve_what_it_serves(settled: Dispatch, worker: Worker, database: Database) -> None:
    assert worker.claimer.neighbours == 4
    database.write(workers.stop, "w0")
    settled.step()
    assert worker.claimer.neighbours == 3


def test_a_worker_that_is_silent_is_not_reckoned_with(settled: Dispatch, worker: Worker, database: Database) -> None:
    silent = update(WorkerRow).where(WorkerRow.id == "w1").values(heartbeat_at=WorkerRow.heartbeat_at - 500)
    database.write(lambda c: c.execute(silent))
    settled.step()
    assert worker.claimer.neighbours == 3


def test_a_neighbour_that_was_frozen_while_it_chose_stops_nobody_s_writes(
    worker: Worker, dispatch: Dispatch, consumer: FakeConsumer, database: Database, tmp_path: Path
) -> None:
    """It is chosen again at the next look."""
    if database.dialect != "postgresql":
        pytest.skip("writers to a SQLite file take turns")
    make_run(database, tmp_path / "data", 3)
    with database.engine.connect() as frozen:
        frozen.begin()
        assert workers.lock_seats(frozen)
        dispatch.step()
        assert consumer.queues == [] and worker.ledger.write(lambda c: "written") == "written"
    dispatch.step()
    assert len(consumer.queues) == 1
