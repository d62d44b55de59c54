"""Seconds until the 300 requests of one run are answered: alone, and behind the messages of a run that was paused.

    python -m perf.paused                          20,000 messages of a paused run
    python -m perf.paused --paused 1000 --asked 50

One worker with the fake model (batches of 4, look-ahead 4, no latency), on SQLite with the embedded Redis and on
PostgreSQL with a Redis of its own. The paused run's messages lie in front. The clock is the database's: from the moment
at which the worker has its model and begins to listen until the last answer is stored.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from sqlalchemy import func, select

from tests.chaos.cluster import Cluster, new_cluster, questions
from tests.servers import BACKENDS
from videval.changes import pause
from videval.db.tables import ResponseRow, WorkerRow
from videval.runs import find

RING = (
    "import sys; from videval.settings import Settings; from videval.db.session import open_database; "
    "from workers.broker import using; from workers.publish import publish_run\n"
    "with using(Settings()):\n"
    "  for run_id in map(int, sys.argv[1:]): list(publish_run(Settings(), open_database(Settings()), run_id))\n"
    "  print('rung', flush=True); input()"
)


def seconds(backend: str, paused: int, asked: int) -> float:
    """Until `asked` requests are answered behind `paused` messages of a paused run, on a new database and broker."""
    with tempfile.TemporaryDirectory(prefix="vv-paused-") as folder:
        cluster = new_cluster(backend, Path(folder))
        try:
            return _seconds(cluster, paused, asked)
        finally:
            cluster.close()


def _seconds(cluster: Cluster, paused: int, asked: int) -> float:
    ids = [cluster.enqueue(questions(paused, latency_ms=(0, 0)), max_pixels=4096)] if paused else []
    ids.append(cluster.enqueue(questions(asked, latency_ms=(0, 0))))
    command = [sys.executable, "-c", RING, *map(str, ids)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    bell = subprocess.Popen(command, env=cluster.environ, cwd=cluster.folder, **pipes)
    cluster.started.append(bell)
    assert bell.stdout is not None and bell.stdout.readline()
    if paused:
        pause(cluster.database, find(cluster.database, cluster.runs()[0]))
    cluster.start_worker()
    cluster.wait_done(ids[-1], patience=600.0)
    bell.communicate(b"\n", timeout=60)
    last = cluster.rows(select(func.max(ResponseRow.created_at)))[0][0]
    return float(last - cluster.rows(select(WorkerRow.serving_since))[0][0])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--paused", type=int, default=20_000)
    parser.add_argument("--asked", type=int, default=300)
    given = parser.parse_args()
    print(f"| back end | {given.asked} alone, s | behind {given.paused:,} messages of a paused run, s |")
    print("|---|---|---|")
    for backend in BACKENDS:
        alone, behind = (seconds(backend, paused, given.asked) for paused in (0, given.paused))
        print(f"| {backend} | {alone:.1f} | {behind:.1f} |", flush=True)


if __name__ == "__main__":
    main()
