"""What `run` shows while it works: two lines that stay where they are, or a plain line now and then."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from videval.cli.console import console, say
from videval.cli.fleet import refuse_hopeless
from videval.cli.live import live_area
from videval.cli.news import News
from videval.cli.overview import Scores
from videval.cli.paced import Paced
from videval.cli.words import duration, measured, rate, time_left
from videval.db import workers as worker_rows
from videval.errors import ModelUnavailable
from videval.report import run_status, used
from videval.report.status import LOST_S

if TYPE_CHECKING:
    from videval.db.records import RunInfo
    from videval.db.runs import Counts
    from videval.db.session import Database
    from videval.report import RunStatus
    from workers.fleet import Fleet

__all__ = ["final_line", "live_lines", "plain_line", "refuse_halted", "watch"]

TICK = 0.5
"""Seconds between two looks."""
PERIOD = 5.0
"""Seconds between two plain lines."""
MOST_DRAWN = 4
"""Runs that the live area has room for."""


def watch(
    database: "Database",
    runs: Sequence["RunInfo"],
    fleet: "Fleet",
    stop: threading.Event,
    *,
    is_last: bool = True,
    named: bool = False,
) -> "list[Counts]":
    """Show progress until the runs are finished, halted or stopped, or, where others come after them, until nothing of
    them waits; EnvironmentProblem if no worker can ever work on them. `named`: each line says of which run it is."""
    looks = [_Look(database, run) for run in runs]
    news, next_line = News(database, runs, fleet), time.monotonic() + PERIOD
    refuse_unloadable = _unloadable(database, looks, fleet, news)
    with live_area() if console.is_terminal else nullcontext() as live:
        while not stop.is_set():
            going = _going(looks)
            if going:
                fleet.tick()
            if live:
                live.update(_area(going or looks, named=named))
            elif time.monotonic() > next_line:
                next_line = time.monotonic() + PERIOD
                for look in going or looks:
                    say(plain_line(look.status, look.score))
            news.tell()
            if not going or not (is_last or any(look.status.counts.queued for look in going)):
                break
            refuse_hopeless(fleet)
            refuse_unloadable()
            stop.wait(TICK)
    return [look.end(named=named, is_over=is_last or stop.is_set()) for look in looks]


class _Look:
    """A run that is looked at again and again."""

    def __init__(self, database: "Database", run: "RunInfo") -> None:
        self._database, self.run = database, run
        self._status, self._scores = Paced(run_status, period=TICK), Scores(database)
        self.status = self._status(database, run)
        self._began, self._before = time.monotonic(), _over(self.status.counts)

    def again(self) -> "RunStatus":
        """Where it stands now."""
        self.status = self._status(self._database, self.run)
        return self.status

    @property
    def score(self) -> str:
        """Its score so far, in words."""
        return _score_so_far(self._scores, self.status)

    def end(self, *, named: bool, is_over: bool) -> "Counts":
        """Say what became of it, if it is finished or nobody looks any more."""
        counts = run_status(self._database, self.run).counts
        if is_over or counts.finished:
            said = final_line(counts, _over(counts) - self._before, time.monotonic() - self._began)
            say(f"{self.run.name}: {said}" if named else said)
        return counts


def _going(looks: Sequence[_Look]) -> list[_Look]:
    return [look for look in looks if not look.again().counts.finished and not look.status.halted]


def refuse_halted(database: "Database", runs: Sequence["RunInfo"]) -> None:
    """Raise RunHalted, with its reason and what mends that, if one of these runs was halted."""
    for run in runs:
        used.refuse_halted(run_status(database, run))


def _area(looks: Sequence[_Look], *, named: bool) -> Group:
    """The lines of the first runs that go on."""
    drawn = [live_lines(look.status, look.score, console.width, named=named) for look in looks[:MOST_DRAWN]]
    return drawn[0] if len(drawn) == 1 else Group(*drawn)


def _over(counts: "Counts") -> int:
    return counts.done + counts.failed + counts.cancelled


def _score_so_far(scores: Scores, status: "RunStatus") -> str:
    """The score in words; empty if there is none."""
    score = scores.of(status)
    found, top = score.overall.estimate, score.top
    interval = f"({measured(found.low, top)} to {measured(found.high, top)})"
    return f"{score.name} {measured(found.mean, top)} {interval}" if found.n else ""


def _unloadable(database: "Database", looks: Sequence[_Look], fleet: "Fleet", news: News) -> Callable[[], None]:
    """Raises ModelUnavailable when the fleet can load none of the models that are still waited for."""
    from workers.refusals import Refusals

    devices = {device.id for device in fleet.devices}
    refusals = {look.run.load_key: Refusals(devices, look.run.load_key) for look in looks}

    def refuse() -> None:
        with database.read() as connection:
            seats = worker_rows.seats(connection, silent_s=LOST_S)
        hopeless = {key for key, of_key in refusals.items() if of_key.look(seats)}
        going = [look.run for look in looks if not look.status.counts.finished]
        if going and all(run.load_key in hopeless for run in going):
            said = "; ".join(sorted(set(news.in_the_way().values())))
            raise ModelUnavailable(said or f"{going[0].model} cannot be loaded", hint="videval doctor")

    return refuse


def live_lines(status: "RunStatus", score: str, columns: int, *, named: bool = False) -> Group:
    """The bar with its counts, and the score below it: always two lines of at most `columns` characters."""
    counts = status.counts
    done = _over(counts)
    share = done / counts.total if counts.total else 0.0
    failed = Text(f"  {counts.failed:,} failed", style="red" if counts.failed else "dim")
    words = Text.assemble(f"  {done:,}/{counts.total:,}", failed, f"  {_pace(status)}")
    line = Text.assemble(_bar(share, max(columns - words.cell_len, 0)), words)
    whose = f"{status.run.name}: " if named else ""
    below = Text(f"{whose}{score or 'no score yet'}", style="" if score else "dim")
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
    if status.loading_s is not None:
        return f"loading the model, {duration(status.loading_s)}"
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
