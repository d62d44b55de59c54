"""From `videval run` to the first claim: seconds, and the CPU seconds of all its processes until then.

    python -m perf.startup
    python -m perf.startup --tree . --tree ../before --workers 2 4 --rounds 3

A new home each time, a fake model, cold frames. `first claim`, `first answer`: seconds after the command was started;
`last worker`: until the last of the workers has claimed; `CPU`: seconds of all processes until the first claim was
seen, which say more than the others where other programs use the machine. `warm`: from `enqueue` to the first claim of
the fleet, which is up and has no model yet. `efficiency`: the sum of the answers' times by the workers, over the whole
time from the command's start to the last answer.
"""

import shutil
import signal
import tempfile
import time
from pathlib import Path

from perf.fleets import Home, cores_used, cpu_by_kind, fleet, heavy_tail, median, parser, questions, until, write_table

CLIPS, EACH = 100, 4
FIRST_CLAIM = "select min(started_at) from attempts"
LAST_WORKER = "select max(s) from (select min(started_at) as s from attempts group by worker_id)"
FIRST_ANSWER = "select min(finished_at) from requests"
LAST_ANSWER = "select max(finished_at) from requests"
CLAIMS = "select count(*) from attempts"
UP = "select count(*) from workers where heartbeat_at is not null"
COLUMNS = ("first claim", "first answer", "last worker", "CPU", "efficiency", "warm")


def measure(tree: Path, table: Path, total: float, workers: int) -> dict[str, float]:
    """One start of each kind."""
    cold = _cold(Home(tree), table, total, workers)
    return cold | {"warm": _warm(Home(tree), table, workers)}


def _cold(home: Home, table: Path, total: float, workers: int) -> dict[str, float]:
    words = ("--mode", "infer", "--devices", f"cpu*{workers}", "--data", table, "--data-root", table.parent)
    began = time.time()
    process = home.start("run", *words, "--frames", 8, "fake")
    try:
        until(lambda: _number(home, CLAIMS) > 0, 120)
        cpu = sum(cpu_by_kind(process.pid).values())
        process.wait(300)
        since = {
            name: home.number(query) - began
            for name, query in zip(COLUMNS, (FIRST_CLAIM, FIRST_ANSWER, LAST_WORKER), strict=False)
        }
        return since | {"CPU": cpu, "efficiency": total / workers / (home.number(LAST_ANSWER) - began)}
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        home.remove()


def _warm(home: Home, table: Path, workers: int) -> float:
    try:
        with fleet(home, workers):
            until(lambda: _number(home, UP) == workers, 120)
            time.sleep(2.0)
            began = time.time()
            home.run("enqueue", "--data", table, "--data-root", table.parent, "--frames", 8, "fake")
            until(lambda: home.number(CLAIMS) > 0, 120)
            return home.number(FIRST_CLAIM) - began
    finally:
        home.remove()


def _number(home: Home, query: str) -> float:
    """A number, 0 as long as there are no tables."""
    try:
        return home.number(query)
    except Exception:  # noqa: BLE001 - whatever the database says of tables that are being made
        return 0.0


def main() -> None:
    """Print the table."""
    asked = parser(__doc__)
    asked.add_argument("--workers", type=int, nargs="+", default=[2, 4])
    given = asked.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="vv-startup-"))
    try:
        latencies = heavy_tail(CLIPS * EACH, clustered=False, each=EACH)
        rows = questions(folder, clips=CLIPS, each=EACH, latency_ms=latencies.__getitem__)
        table, total = write_table(folder / "random.tsv", rows), sum(latencies) / 1000
        print(f"other programs use {cores_used():.1f} cores")
        print(f"| tree | workers | {' | '.join(COLUMNS)} |\n|---|---|{'---|' * len(COLUMNS)}")
        for workers in given.workers:
            trees = given.tree or [Path.cwd()]
            found: dict[Path, list[dict[str, float]]] = {tree: [] for tree in trees}
            for _ in range(given.rounds):
                for tree in trees:
                    found[tree].append(measure(tree, table, total, workers))
                    print(f"  {tree.absolute().name} {workers} {found[tree][-1]}", flush=True)
            for tree, rounds in found.items():
                cells = " | ".join(f"{median(each[name] for each in rounds):.2f}" for name in COLUMNS)
                print(f"| {tree.absolute().name} | {workers} | {cells} |", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
