"""When a lost worker's device has a later worker, that is known; other devices and hosts say nothing about it."""

import pytest
from sqlalchemy import update

from tests.questions import identity
from videval.db import requests, workers
from videval.db.session import Database
from videval.db.tables import WorkerRow
from videval.db.workers import WorkerInfo
from videval.types import WorkerState


def register(database: Database, name: str, *, age_s: float, **values: str) -> None:
    me = identity(name, **{k: v for k, v in values.items() if k in ("device", "lock_domain")})
    more = {"host": values["host"]} if "host" in values else {}
    began = requests.db_now() - age_s
    database.write(lambda c: workers.register(c, me))
    row = update(WorkerRow).where(WorkerRow.id == name).values(started_at=began, **more)
    database.write(lambda c: c.execute(row))


def found(database: Database, name: str) -> WorkerInfo:
    with database.read() as connection:
        return next(w for w in workers.list_workers(connection) if w.id == name)


def lose(database: Database, name: str) -> None:
    database.write(lambda c: requests.expire_workers(c, [name]))


def test_without_a_successor_it_is_lost_and_stays_so(database):
    register(database, "old", age_s=100)
    lose(database, "old")
    assert found(database, "old").succeeded_s is None


@pytest.mark.parametrize("state", [WorkerState.IDLE, WorkerState.BUSY, WorkerState.PASSING, WorkerState.STOPPED])
def test_a_later_worker_on_its_device_ends_the_trouble_and_says_since_when(database, state):
    register(database, "old", age_s=1000)
    lose(database, "old")
    register(database, "new", age_s=120)
    database.write(lambda c: c.execute(update(WorkerRow).where(WorkerRow.id == "new").values(state=state)))
    assert found(database, "old").succeeded_s == pytest.approx(120, abs=20)
    assert found(database, "new").succeeded_s is None


def test_the_first_successor_says_since_when(database):
    for name, age in (("old", 1000), ("next", 500), ("last", 10)):
        register(database, name, age_s=age)
    assert found(database, "old").succeeded_s == pytest.approx(500, abs=20)
    assert found(database, "next").succeeded_s == pytest.approx(10, abs=20)


def test_a_successor_that_is_lost_too_ends_nothing(database):
    register(database, "old", age_s=1000)
    register(database, "new", age_s=100)
    lose(database, "old")
    lose(database, "new")
    assert found(database, "old").succeeded_s is None
    register(database, "third", age_s=1)
    assert found(database, "old").succeeded_s is not None and found(database, "new").succeeded_s is not None


@pytest.mark.parametrize(
    ("other", "ends"),
    [
        ({"device": "cpu:1"}, False),
        ({"lock_domain": "another boot"}, True),
        ({"host": "another name"}, True),
        ({"lock_domain": "another machine", "host": "another name"}, False),
    ],
    ids=["another device", "the machine was started anew", "another container", "another machine"],
)
def test_only_the_same_device_of_the_same_machine_counts(database, other, ends):
    register(database, "old", age_s=1000)
    register(database, "new", age_s=100, **other)
    assert (found(database, "old").succeeded_s is not None) == ends


def test_an_earlier_worker_is_no_successor(database):
    register(database, "new", age_s=10)
    register(database, "old", age_s=1000)
    assert found(database, "new").succeeded_s is None
