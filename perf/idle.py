"""What idle workers ask of the database: statements of each step, and of a whole fleet in a second.

    python -m perf.idle

One worker's steps are counted beside 7, 99 and 999 others (rows of the workers table) on a run whose requests are all
in somebody's hand; the rates are those of the settings' defaults. Transactions' own words (BEGIN, SET LOCAL, COMMIT)
are not counted. A machine has 8 workers.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import event

from tests.one_worker import FakeConsumer, LockedWorker, end, new_worker, quick
from tests.questions import identity, key_of, make_run, request_ids, take
from tests.servers import BACKENDS, postgres, settings_for
from videval.db import workers
from videval.db.schema import upgrade
from videval.db.session import Database, open_database
from videval.settings import Settings
from workers import reconcile
from workers.dispatch import Dispatch
from workers.heartbeat import Heartbeat
from workers.loops import CROWD, Crowd
from workers.reconcile import Reconcile

FLEETS = (8, 100, 1000)
PER_MACHINE = 8
LOOKS = 20
UNCOUNTED = ("BEGIN", "SET ", "COMMIT")


class Counter:
    """Statements of a worker, and what they take."""

    def __init__(self, database: Database) -> None:
        self.count = 0
        event.listen(database.engine, "before_cursor_execute", self._note)

    def _note(self, connection: object, cursor: object, statement: str, *more: object) -> None:
        self.count += not statement.startswith(UNCOUNTED)

    def mean(self, step: Callable[[], None]) -> tuple[float, float]:
        """Statements (mean) and milliseconds (median) of a step, once it is settled."""
        step()
        step()
        self.count, took = 0, []
        for _ in range(LOOKS):
            began = time.perf_counter()
            step()
            took.append(time.perf_counter() - began)
        return self.count / LOOKS, statistics.median(took) * 1e3


def fill(database: Database, folder: Path, size: int) -> None:
    """A run in hand, and so many workers on its model."""
    run_id = make_run(database, folder / "data", 2 * FLEETS[-1])
    for request_id in request_ids(database, run_id)[:8]:
        take(database, request_id, "w1")
    for n in range(1, size):
        database.write(workers.register, identity(f"w{n}", lock_domain=f"machine {n // PER_MACHINE}"))
        database.write(workers.take_seat, f"w{n}", key_of())


def measure(worker: LockedWorker, size: int) -> str:
    """A row of the table."""
    s, counter = worker.settings, Counter(worker.database)
    quick(worker)
    looks, look_ms = counter.mean(Dispatch(worker, FakeConsumer(), Crowd(size=size)).step)
    beats, _ = counter.mean(Heartbeat(worker, FakeConsumer()).step)
    elected = Reconcile(worker)
    chore, chore_ms = counter.mean(elected.step)
    others, _ = counter.mean(Reconcile(worker).step)
    elected.close()
    a_second = (
        looks * min(size, CROWD) / s.dispatch
        + beats * size / s.heartbeat
        + (chore + others * (min(size, CROWD) - 1) + (size // PER_MACHINE - 1)) / s.reconcile
    )
    shown = f"{looks:.1f} ({look_ms:.1f} ms) | {beats:.0f} | {chore:.0f} ({chore_ms:.1f} ms) | {others:.0f}"
    return f"{shown} | {a_second:.0f}"


def prepared(settings: Settings, size: int) -> LockedWorker:
    """One worker of such a fleet."""
    database = open_database(settings)
    upgrade(database)
    fill(database, settings.home_path, size)
    return new_worker(database, settings)


def main() -> None:
    """Print the table."""
    print("| database | workers | a look of dispatch | a heartbeat | reconcile, elected | another | statements/s |")
    print("|---|---|---|---|---|---|---|")
    reconcile.publish_due = lambda *_: 0  # ringing is no statement of an idle fleet
    for backend in BACKENDS:
        for size in FLEETS:
            url = {"database_url": postgres().new_database()} if backend == "postgresql" else {}
            with tempfile.TemporaryDirectory() as folder:
                settings = settings_for(Path(folder), **url)
                worker = prepared(settings, size)
                print(f"| {backend} | {size} | {measure(worker, size)} |", flush=True)
                end(worker)


if __name__ == "__main__":
    main()
