"""What `run` shows while it works: two lines that stay where they are, or a plain line now and then."""

import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from videval.cli.console import console, say, warn
from videval.cli.fleet import refuse_hopeless
from videval.cli.live import live_area
from videval.cli.overview import Scores
from videval.cli.paced import Paced
from videval.cli.words import measured, rate, time_left
from videval.db import workers as worker_rows
from videval.report import run_status

if TYPE_CHECKING:
    from videval.db.records import RunInfo
    from videval.db.runs import Counts
    from videval.db.session import Database
    from videval.report import RunStatus
    from workers.fleet import Fleet

__all__ = ["final_line", "live_lines", "plain_line", "watch"]

TICK = 0.5
"""Seconds between two looks."""
PERIOD = 5.0
"""Seconds between two plain lines."""


def watch(database: "Database", run: "RunInfo", fleet: "Fleet", stop: threading.Event) -> "Counts":
    """Show progress until the run is finished or stopped; EnvironmentProblem if no worker can ever work on it."""
    look, scores, tell = Paced(run_status, period=TICK), Scores(database), _new_messages(database)
    began, before = time.monotonic(), _over(look(database, run).counts)
    next_line = began + PERIOD
    with live_area() if console.is_terminal else nullcontext() as live:
        while not stop.is_set():
            fleet.tick()
            status = look(database, run)
            if live:
                live.update(live_lines(status, _score_so_far(scores, status), console.width))
            elif time.monotonic() > next_line:
                next_line = time.monotonic() + PERIOD
                say(plain_line(status, _score_so_far(scores, status)))
            tell()
            if status.counts.finished:
                break
            refuse_hopeless(fleet)
            stop.wait(TICK)
    counts = run_status(database, run).counts
    say(final_line(counts, _over(counts) - before, time.monotonic() - began))
    return counts


def _over(counts: "Counts") -> int:
    return counts.done + counts.failed + counts.cancelled


def _score_so_far(scores: Scores, status: "RunStatus") -> str:
    """The score in words; empty if there is none."""
    score = scores.of(status)
    found, top = score.overall.estimate, score.top
    interval = f"({measured(found.low, top)} to {measured(found.high, top)})"
    return f"{score.name} {measured(found.mean, top)} {interval}" if found.n else ""


def _new_messages(database: "Database") -> Callable[[], None]:
    """Warns of what workers say, each message once."""
    said: set[str] = set()

    def tell() -> None:
        with database.read() as connection:
            found = [f"{w.name}: {w.message}" for w in worker_rows.live_workers(connection) if w.message]
        for message in found:
            if message not in said:
                said.add(message)
                warn(f"  {message}")

    return tell


def live_lines(status: "RunStatus", score: str, columns: int) -> Group:
    """The bar with its counts, and the score below it: always two lines of at most `columns` characters."""
    counts = status.counts
    done = _over(counts)
    share = done / counts.total if counts.total else 0.0
    failed = Text(f"  {counts.failed:,} failed", style="red" if counts.failed else "dim")
    words = Text.assemble(f"  {done:,}/{counts.total:,}", failed, f"  {_pace(status)}")
    line = Text.assemble(_bar(share, max(columns - words.cell_len, 0)), words)
    below = Text(score or "no score yet", style="" if score else "dim")
    for text in (line, below):
        text.truncate(columns, overflow="ellipsis")
    return Group(line, below)


def _bar(share: float, size: int) -> Text:
    full, empty = ("█", "░") if console.encoding.startswith("utf") else ("#", "-")
    filled = int(share * size)
    return Text.assemble((full * filled, "green"), (empty * (size - filled), "dim"))


def _pace(status: "RunStatus") -> str:
    if status.counts.finished:
        return "finished"
    if not status.live and not status.rate_now:
        return "waiting for a worker"
    left = f", {time_left(status.eta_s)} left" if status.eta_s is not None and status.rate_now else ""
    first = "the first" if not _over(status.counts) else "the next"
    return f"{rate(status.rate_now)}{left}" if status.rate_now else f"waiting for {first} answer"


def plain_line(status: "RunStatus", score: str) -> str:
    """The same in one line, for a log."""
    counts = status.counts
    said = f"{_over(counts):,}/{counts.total:,} done, {counts.failed:,} failed, {_pace(status)}"
    return f"{status.run.name}: {said}" + (f", {score}" if score else "")


def final_line(counts: "Counts", answered: int, seconds: float) -> str:
    """What became of it: how many in what time, or how far it came."""
    if not counts.finished:
        return f"{_over(counts):,}/{counts.total:,} done, stopped"
    failed = f", {counts.failed:,} failed" if counts.failed else ""
    if not answered:
        return f"all {counts.total:,} were answered before{failed}"
    return f"{answered:,} in {max(seconds, 1.0):.0f} s, {rate(answered / max(seconds, 1e-3))}{failed}"
