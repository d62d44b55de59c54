"""Seconds of CPU that it costs to watch a run for ten seconds: what `videval run` and `status --watch` draw.

    python -m perf.watch                       a run with 100,000 answers, SQLite
    python -m perf.watch --answers 1000

Another process stores ten answers a second meanwhile, so that no two looks find the same. They are drawn for a terminal
that is /dev/null.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from sqlalchemy import select

from tests.questions import answer, identity
from tests.seeding import Seed, new_database, seed_run, settings_for
from videval.cli import progress, status
from videval.db import requests
from videval.db.session import Database, open_database
from videval.db.tables import RequestRow, RunRow
from videval.runs import find
from videval.types import RequestStatus
from workers.fleet import Fleet

SECONDS = 10.0
TERMINAL = os.environ | {"TTY_COMPATIBLE": "1", "COLUMNS": "120"}
WAITING = 2000


def seeded(home: Path, answers: int) -> None:
    """A run with so many answers and some to come."""
    database = new_database(home)
    seed_run(database, Seed(questions=answers + WAITING, done=answers, variant="big_8frame"))
    database.close()


def feed(home: Path) -> None:
    """Store ten answers a second until somebody ends this."""
    database = open_database(settings_for(home))
    with database.read() as connection:
        key = connection.execute(select(RunRow.load_key)).scalar_one()
        waiting = select(RequestRow.id).where(RequestRow.status == RequestStatus.QUEUED)
        ids = connection.execute(waiting).scalars().all()
    for request_id in ids:
        claim = partial(requests.claim, lease=60.0, load_key=key, dtype="float32")
        claimed = database.write(claim, request_id, identity())
        assert claimed is not None
        answer(database, claimed)
        time.sleep(0.1)


@contextmanager
def fed(home: Path) -> Iterator[None]:
    """While answers come."""
    feeding = subprocess.Popen([sys.executable, "-m", "perf.watch", "--feed", str(home)])
    time.sleep(2.0)
    try:
        yield
    finally:
        feeding.kill()
        feeding.wait()


def watch_run(database: Database) -> None:
    """Ten seconds of the lines of `videval run`."""
    stop = threading.Event()
    threading.Timer(SECONDS, stop.set).start()
    nobody = SimpleNamespace(tick=lambda: None, hopeless="")
    progress.watch(database, find(database, "big"), cast(Fleet, nobody), stop)


def watch_status(database: Database) -> None:
    """Ten seconds of the tables of `status --watch`, which ends with this process."""
    threading.Thread(target=status._watch_live, args=(database, "big"), daemon=True).start()
    time.sleep(SECONDS)


WATCHED = {"run": watch_run, "status --watch": watch_status}


def cpu_of(home: Path, what: str) -> float:
    """Seconds of CPU, in this process."""
    database = open_database(settings_for(home))
    began = time.process_time()
    WATCHED[what](database)
    return time.process_time() - began


def main() -> None:
    """Measure each watch in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--answers", type=int, default=100_000)
    parser.add_argument("--feed", type=Path)
    parser.add_argument("--one", nargs=2)
    asked = parser.parse_args()
    if asked.feed:
        feed(asked.feed)
    elif asked.one:
        home, what = asked.one
        print(f"{what}: {cpu_of(Path(home), what):.2f} s of CPU in {SECONDS:g} s", file=sys.__stderr__, flush=True)
        os._exit(0)  # the table is still being drawn
    else:
        with tempfile.TemporaryDirectory(prefix="vv-watch-") as home:
            seeded(Path(home), asked.answers)
            for what in WATCHED:
                with fed(Path(home)):
                    command = [sys.executable, "-m", "perf.watch", "--one", home, what]
                    subprocess.run(command, env=TERMINAL, stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main()
