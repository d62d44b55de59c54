"""What a step costs by how many rows there are: claim, answer, heartbeat, the looks of the loops, status and score.

    python -m perf.growth
    python -m perf.growth --rows 1000 100000 1000000

Milliseconds of one client, medians, SQLite. Half of the requests of one run are answered, the scores are added up.
`claim` takes a request with the one that waits for the same video, `answer` stores both.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import select

from tests.questions import answer, identity
from tests.seeding import Seed, new_database, seed_run
from videval.db import claims, looks, queue, requests, sums, workers
from videval.db.session import Database
from videval.db.tables import RequestRow
from videval.report import fold_all, run_status, run_statuses, score_report
from videval.runs import find

LEASE, TIMES = 60.0, 40
KEY = "fake|fake"


def timed(step: Callable[[], object], times: int = TIMES) -> float:
    """Milliseconds of a step, the median of several."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        step()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def measure(database: Database, rows: int) -> dict[str, float]:
    """Each step's milliseconds in a database with so many requests."""
    seed_run(database, Seed(questions=rows, done=rows // 2, per_video=2))
    fold_all(database)
    me = identity("w1")
    database.write(workers.register, me)
    with database.read() as connection:
        waiting = iter(
            connection.execute(
                select(RequestRow.id).where(RequestRow.status == "queued").order_by(RequestRow.id).limit(1000)
            )
            .scalars()
            .all()[::2]
        )
    taken: list[claims.Claim] = []
    taking = partial(claims.take, lease=LEASE, load_key=KEY, dtype="float32", after=0, most=2)
    pulse = workers.Pulse(state=workers.WorkerState.BUSY, activity={})

    def read(query: Callable[..., object], *args: Any, **kwargs: Any) -> object:
        with database.read() as connection:
            return query(connection, *args, **kwargs)

    found = {"claim": timed(lambda: taken.extend(database.write(taking, next(waiting), me)))}
    held = [(claim.request_id, claim.attempt) for claim in taken[-3:]]
    answers = iter(taken)
    found["answer"] = timed(lambda: [answer(database, next(answers)) for _ in range(2)], TIMES // 2)
    found["heartbeat"] = timed(
        lambda: (database.write(requests.renew, held, LEASE), database.write(workers.beat, me.id, pulse))
    )
    found["look of dispatch"] = timed(lambda: read(looks.look, silent_s=120.0))
    found["reconcile: due"] = timed(lambda: read(queue.due, KEY, patience=30.0, limit=2000), 5)
    found["reconcile: leases"] = timed(lambda: database.write(requests.expire_leases))
    found["reconcile: sums"] = timed(lambda: (database.write(sums.fold), fold_all(database)), 5)
    run = find(database, "table")
    found["status of a run"] = timed(lambda: run_status(database, run), 10)
    found["status of all runs"] = timed(lambda: run_statuses(database), 10)
    found["score"] = timed(lambda: score_report(database, run), 10)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 100_000, 1_000_000])
    columns: dict[int, dict[str, float]] = {}
    for rows in parser.parse_args().rows:
        folder = Path(tempfile.mkdtemp(prefix="vv-growth-"))
        database = new_database(folder)
        columns[rows] = measure(database, rows)
        print(rows, {name: round(ms, 2) for name, ms in columns[rows].items()}, flush=True)
        database.close()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\n| | {' | '.join(f'{rows:,}' for rows in columns)} |\n|---|{'---|' * len(columns)}")
    for name in next(iter(columns.values())):
        print(f"| {name} | {' | '.join(f'{found[name]:.1f}' for found in columns.values())} |")


if __name__ == "__main__":
    main()
