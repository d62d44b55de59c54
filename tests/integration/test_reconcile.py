"""Reconcile: one worker for all, another one when it is gone; who is given up, and when nobody is."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select, update

from tests.one_worker import LockedWorker, end, new_worker
from tests.questions import answer, identity, key_of, make_run, request_ids, row_of, take
from tests.servers import settings_for
from videval.db import chores, workers
from videval.db.schema import upgrade
from videval.db.session import Database, open_database
from videval.db.tables import ChoreRow, RequestRow, ScoreSumRow, WorkerRow
from videval.errors import BrokerUnavailable, DatabaseUnavailable
from videval.settings import Settings
from workers import loops, reconcile
from workers.loops import Crowd, Loops, Step
from workers.reconcile import Reconcile
from workers.worker import Worker

Filled = dict[str, int]


@pytest.fixture(autouse=True)
def filled(monkeypatch: pytest.MonkeyPatch) -> list[Filled]:
    """The queues that were filled, and how far; there is no broker."""
    asked: list[Filled] = []
    monkeypatch.setattr(reconcile, "publish_due", lambda settings, database, low: asked.append(low))
    return asked


@dataclass
class Clock:
    """This machine's own clock: moved by hand, but never slower than the real one."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settled(worker: Worker, clock: Clock) -> Iterator[Reconcile]:
    """The reconciler of one that has lived for a while: it knows how the clocks went."""
    made = Reconcile(worker, clock=clock)
    made.step()
    clock.ahead += worker.settings.lease
    made.step()
    yield made
    made.close()


@pytest.fixture
def second(database: Database, settings: Settings) -> Iterator[LockedWorker]:
    """A worker beside the first one."""
    made = new_worker(open_database(settings), settings)
    yield made
    end(made)


def overdue(database: Database, folder: Path) -> int:
    """A request whose worker's lease ran out long ago."""
    (request_id,) = request_ids(database, make_run(database, folder / "data"))
    take(database, request_id, "other")
    database.write(lambda c: c.execute(update(RequestRow).values(lease_expires_at=1.0)))
    return request_id


def make_ago(database: Database, seconds: float) -> None:
    """As if the chore had been done so many seconds earlier."""
    chore = update(ChoreRow).where(ChoreRow.name == reconcile.CHORE)
    database.write(lambda c: c.execute(chore.values(done_at=ChoreRow.done_at - seconds)))


# who reconciles


def test_the_first_worker_reconciles_for_all(worker: Worker, second: Worker) -> None:
    one, other = Reconcile(worker), Reconcile(second)
    for each in (one, other, other, one, other):
        each.step()
    assert one.is_elected and not other.is_elected


def test_one_that_is_gone_is_succeeded_after_a_few_periods(
    worker: Worker, second: Worker, database: Database, settings: Settings
) -> None:
    Reconcile(worker).step()
    other = Reconcile(second)
    make_ago(database, settings.reconcile * (reconcile.GONE - 1))
    other.step()
    assert not other.is_elected
    make_ago(database, settings.reconcile)
    other.step()
    assert other.is_elected


def test_one_that_was_frozen_and_succeeded_does_not_reconcile_beside_its_successor(
    worker: Worker, second: Worker, database: Database, filled: list[Filled]
) -> None:
    frozen, successor = Reconcile(worker), Reconcile(second)
    frozen.step()
    make_ago(database, 60.0)
    successor.step()
    filled.clear()
    frozen.step()
    assert not frozen.is_elected and filled == []
    successor.step()
    assert successor.is_elected and len(filled) == 1


