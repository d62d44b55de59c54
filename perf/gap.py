"""How long a device idles between one answer and the next while work lies ready for it.

    python -m perf.gap
    python -m perf.gap --tree . --tree ../before --workers 1 4

A fake model takes 20 ms for each answer; clips are warm, 8 requests are held ahead. In the middle somebody holds the
database for 5 seconds. Idle is the time from the end of one `generate` to the beginning of the next, as far as that
request was ready by then. Milliseconds: with nobody in the way, and from the moment when somebody is.
"""

import json
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import psycopg

from perf.fleets import Home, cores_used, fleet, median, parser, questions, until, write_table
from tests.servers import Postgres

LATENCY_MS, HELD_S = 20.0, 5.0
ANSWERS = (
    "select s.key, p.wait_s, p.generate_s from responses p join request_samples q on q.request_id = p.request_id"
    " join samples s on s.id = q.sample_id"
)
COUNT = "select count(*) from responses"


@dataclass(frozen=True, kw_only=True, slots=True)
class Idle:
    """Milliseconds of idle device: half of the gaps are shorter than `p50`, 99 % than `p99`; `worst` of those while
    somebody held the database, `held` of them."""

    p50: float
    p99: float
    worst: float
    held: int


def measure(tree: Path, table: Path, workers: int, url: str | None) -> Idle:
    """One run of a fleet with somebody in the way in the middle."""
    variables: dict[str, object] = {"VIDEVAL_LOOK_AHEAD": 8, "VIDEVAL_FRAME_CACHE": table.parent / "frames"}
    home = Home(tree, **variables, **({"VIDEVAL_DATABASE_URL": url} if url else {}))
    home.environ["VIDEVAL_FAKE_LOG"] = str(home.path / "fake.log")
    try:
        home.run("enqueue", "--data", table, "--data-root", table.parent, "--frames", 8, "fake")
        total = home.number("select count(*) from requests")
        with fleet(home, workers):
            until(lambda: home.number(COUNT) >= total / 2, 300, 0.05)
            began = time.time()
            (_hold_postgresql if url else _hold_sqlite)(url or str(home.path / "videval.db"))
            until(lambda: home.number(COUNT) >= total, 300, 0.1)
        return _idle(home, began, is_old=not (tree / "workers" / "engine" / "flight.py").exists())
    finally:
        home.remove()


def _hold_sqlite(path: str) -> None:
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    time.sleep(HELD_S)
    connection.execute("ROLLBACK")
    connection.close()


def _hold_postgresql(url: str) -> None:
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        connection.execute("LOCK TABLE requests, attempts, responses IN EXCLUSIVE MODE")
        time.sleep(HELD_S)


def _idle(home: Home, began: float, *, is_old: bool) -> Idle:
    """`is_old`: that version's `wait_s` ends before the time that the database cost."""
    times = {str(key): (float(str(wait)), float(str(took))) for key, wait, took in home.rows(ANSWERS)}
    lines = [json.loads(line) for line in (home.path / "fake.log").read_text().splitlines()]
    gaps: list[tuple[float, float, float]] = []
    for pid in {line["pid"] for line in lines}:
        begins = sorted((line["time"], str(line["index"])) for line in lines if line["pid"] == pid)
        for (before, first), (after, second) in pairwise(begins):
            gap, ready = after - before - times[first][1], times[second][0]
            idle = gap if is_old and ready > 0.001 else min(gap, ready)
            gaps.append((before, after, max(0.0, idle) * 1000))
    is_held = [before <= began + HELD_S + 0.5 and after >= began for before, after, _ in gaps]
    free = [gap[2] for gap, hindered in zip(gaps, is_held, strict=True) if not hindered]
    held = [gap[2] for gap, hindered in zip(gaps, is_held, strict=True) if hindered]
    return Idle(
        p50=float(np.percentile(free, 50)),
        p99=float(np.percentile(free, 99)),
        worst=max(held, default=0.0),
        held=len(held),
    )


def _row(name: str, kind: str, workers: int, found: Sequence[Idle]) -> str:
    figure: Callable[[str], str] = lambda field: f"{median(getattr(i, field) for i in found):.1f}"  # noqa: E731
    return f"| {name} | {kind} | {workers} | {figure('p50')} | {figure('p99')} | {figure('worst')} |"


def main() -> None:
    """Print the table."""
    asked = parser(__doc__)
    asked.add_argument("--workers", type=int, nargs="+", default=[1, 4])
    asked.add_argument("--database", nargs="+", default=["sqlite", "postgresql"])
    asked.add_argument("--each", type=int, default=400, help="requests for each worker")
    given = asked.parse_args()
    folder, server = Path(tempfile.mkdtemp(prefix="vv-gap-")), Postgres(options={"max_connections": "200"})
    try:
        print(f"other programs use {cores_used():.1f} cores")
        found: dict[tuple[str, str, int], list[Idle]] = {}
        for _ in range(given.rounds):
            for workers in given.workers:
                for tree in given.tree or [Path.cwd()]:
                    place = folder / tree.absolute().name
                    rows = questions(place, clips=20, each=given.each * workers // 20, latency_ms=lambda i: LATENCY_MS)
                    table = write_table(place / f"questions{workers}.tsv", rows)
                    for kind in given.database:
                        url = server.new_database() if kind == "postgresql" else None
                        idle = measure(tree, table, workers, url)
                        found.setdefault((tree.absolute().name, kind, workers), []).append(idle)
                        print(f"  {tree} {kind} {workers}: {idle}", flush=True)
        print("\n| tree | database | workers | p50 ms | p99 ms | worst ms while held |\n|---|---|---|---|---|---|")
        for (name, kind, workers), idles in found.items():
            print(_row(name, kind, workers, idles))
    finally:
        server.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
