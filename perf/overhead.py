"""Requests a second through a whole worker whose model costs nothing, beside Celery tasks that do nothing.

    python -m perf.overhead
    python -m perf.overhead --tree . --tree ../before --way sqlite:1 postgresql:1 --rounds 3

All clips are in the frame cache already. A way is database:workers, and `raw:workers` are no-op tasks on the same
Redis. Rates are those of the middle 80 % of the answers; CPU milliseconds are a request's, by process.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import redis

from perf.fleets import Home, cores_used, cpu_by_kind, fleet, median, parser, questions, until, write_table
from tests.servers import Postgres, TcpRedis

RAW = 6000


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """Requests a second, and CPU milliseconds of each by process."""

    per_s: float
    cpu_ms: dict[str, float]


def whole(tree: Path, table: Path, workers: int, variables: Mapping[str, object], pids: dict[str, int]) -> Rate:
    """The rate of a fleet of this tree."""
    home = Home(tree, **variables)
    try:
        home.run("enqueue", "--data", table, "--data-root", table.parent, "--frames", 8, "fake")
        total = home.number("select count(*) from requests")
        answers = "select count(*) from responses"
        with fleet(home, workers) as process:
            until(lambda: home.number(answers) >= total * 0.1, 180, 0.02)
            began, first, before = time.monotonic(), home.number(answers), cpu_by_kind(process.pid, pids)
            until(lambda: home.number(answers) >= total * 0.9, 600, 0.05)
            took, done = time.monotonic() - began, home.number(answers) - first
            after = cpu_by_kind(process.pid, pids)
        cpu = {kind: (after[kind] - before.get(kind, 0.0)) / done * 1000 for kind in after}
        return Rate(per_s=done / took, cpu_ms=cpu)
    finally:
        home.remove()


def raw(url: str, workers: int) -> Rate:
    """The rate of tasks that do nothing."""
    environ = os.environ | {"NOOP_BROKER": url, "PYTHONPATH": str(Path(__file__).parent)}
    send = f"import noop_app\nfor i in range({RAW}): noop_app.noop.apply_async((i,))"
    subprocess.run([sys.executable, "-c", send], env=environ, check=True)
    client = redis.Redis.from_url(url)
    words = ["-A", "noop_app", "worker", "--without-gossip", "--without-mingle", "--loglevel", "ERROR"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "celery", *words, "-n", f"w{i}@here"],
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for i in range(workers)
    ]
    try:
        until(lambda: int(client.llen("noop")) < RAW * 0.9, 60, 0.01)
        began, first, before = time.monotonic(), int(client.llen("noop")), _cpu(processes)
        until(lambda: int(client.llen("noop")) < RAW * 0.1, 120, 0.01)
        took, done = time.monotonic() - began, first - int(client.llen("noop"))
        return Rate(per_s=done / took, cpu_ms={"worker": (_cpu(processes) - before) / done * 1000})
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        client.flushall()


def _cpu(processes: "list[subprocess.Popen[bytes]]") -> float:
    times = [psutil.Process(p.pid).cpu_times() for p in processes]
    return sum(t.user + t.system for t in times)


def main() -> None:
    """Print the table."""
    asked = parser(__doc__)
    asked.add_argument("--way", nargs="+", default=["raw:1", "sqlite:1", "postgresql:1", "sqlite:4"])
    asked.add_argument("--count", type=int, default=1200)
    given = asked.parse_args()
    folder, broker, server = (
        Path(tempfile.mkdtemp(prefix="vv-overhead-")),
        TcpRedis(),
        Postgres(options={"max_connections": "200"}),
    )
    rates: dict[tuple[str, str], list[Rate]] = {}
    try:
        rows = questions(folder, clips=100, each=-(-given.count // 100), latency_ms=lambda i: 0.0)
        table = write_table(folder / "questions.tsv", rows[: given.count])
        pids = {"redis": broker.pid, "postgresql": server.pid}
        for tree in given.tree or [Path.cwd()]:  # decode all clips, and import everything once
            warm = {"VIDEVAL_BROKER_URL": broker.url, "VIDEVAL_FRAME_CACHE": folder / f"frames-{tree.absolute().name}"}
            whole(tree, write_table(folder / "first.tsv", rows[:: -(-given.count // 100)]), 1, warm, {})
        print(f"other programs use {cores_used():.1f} cores")
        for _ in range(given.rounds):
            for way in given.way:
                kind, workers = way.split(":")
                for tree in given.tree or [Path.cwd()] if kind != "raw" else [Path("-")]:
                    name = tree.absolute().name
                    variables: dict[str, object] = {"VIDEVAL_BROKER_URL": broker.url}
                    variables["VIDEVAL_FRAME_CACHE"] = folder / f"frames-{name}"
                    if kind == "postgresql":
                        variables["VIDEVAL_DATABASE_URL"] = server.new_database()
                    if kind == "raw":
                        rate = raw(broker.url, int(workers))
                    else:
                        rate = whole(tree, table, int(workers), variables, pids)
                    rates.setdefault((way, name if kind != "raw" else ""), []).append(rate)
                    redis.Redis.from_url(broker.url).flushall()
                    said = {k: round(v, 2) for k, v in rate.cpu_ms.items()}
                    print(f"  {way} {tree}: {rate.per_s:.1f}/s, {said}", flush=True)
        _print(rates)
    finally:
        broker.kill()
        server.close()
        shutil.rmtree(folder, ignore_errors=True)


def _print(rates: dict[tuple[str, str], list[Rate]]) -> None:
    least = {way.split(":")[1]: median(r.per_s for r in found) for (way, _), found in rates.items() if way[:3] == "raw"}
    base = next(iter(least.values()), float("nan"))
    print("\n| way | tree | requests/s | of raw | CPU ms a request | of it the worker's |\n|---|---|---|---|---|---|")
    for (way, tree), found in rates.items():
        per_s = median(r.per_s for r in found)
        cpu = median(sum(r.cpu_ms.values()) for r in found)
        worker = median(r.cpu_ms.get("worker", 0.0) for r in found)
        print(f"| {way} | {tree} | {per_s:.0f} | {per_s / base:.2f} | {cpu:.1f} | {worker:.1f} |")


if __name__ == "__main__":
    main()
