"""The end of a key's work: what one worker has not begun goes to idle neighbours, at once."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.one_worker import FakeConsumer, quick
from tests.questions import identity, key_of, make_run, request_ids, row_of, take
from videval.db import workers
from videval.db.queue import KeyWork, Ring
from videval.db.session import Database
from videval.db.tables import WorkerRow
from videval.models.catalog import model_spec
from videval.settings import Settings
from videval.types import Remote, Stage
from workers import dispatch as dispatch_module
from workers import tail
from workers.dispatch import Dispatch
from workers.ledger import Held
from workers.tail import Tail
from workers.worker import Worker


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What is rung for."""
    ids: list[int] = []

    def ring(settings: Settings, rings: Sequence[Ring], *, known_as: str) -> None:
        ids.extend(r.request_id for r in rings)

    monkeypatch.setattr(tail, "ring", ring)
    return ids


@pytest.fixture
def given(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many the worker is asked to give back; it gives its newest."""
    asked: list[int] = []

    def give_back(most: int) -> list[int]:
        asked.append(most)
        return [h.claim.request_id for h in worker.held()[-most:]]

    monkeypatch.setattr(worker, "give_back", give_back)
    return asked


@pytest.fixture
def held(worker: Worker, database: Database, tmp_path: Path) -> Iterator[list[Held]]:
    """All three requests of a run, in the worker's hand; the first is being generated."""
    quick(worker)
    ids = request_ids(database, make_run(database, tmp_path / "data", 3))
    with ExitStack() as stack:
        claims = [claim for i in ids if (claim := take(database, i, worker.identity.id))]
        in_hand = [stack.enter_context(worker.ledger.hold(claim)) for claim in claims]
        in_hand[0].stage = Stage.GENERATE
        yield in_hand


@pytest.fixture
def dispatch(worker: Worker, database: Database, held: list[Held]) -> Dispatch:
    """At work on that run, beside another worker."""
    made = Dispatch(worker, FakeConsumer())
    made.step()
    database.write(workers.beat, worker.identity.id, worker.pulse())
    neighbour(database, "idle")
    return made


def neighbour(database: Database, state: str, name: str = "near") -> None:
    """Another worker on the same key."""
    database.write(workers.register, identity(name, lock_domain="another host"))
    database.write(workers.take_seat, name, key_of())
    database.write(lambda c: c.execute(update(WorkerRow).where(WorkerRow.id == name).values(state=state)))


def test_an_idle_neighbour_gets_what_is_not_begun_and_hears_of_it_at_once(
    dispatch: Dispatch, database: Database, given: list[int], rung: list[int], held: list[Held], worker: Worker
) -> None:
    dispatch.step()
    last = held[-1].claim.request_id
    assert (given, rung) == ([1], [last])
    worker.ledger.write(lambda c: None)  # what was put in line before it is written by then
    assert row_of(database, last).published_at is not None, "reconcile does not ring for it again"


def test_two_idle_neighbours_get_one_each(
    dispatch: Dispatch, database: Database, given: list[int], rung: list[int]
) -> None:
    neighbour(database, "idle", "another")
    dispatch.step()
    assert given == [2] and len(rung) == 2


@pytest.mark.parametrize("state", ["starting", "loading", "draining"])
def test_a_neighbour_that_cannot_begin_yet_gets_nothing(
    dispatch: Dispatch, database: Database, given: list[int], rung: list[int], state: str
) -> None:
    database.write(lambda c: c.execute(update(WorkerRow).where(WorkerRow.id == "near").values(state=state)))
    dispatch.step()
    assert given == rung == []


def test_while_something_waits_nothing_is_given_back(
    dispatch: Dispatch, database: Database, tmp_path: Path, given: list[int], rung: list[int]
) -> None:
    make_run(database, tmp_path / "data", 1, max_pixels=9)
    dispatch.step()
    assert given == rung == [] and dispatch.pause < dispatch_module.NEAR_THE_END * 1.2, "but the end is near"


def test_while_more_waits_than_all_can_take_in_nobody_looks_for_the_end(
    dispatch: Dispatch, database: Database, tmp_path: Path, worker: Worker
) -> None:
    make_run(database, tmp_path / "data", 2 * worker.places + 1, max_pixels=9)
    dispatch.step()
    assert dispatch.pause > dispatch_module.NEAR_THE_END * 1.2


def test_what_is_begun_stays(dispatch: Dispatch, held: list[Held], given: list[int], rung: list[int]) -> None:
    for each in held:
        each.stage = Stage.GENERATE
    dispatch.step()
    assert given == rung == []


def test_at_an_endpoint_nothing_is_given_back(dispatch: Dispatch, worker: Worker) -> None:
    local = KeyWork(load_key="k", spec=model_spec("fake"), dtypes=(None,), waiting=0, running=3, priority=0)
    worker.claimer.neighbours = 2
    assert Tail(worker).is_near(local)
    assert not Tail(worker).is_near(replace(local, spec=replace(local.spec, remote=Remote(endpoint="lab"))))


def test_near_the_end_a_worker_looks_more_often(
    dispatch: Dispatch, held: list[Held], given: list[int], rung: list[int]
) -> None:
    dispatch.step()
    assert dispatch.pause < dispatch_module.NEAR_THE_END * 1.2
    for each in held:
        each.stage = Stage.STORE
    dispatch.step()
    assert dispatch.pause > dispatch_module.NEAR_THE_END * 1.2


def test_what_came_back_to_the_giver_is_not_given_again_at_once(
    dispatch: Dispatch, given: list[int], rung: list[int]
) -> None:
    dispatch.step()
    dispatch.step()
    assert given == [1]


def test_a_neighbour_that_has_been_silent_gets_nothing_however_idle_it_was(
    dispatch: Dispatch, database: Database, tmp_path: Path, given: list[int], rung: list[int]
) -> None:
    """Its host is gone: what is given back for it would come back, and be given back again."""
    neighbour(database, "busy", "another")
    (one_more,) = request_ids(database, make_run(database, tmp_path / "data", max_pixels=9))
    assert take(database, one_more, "another")
    database.write(lambda c: c.execute(update(WorkerRow).where(WorkerRow.id == "near").values(heartbeat_at=1.0)))
    dispatch.step()
    assert given == rung == []
