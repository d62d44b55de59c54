"""status: what is going on now."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from videval.cli import complete
from videval.cli.console import console, opened, say, say_json

if TYPE_CHECKING:
    from videval.cli.overview import Scores
    from videval.db.session import Database
    from videval.report import RunStatus

__all__ = ["status_command"]

PERIOD = 5.0
"""Seconds between two lines of `--watch` where there is no terminal."""


def status_command(
    run: Annotated[
        str | None,
        typer.Argument(help="a run, or the beginning of its name; else all that goes on", autocompletion=complete.runs),
    ] = None,
    watch: Annotated[bool, typer.Option(help="refresh until stopped or finished")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="all runs, for scripts")] = False,
) -> None:
    """Say what is going on now: runs, workers, time left.

    `list runs` has those that are over. Keys of --json: README, "For scripts".
    """
    with opened() as database:
        if as_json:
            _say_json(database, run)
        elif watch:
            _watch(database, run)
        else:
            _show(database, run)


def _chosen(database: "Database", run: str | None) -> list["RunStatus"]:
    from videval.found import find
    from videval.report import run_status, run_statuses

    return [run_status(database, find(database, run))] if run else run_statuses(database)


def _going(database: "Database", run: str | None) -> list["RunStatus"]:
    """The run that was asked for, else all that go on, else the newest."""
    from videval.cli.overview import is_going

    found = _chosen(database, run)
    return found if run else [s for s in found if is_going(s)] or found[:1]


def _say_json(database: "Database", run: str | None) -> None:
    from videval.cli.overview import Scores, live, run_json

    scores, alive = Scores(database), live(database)
    say_json([run_json(database, s, scores.of(s), alive) for s in _chosen(database, run)])


def _show(database: "Database", run: str | None) -> None:
    from videval.cli.overview import Scores, endpoint_lines, is_going, lines_below, live, runs_table, workers_table

    statuses = _going(database, run)
    if not statuses:
        say("no runs yet -> videval enqueue MVBench_8frame Video-LLaVA-7B")
        return
    if not run and not any(is_going(s) for s in statuses):
        say("nothing is going on; the last run was (all: videval list runs)")
    console.print(runs_table(statuses, Scores(database)))
    for line in (*lines_below(statuses), *endpoint_lines(database, statuses)):
        say(line)
    if live(database):
        console.print(workers_table(database))
    elif waiting := _waiting(statuses):
        say(waiting)


def _waiting(statuses: list["RunStatus"]) -> str:
    """What is to be done where nobody works on what is asked; empty if nothing is asked."""
    asked = [s for s in statuses if s.state == "active" and s.counts.waiting]
    if asked and all("objects" in s.run.card for s in asked):
        return "waiting for the program that has the model or the dataset -> start it again"
    return "waiting for a worker -> videval fleet" if asked else ""


def _watch(database: "Database", run: str | None) -> None:
    from videval.cli.overview import Scores, is_going, live

    if console.is_terminal:
        _watch_live(database, run)
    scores = Scores(database)
    while not console.is_terminal:
        statuses = _going(database, run)
        for status in statuses:
            say(_line(status, scores))
        if not live(database) and (waiting := _waiting(statuses)):
            say(waiting)
        if not any(s.state == "active" and is_going(s) for s in statuses):
            return
        console.file.flush()
        time.sleep(PERIOD)
    _show(database, run)


def _line(status: "RunStatus", scores: "Scores") -> str:
    from videval.cli.progress import plain_line
    from videval.cli.words import measured

    score = scores.of(status)
    mean = score.overall.estimate.mean
    return plain_line(status, f"{score.name} {measured(mean, score.top)}" if mean is not None else "")


def _watch_live(database: "Database", run: str | None) -> None:
    """Draw runs and workers again every second until nothing is active; then they stay on the terminal."""
    from rich.console import Group
    from rich.text import Text

    from videval.cli.live import live_area
    from videval.cli.overview import Scores, endpoint_lines, is_going, lines_below, live, runs_table, workers_table
    from videval.cli.paced import Paced

    going, scores = Paced(_going, period=1.0), Scores(database)
    with live_area() as area:
        while True:
            statuses = going(database, run)
            below = workers_table(database) if live(database) else _waiting(statuses)
            lines = map(Text, (*lines_below(statuses), *endpoint_lines(database, statuses)))
            area.update(Group(runs_table(statuses, scores), *lines, below))
            if not any(s.state == "active" and is_going(s) for s in statuses):
                return
            time.sleep(1.0)