def test_of_two_that_would_succeed_at_once_one_does(
    worker: Worker, second: Worker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.write(chores.take, reconcile.CHORE, None)
    make_ago(database, 60.0)
    with database.read() as connection:
        seen = chores.last_done(connection, reconcile.CHORE)
    monkeypatch.setattr(chores, "last_done", lambda *_: seen)
    both = Reconcile(worker), Reconcile(second)
    for each in both:
        each.step()
    assert [each.is_elected for each in both] == [True, False]


def test_a_clock_that_was_set_back_leaves_nobody_without_a_reconciler(worker: Worker, database: Database) -> None:
    database.write(chores.take, reconcile.CHORE, None)
    make_ago(database, -7200)
    (one := Reconcile(worker)).step()
    assert one.is_elected


def test_who_looks_writes_nothing(worker: Worker, second: Worker, statements: list[str]) -> None:
    Reconcile(second).step()
    one = Reconcile(worker)
    for _ in range(3):
        statements.clear()
        one.step()
    assert not one.is_elected
    assert len(statements) == 1 and statements[0].startswith("SELECT"), "once it knows the database's id"


def test_of_a_thousand_workers_about_fifty_look_in_a_period() -> None:
    crowd = Crowd(size=1000)
    assert 20 < sum(crowd.may_look() for _ in range(1000)) < 100
    assert all(Crowd(size=loops.CROWD).may_look() for _ in range(100))


def test_two_databases_on_one_machine_are_reconciled_each_by_its_own(
    worker: Worker, settings: Settings, tmp_path: Path
) -> None:
    elsewhere = settings_for(tmp_path / "other").model_copy(update={"lock_dir": settings.lock_dir})
    opened = open_database(elsewhere)
    upgrade(opened)
    stranger = new_worker(opened, elsewhere)
    one, other = Reconcile(worker), Reconcile(stranger)
    try:
        one.step()
        other.step()
        assert one.is_elected and other.is_elected
        assert one.watches_neighbours and other.watches_neighbours
    finally:
        end(stranger)


# who is given up


def test_a_lease_that_ran_out_is_given_up(settled: Reconcile, database: Database, tmp_path: Path) -> None:
    request_id = overdue(database, tmp_path)
    settled.step()
    assert row_of(database, request_id).status == "queued"


def test_an_outage_gives_nobody_up_for_one_lease_period(
    settled: Reconcile, clock: Clock, settings: Settings, database: Database, tmp_path: Path
) -> None:
    request_id = overdue(database, tmp_path)
    Loops(Away(), on_outage=settled.after_outage).once(Away())
    settled.step()
    assert row_of(database, request_id).status == "running"
    clock.ahead += settings.lease
    settled.step()
    assert row_of(database, request_id).status == "queued"


class Away(Step):
    """A step that finds no database."""

    pause = 1.0

    def step(self) -> None:
        raise DatabaseUnavailable("the server closed the connection")


@pytest.mark.parametrize("was_elected", [True, False])
def test_a_clock_that_jumps_gives_nobody_up_for_one_lease_period(
    settled: Reconcile,
    clock: Clock,
    settings: Settings,
    database: Database,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    was_elected: bool,
) -> None:
    """Whoever reconciles sees it, and whoever only looked and takes over just then. It is ours that is set back here:
    no other clock moves by hand."""
    request_id = overdue(database, tmp_path)
    if not was_elected:
        make_ago(database, 1.0)  # another one does it
        settled.step()
        make_ago(database, 60.0)
    clock.ahead -= 3600
    settled.step()
    assert settled.is_elected and "clock jumped 3600 s" in caplog.text
    assert row_of(database, request_id).status == "running"
    clock.ahead += settings.lease
    settled.step()
    assert row_of(database, request_id).status == "queued"


def test_a_worker_that_has_just_begun_does_not_trust_the_clock_yet(
    worker: Worker, database: Database, tmp_path: Path
) -> None:
    request_id = overdue(database, tmp_path)
    Reconcile(worker).step()
    assert row_of(database, request_id).status == "running"


def test_a_neighbour_whose_device_is_free_is_dead_and_its_requests_are_back_at_once(
    settled: Reconcile, second: LockedWorker, database: Database, tmp_path: Path
) -> None:
    (request_id,) = request_ids(database, make_run(database, tmp_path / "data"))
    take(database, request_id, second.identity.id)
    settled.step()
    assert row_of(database, request_id).status == "running", "its device is held: it lives"
    release_locks(second)
    settled.step()
    assert row_of(database, request_id).status == "queued"
    with database.read() as connection:
        state = select(WorkerRow.state).where(WorkerRow.id == second.identity.id)
        assert connection.execute(state).scalar_one() == "lost"


def release_locks(worker: LockedWorker) -> None:
    """As the kernel does when a process is gone."""
    for fd in worker.held_fds:
        os.close(fd)
    worker.held_fds = ()


def test_neighbours_are_watched_by_one_of_them_and_by_another_when_that_is_gone(
    worker: Worker, second: Worker, database: Database
) -> None:
    one, other = Reconcile(worker), Reconcile(second)
    one.step()
    other.step()
    assert (one.watches_neighbours, other.watches_neighbours) == (True, False)
    one.close()
    other.step()
    assert other.watches_neighbours
    other.close()


def test_a_dead_neighbour_is_seen_by_its_machine_wherever_the_one_lives_that_reconciles(
    worker: Worker, second: LockedWorker, database: Database, tmp_path: Path
) -> None:
    database.write(chores.take, reconcile.CHORE, None)
    (request_id,) = request_ids(database, make_run(database, tmp_path / "data"))
    take(database, request_id, second.identity.id)
    release_locks(second)
    one = Reconcile(worker)
    one.step()
    assert not one.is_elected and row_of(database, request_id).status == "queued"
    one.close()


def test_a_worker_of_another_host_is_only_given_up_by_its_lease(
    settled: Reconcile, database: Database, tmp_path: Path
) -> None:
    (request_id,) = request_ids(database, make_run(database, tmp_path / "data"))
    database.write(workers.register, identity("far", lock_domain="another host"))
    take(database, request_id, "far")
    settled.step()
    assert row_of(database, request_id).status == "running"


# bells and the broker


def test_queues_with_work_are_filled_for_each_worker_on_them(
    settled: Reconcile,
    worker: Worker,
    database: Database,
    tmp_path: Path,
    filled: list[Filled],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconcile, "LEAST_REFILL", 256)
    make_run(database, tmp_path / "data", 3)
    busy = request_ids(database, make_run(database, tmp_path / "data", 1, model="fake:b"))
    database.write(lambda c: c.execute(update(RequestRow).where(RequestRow.id == busy[0]).values(status="running")))
    for n in range(40):
        database.write(workers.register, identity(f"w{n}", lock_domain="another host"))
        database.write(workers.take_seat, f"w{n}", key_of())
    settled.step()
    assert filled[-1] == {key_of(): 40 * reconcile.REFILL * worker.places}, "what is in hand needs no bell"


def test_a_broker_that_is_away_is_looked_after_by_each_worker(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    def away() -> None:
        raise BrokerUnavailable("nobody listens")

    one = Reconcile(worker, ensure_broker=away)
    Loops(one, on_outage=one.after_outage).once(one)
    assert "reconcile: nobody listens" in caplog.text and not one.is_elected


def test_scores_that_cannot_be_added_up_keep_no_queue_empty(
    worker: Worker, database: Database, tmp_path: Path, filled: list[Filled], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fold_all(*args: object, **more: object) -> None:
        raise ValueError("a page's own mistake")

    make_run(database, tmp_path / "data", 3)
    monkeypatch.setattr(reconcile, "fold_all", fold_all)
    with pytest.raises(ValueError, match="own mistake"):
        Reconcile(worker).step()
    assert [list(low) for low in filled] == [[key_of()]]


def test_sums_that_a_frozen_process_holds_keep_no_worker_from_storing(
    worker: Worker, database: Database, tmp_path: Path
) -> None:
    if database.dialect != "postgresql":
        pytest.skip("writers to a SQLite file take turns")
    first, second = request_ids(database, make_run(database, tmp_path / "data", 2))
    reconcile = Reconcile(worker)
    assert answer(database, take(database, first))
    reconcile.step()
    assert answer(database, take(database, second))
    with database.engine.connect() as frozen, ThreadPoolExecutor(2) as pool:
        frozen.begin()
        frozen.execute(select(ScoreSumRow.run_id).with_for_update())
        adding = pool.submit(reconcile.step)
        assert wait([adding], 0.5).not_done
        stored = pool.submit(worker.ledger.write, lambda c: "stored")
        wait([stored], 5)
        frozen.rollback()
        assert stored.done()
