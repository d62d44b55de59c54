"""One worker in this process, with its locks, and what it needs of Celery."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import event, func, select

from tests.questions import make_run, request_ids, samples
from videval.db import queue, workers
from videval.db.queue import KeyWork
from videval.db.session import Database, open_database
from videval.db.tables import ResponseRow
from videval.errors import ModelUnavailable
from videval.settings import Settings
from videval.types import ModelSpec
from workers.device import parse_devices
from workers.engine import Engine, Loaded
from workers.locks import claim_device
from workers.worker import Worker

__all__ = [
    "FakeConsumer",
    "LockedWorker",
    "QuickEngine",
    "end",
    "new_worker",
    "quick",
    "ready",
    "settings",
    "statements",
    "stored",
    "work_of",
    "worker",
]


class FakeConsumer:
    """Notes what the dispatcher asks of Celery."""

    def __init__(self) -> None:
        self.queues: list[str] = []
        self.is_shut_down = False

    def add_queue(self, name: str) -> None:
        self.queues.append(name)

    def cancel_queue(self, name: str) -> None:
        if name in self.queues:
            self.queues.remove(name)

    def is_consuming(self, name: str) -> bool:
        return name in self.queues

    def shutdown(self) -> None:
        self.is_shut_down = True


class QuickEngine:
    """Loads in no time, and answers nothing; `cannot` load some load keys."""

    slots, pid, busy_s, is_loading = 1, 0, 0.0, False

    def __init__(self) -> None:
        self.loaded: Loaded | None = None
        self.loads = 0
        self.cannot: set[str] = set()

    def load(self, spec: ModelSpec, load_key: str, dtype: str) -> Loaded:
        self.loaded = None
        if load_key in self.cannot:
            raise ModelUnavailable("it has too little memory")
        self.loads += 1
        self.loaded = Loaded(load_key=load_key, spec=spec, dtype=dtype, about={})
        return self.loaded

    def give_back(self, most: int | None = None) -> int:
        return 0

    def close(self) -> None:
        pass


def quick(worker: Worker) -> QuickEngine:
    """Put one into a worker."""
    worker.engine.close()
    made = QuickEngine()
    worker.engine = cast("Engine", made)
    return made


class LockedWorker(Worker):
    """A worker that remembers its locks: the process that holds them goes on after it."""

    held_fds: tuple[int, ...] = ()


def new_worker(database: Database, settings: Settings) -> LockedWorker:
    """A worker on the next free one of four seats."""
    held = claim_device(settings.lock_path, parse_devices("cpu*4", gpus=[]))
    worker = LockedWorker(settings, database, held)
    worker.held_fds = held.fds
    database.write(lambda c: workers.register(c, worker.identity))
    return worker


def end(worker: LockedWorker) -> None:
    """Close a worker and free its seat."""
    worker.close()
    for fd in worker.held_fds:
        os.close(fd)


@pytest.fixture
def settings(database_settings: Settings) -> Settings:
    quick = {"retry_delay": 0.05, "batch_size": 2, "decode_deadline": 20.0, "generate_deadline": 20.0}
    return database_settings.model_copy(update=quick)


@pytest.fixture
def worker(database: Database, settings: Settings) -> Iterator[Worker]:
    made = new_worker(open_database(settings), settings)
    yield made
    end(made)


@pytest.fixture
def statements(worker: Worker) -> Iterator[list[str]]:
    """What the worker asks of its database, transactions' own words left out."""
    said: list[str] = []

    def note(connection: object, cursor: object, statement: str, *more: object) -> None:
        if not statement.startswith(("BEGIN", "SET ", "COMMIT")):
            said.append(statement)

    event.listen(worker.database.engine, "before_cursor_execute", note)
    yield said
    event.remove(worker.database.engine, "before_cursor_execute", note)


def work_of(database: Database) -> KeyWork:
    """The most urgent load key that has work."""
    with database.read() as connection:
        return queue.work(connection)[0]


def ready(worker: Worker, database: Database, folder: Path, rows: dict | None = None, count: int = 1) -> list[int]:
    """A run of so many requests, and its model loaded."""
    run_id = make_run(database, folder / "data", samples(count, rows), max_attempts=2)
    worker.load(work_of(database))
    return request_ids(database, run_id)


def stored(database: Database) -> int:
    """How many answers there are."""
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(ResponseRow)).scalar_one()
