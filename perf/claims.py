"""Requests a second of the claim-complete cycle, on SQLite and PostgreSQL, by how many workers ask at once.

    python -m perf.claims                 a table for RESULTS.md
    python -m perf.claims --seconds 10    longer, steadier

Each worker is a process of its own with its own connection, as in a fleet. A cycle is what the database sees of one
request: claim, the stages decode, prepare and generate, and complete with response, prediction and score. PostgreSQL
is the wheel's, on a unix socket, with its own defaults (it syncs each commit to disk).
"""

import argparse
import multiprocessing
import shutil
import tempfile
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

from tests.questions import answer, make_run, request_ids, samples, take
from tests.servers import Postgres, settings_for
from videval.db import requests
from videval.db.schema import ensure_schema
from videval.db.session import open_database
from videval.settings import Settings
from videval.types import Stage

SPAWN = multiprocessing.get_context("spawn")
WORKERS = (1, 4, 16)
STAGES = (Stage.DECODE, Stage.PREPARE, Stage.GENERATE)


def work(settings_json: str, ids: list[int], number: int, seconds: float, start: Barrier, done: "object") -> None:
    """One worker: go through its requests until the time is over."""
    database = open_database(Settings.model_validate_json(settings_json))
    claim = take(database, ids[0], f"w{number}")
    assert claim is not None
    answer(database, claim)
    start.wait()
    began, count = time.monotonic(), 0
    for request_id in ids[1:]:
        claim = take(database, request_id, f"w{number}")
        assert claim is not None
        pair = [(claim.request_id, claim.attempt)]
        for stage in STAGES:
            database.write(lambda c, pair=pair, stage=stage: requests.enter_stage(c, pair, stage), durable=False)  # type: ignore[misc]
        answer(database, claim)
        count += 1
        if time.monotonic() - began > seconds:
            break
    done.put((count, time.monotonic() - began))  # type: ignore[attr-defined]
    database.close()


def measure(settings: Settings, folder: Path, workers: int, seconds: float) -> float:
    """Cycles a second of so many workers together."""
    database = open_database(settings)
    ensure_schema(database)
    asked = samples(max(2000, int(600 * seconds)))
    run_id = make_run(database, folder / f"data{workers}", asked, priority=workers % 3, max_pixels=64 + workers)
    ids = request_ids(database, run_id)
    database.close()
    start, done = SPAWN.Barrier(workers), SPAWN.Queue()
    text = Settings.model_dump_json(settings)
    urls = {"database_url": settings.database_url.get_secret_value()}
    text = text.replace('"database_url":"**********"', f'"database_url":"{urls["database_url"]}"')
    processes = [
        SPAWN.Process(target=work, args=(text, ids[n::workers], n, seconds, start, done)) for n in range(workers)
    ]
    for process in processes:
        process.start()
    found = [done.get(timeout=seconds * 10 + 120) for _ in processes]
    for process in processes:
        process.join()
    return sum(count / took for count, took in found)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=5.0)
    seconds = parser.parse_args().seconds
    folder = Path(tempfile.mkdtemp(prefix="vv-claims-"))
    server = Postgres(options={"max_connections": "100"})
    try:
        print("| workers | SQLite, requests/s | PostgreSQL, requests/s |")
        print("|---|---|---|")
        for workers in WORKERS:
            sqlite = measure(settings_for(folder / f"s{workers}"), folder / f"s{workers}", workers, seconds)
            own = settings_for(folder / f"p{workers}", database_url=server.new_database())
            postgres = measure(own, folder / f"p{workers}", workers, seconds)
            print(f"| {workers} | {sqlite:.0f} | {postgres:.0f} |", flush=True)
    finally:
        server.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
