"""What the scripts about fleets share: a home of its own for each measure, clocks of processes, questions and servers.

`--tree` of a script is a checkout of videval to be measured, so that two versions can stand side by side in one run:

    git worktree add ../before COMMIT
    python -m perf.makespan --tree . --tree ../before
"""

import argparse
import csv
import math
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import psycopg

from videval.db.session import Database, open_database
from videval.settings import Settings
from videval.video.encode import write_video

__all__ = ["Home", "Question", "cores_used", "cpu_by_kind", "fleet", "median", "parser", "questions", "until"]

COMMAND = "import sys; sys.argv[0] = 'videval'; from videval.cli import main; main()"
COLOURS = ("red", "green", "blue", "yellow")
RGB = {"red": (200, 30, 30), "green": (30, 180, 40), "blue": (40, 60, 210), "yellow": (220, 210, 40)}
KINDS = (
    ("workers.engine", "engine"),
    ("decoder_process", "decoder"),
    ("workers.template_process", "template"),
    ("workers.spares", "spare"),
    ("workers worker", "worker"),
    ("celery", "worker"),
    ("redis-server", "redis"),
)


def parser(about: str | None) -> argparse.ArgumentParser:
    """The options that all these scripts have."""
    made = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    made.add_argument("--tree", type=Path, action="append", help="a checkout to be measured (this one)")
    made.add_argument("--rounds", type=int, default=3)
    return made


def median(values: Iterable[float]) -> float:
    """The median; not a number if there is none."""
    found = list(values)
    return statistics.median(found) if found else math.nan


def until(done: Callable[[], bool], patience: float, pause: float = 0.05) -> None:
    """Wait until something is so."""
    ends = time.monotonic() + patience
    while not done():
        if time.monotonic() > ends:
            raise TimeoutError(f"waited {patience:g} s")
        time.sleep(pause)


def cores_used(seconds: float = 1.0) -> float:
    """How many cores all programs use now."""
    return psutil.cpu_percent(seconds) / 100 * (os.cpu_count() or 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A row of a table for the fake model, which takes `latency_ms` to answer it."""

    video: str
    latency_ms: float
    question: str


def questions(
    folder: Path, *, clips: int, each: int, latency_ms: Callable[[int], float], size: tuple[int, int] = (320, 240)
) -> list[Question]:
    """Clips of 4 seconds, `size` wide and high, and questions about them; the clips are made once for a folder."""
    (folder / "videos").mkdir(parents=True, exist_ok=True)
    for number in range(clips):
        path = folder / "videos" / f"{number:04d}.mp4"
        if not path.exists():
            write_video(path, _square(number, *size), 25.0)
    return [
        Question(
            video=f"videos/{i // each:04d}.mp4",
            latency_ms=latency_ms(i),
            question=f"What colour is the moving square in clip {i // each}? (question {i})",
        )
        for i in range(clips * each)
    ]


def _square(number: int, width: int, height: int, frames: int = 100) -> "np.ndarray":
    """A moving square of 4 seconds."""
    pictures = np.full((frames, height, width, 3), number * 7 % 60, dtype=np.uint8)
    side, top = height // 4, (height - height // 4) * (number % 10) // 10
    for i, picture in enumerate(pictures):
        left = (width - side) * i // (frames - 1)
        picture[top : top + side, left : left + side] = RGB[COLOURS[number % 4]]
    return pictures


def heavy_tail(count: int, *, clustered: bool, each: int, seed: int = 1) -> list[float]:
    """Milliseconds, log-normal around 50, 3 % of them twenty times as long; clustered: all in the first question of a
    clip, so that static shards are unlucky."""
    rng = random.Random(seed)
    found = [50 * math.exp(0.5 * rng.gauss(0, 1)) for _ in range(count)]
    places = list(range(0, count, each if clustered else 1))
    rng.shuffle(places)
    for i in places[: round(count * 0.03)]:
        found[i] = 1000 * math.exp(0.15 * rng.gauss(0, 1))
    return [round(ms, 3) for ms in found]


def write_table(path: Path, asked: Sequence[Question]) -> Path:
    """A question file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, delimiter="\t")
        rows.writerow(["index", "video", "question", "answer", "candidates", "latency_ms"])
        for i, q in enumerate(asked):
            rows.writerow([i, q.video, q.question, COLOURS[i % 4], repr(list(COLOURS)), q.latency_ms])
    return path


class Home:
    """A videval home of its own, for one tree; removed at the end."""

    def __init__(self, tree: Path, **variables: object) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="vv-perf-"))
        self._given = {name: str(value) for name, value in variables.items()}
        clean = {name: value for name, value in os.environ.items() if not name.startswith("VIDEVAL_")}
        own = {"VIDEVAL_HOME": self.path, "VIDEVAL_LOCK_DIR": self.path / "locks", "XDG_RUNTIME_DIR": self.path}
        fixed = {"PYTHONPATH": str(tree.absolute()), "OMP_NUM_THREADS": "1"}
        self.environ = clean | fixed | {k: str(v) for k, v in own.items()} | self._given

    def command(self, *words: object) -> list[str]:
        """`videval` with these words."""
        return [sys.executable, "-c", COMMAND, *map(str, words)]

    def run(self, *words: object) -> float:
        """Run a command; seconds it took. RuntimeError with what it said if it failed."""
        began = time.monotonic()
        done = subprocess.run(self.command(*words), env=self.environ, cwd=self.path, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)
        return time.monotonic() - began

    def start(self, *words: object, log: str = "log") -> "subprocess.Popen[bytes]":
        """Start a command."""
        with (self.path / log).open("ab") as file:
            return subprocess.Popen(
                self.command(*words), env=self.environ, cwd=self.path, stdout=file, stderr=file, start_new_session=True
            )

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """What a query gives, on either database."""
        url = self._given.get("VIDEVAL_DATABASE_URL")
        if url is not None:
            with psycopg.connect(url.replace("+psycopg", "")) as connection:
                return connection.execute(query.encode()).fetchall()
        with self.database().read() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query)]

    def number(self, query: str) -> float:
        """The one number that a query gives."""
        value = self.rows(query)[0][0]
        return float(str(value)) if value is not None else math.nan

    def database(self) -> Database:
        """The embedded database, to look at."""
        return open_database(Settings(home=self.path), read_only=True)

    def remove(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)


@contextmanager
def fleet(home: Home, workers: int) -> Iterator["subprocess.Popen[bytes]"]:
    """A fleet of so many CPU workers, until the block ends."""
    process = home.start("fleet", "--devices", f"cpu*{workers}", log="fleet.log")
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()


def cpu_by_kind(pid: int, beside: dict[str, int] | None = None) -> dict[str, float]:
    """CPU seconds so far of a fleet's processes by what they are, and of servers beside it by their names."""
    found: dict[str, float] = {}
    roots = [("", pid), *(beside or {}).items()]
    for name, root in roots:
        top = psutil.Process(root)
        for process in [top, *top.children(recursive=True)]:
            try:
                times, said = process.cpu_times(), " ".join(process.cmdline())
            except psutil.Error:
                continue
            kind = name or next((kind for mark, kind in KINDS if mark in said), "supervisor")
            found[kind] = found.get(kind, 0.0) + times.user + times.system
    return found
