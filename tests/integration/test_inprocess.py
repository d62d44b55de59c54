"""A run that is answered in its user's process, beside others: whose requests it takes, and who leaves it alone."""

import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.one_worker import work_of
from tests.questions import identity, make_run, order, request_ids, row_of
from videval import runs
from videval.db import queue, requests, workers
from videval.db.records import RunInfo
from videval.db.runs import counts, set_state
from videval.db.session import Database
from videval.db.tables import RequestRow
from videval.errors import EnvironmentProblem, UsageError
from videval.models.fake import FakeModel
from videval.order import Order
from videval.settings import Settings
from videval.types import RunState, Stage
from workers import reconcile
from workers.device import can_serve, kind_of, parse_devices
from workers.engine.batcher import Batcher
from workers.inprocess import serve
from workers.locks import lock_domain
from workers.reconcile import Reconcile
from workers.worker import Worker


@pytest.fixture
def quick(settings: Settings) -> Settings:
    return settings.model_copy(update={"reconcile": 0.2, "heartbeat": 0.2})


@pytest.fixture
def wanted(tmp_path: Path) -> Order:
    """Three questions to something that is here."""
    made = order(tmp_path / "data", 3)
    return replace(made, spec=replace(made.spec, here="abc"))


@pytest.fixture
def run(database: Database, wanted: Order) -> RunInfo:
    return runs.enqueue(database, wanted).run


def server() -> Batcher:
    return Batcher(FakeModel({}), 1)


def test_it_takes_its_own_run_and_leaves_every_other(
    database: Database, quick: Settings, wanted: Order, run: RunInfo, tmp_path: Path
) -> None:
    other = make_run(database, tmp_path / "data", 2)
    serve(quick, run, server(), wanted.spec)
    with database.read() as connection:
        assert counts(connection, run.run_id).done == 3 and counts(connection, other).queued == 2
        (seat,) = workers.list_workers(connection)
    assert (seat.device, seat.state, seat.done) == ("here:0", "stopped", 3)


@pytest.mark.usefixtures("run")
def test_no_worker_of_a_fleet_serves_it_and_nobody_rings_for_it(
    database: Database, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = work_of(database)
    assert not any(can_serve(work, device) for device in ("cpu:0", "GPU-1", "api:0")) and can_serve(work, "here:3")
    assert not can_serve(replace(work, spec=replace(work.spec, here="")), "here:3")
    rung: list[object] = []
    monkeypatch.setattr(reconcile, "publish_due", lambda settings, database, low: rung.append(low))
    Reconcile(worker).step()
    assert rung == [{}]


def test_the_seat_of_such_a_process_is_no_device_to_be_named() -> None:
    assert kind_of("here:12") == "here"
    with pytest.raises(UsageError, match="not a device"):
        parse_devices("here:0", gpus=[])


def test_what_a_dead_process_had_in_hand_is_struck_at_once_and_asked_last(
    database: Database, quick: Settings, wanted: Order, run: RunInfo
) -> None:
    dead = identity("dead", device="here:0", lock_domain=lock_domain(quick.lock_path))
    database.write(workers.register, dead)
    database.write(queue.line_up, run.run_id)
    first, *rest = request_ids(database, run.run_id)
    take = partial(requests.claim, lease=60.0, load_key=run.load_key, dtype="auto")
    assert database.write(take, first, dead) is not None
    database.write(requests.enter_stage, [(first, 1)], Stage.GENERATE)
    said: list[int] = []
    serve(quick, run, server(), wanted.spec, on_answer=lambda claim, response: said.append(claim.request_id))
    assert said == [*rest, first] and row_of(database, first).strikes == 1


def test_it_waits_while_its_run_is_paused_and_goes_on_afterwards(
    database: Database, quick: Settings, wanted: Order, run: RunInfo
) -> None:
    database.write(set_state, run.run_id, RunState.PAUSED)
    threading.Timer(0.5, lambda: database.write(set_state, run.run_id, RunState.ACTIVE)).start()
    serve(quick, run, server(), wanted.spec)
    with database.read() as connection:
        assert counts(connection, run.run_id).done == 3


class Waiting(Batcher):
    """Generates nothing until it is told to end."""

    def run(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed)


def test_a_process_that_must_leave_says_why_and_gives_all_back(
    database: Database, quick: Settings, wanted: Order, run: RunInfo
) -> None:
    small = quick.model_copy(update={"max_rss_gb": 0.001})
    with pytest.raises(EnvironmentProblem, match="more than --max-rss"):
        serve(small, run, Waiting(FakeModel({}), 1), wanted.spec)
    with database.read() as connection:
        of_run = RequestRow.run_id == run.run_id
        assert set(connection.execute(select(RequestRow.status).where(of_run)).scalars()) == {"queued"}
