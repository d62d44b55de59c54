"""What `videval enqueue` costs: seconds, CPU seconds and the most memory, the first time and again.

    python -m perf.enqueue [--rows 10000 100000] [--repeat 1] [--tree .]

A table of questions about 100 clips with four options each, the model `fake`, SQLite, a home and an embedded Redis of
its own; each command in a process of its own. "MB of Redis" is what the messages take there.
"""

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from videval.settings import Settings
from workers import broker
from workers.client import broker_client

PROGRAM = "import sys; sys.argv[0] = 'videval'; from videval.cli import main; main()"
COLUMNS = ("index", "video", "question", "answer", "candidates", "task_type")
CLIPS = 100


def write_table(folder: Path, rows: int) -> Path:
    """Questions of which four in a row are about one clip; the clips are there and hold nothing."""
    (folder / "videos").mkdir(parents=True)
    for clip in range(CLIPS):
        (folder / "videos" / f"{clip:04d}.mp4").touch()
    path = folder / "questions.tsv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(COLUMNS)
        for i in range(rows):
            asked = f"[item {i}] What colour is the moving square in the clip?"
            options = "['red', 'green', 'blue', 'yellow']"
            writer.writerow([i, f"videos/{i // 4 % CLIPS:04d}.mp4", asked, "red", options, f"task{i % 7}"])
    return path


def cost(tree: Path, words: list[str], environ: dict[str, str]) -> tuple[float, float, float]:
    """Seconds, CPU seconds and MB at most of one command of a tree."""
    began = time.perf_counter()
    command = [sys.executable, "-c", PROGRAM, *words]
    own = environ | {"PYTHONPATH": str(tree.absolute())}
    child = subprocess.Popen(command, cwd=tree, env=own, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{words} ended with {child.returncode}")
    return time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000


@contextmanager
def home(folder: Path) -> Iterator[tuple[Settings, dict[str, str]]]:
    """A home with a running Redis, and the environment that says so."""
    settings = Settings(home=folder, lock_dir=folder / "locks")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("VIDEVAL_")}
    with broker.using(settings):
        yield settings, environ | {"VIDEVAL_HOME": str(folder), "VIDEVAL_LOCK_DIR": str(folder / "locks")}


def redis_mb(settings: Settings) -> float:
    """What Redis holds."""
    with broker_client(settings) as client:
        return float(client.info("memory")["used_memory"]) / 1e6


def measure(tree: Path, rows: int, repeat: int) -> None:
    """Print the rows of one size."""
    with tempfile.TemporaryDirectory(prefix="videval-enqueue-") as scratch:
        table = write_table(Path(scratch) / "data", rows)
        words = ["enqueue", "--data", str(table), "--frames", "8", "fake"]
        found: dict[str, list[tuple[float, ...]]] = {"first": [], "again": []}
        for turn in range(repeat):
            with home(Path(scratch) / f"home{turn}") as (settings, environ):
                before = redis_mb(settings)
                first = cost(tree, words, environ)
                found["first"].append((*first, redis_mb(settings) - before))
                found["again"].append((*cost(tree, words, environ), redis_mb(settings) - before))
    for when, took in found.items():
        seconds, cpu, peak, redis = (statistics.median(column) for column in zip(*took, strict=True))
        print(f"| {tree} | {rows:,} | {when} | {seconds:.1f} | {cpu:.1f} | {peak:.0f} | {redis:.0f} |", flush=True)


def main() -> None:
    """Measure each size in each tree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--tree", type=Path, action="append", help="another version, in turn with this one")
    asked = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print("| tree | questions | when | seconds | CPU seconds | MB peak | MB of Redis |\n|---|---|---|---|---|---|---|")
    for rows in asked.rows:
        for tree in asked.tree or [Path()]:
            measure(tree, rows, asked.repeat)


if __name__ == "__main__":
    main()
