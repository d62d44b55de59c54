"""run: enqueue, a local fleet, progress, score, export."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from videval.cli.asked import takes_asked
from videval.cli.console import opened, say, settings_with, warn
from videval.cli.enqueue import ordered, place
from videval.options import Asked

if TYPE_CHECKING:
    from videval.db.records import RunInfo
    from videval.db.runs import Counts
    from videval.db.session import Database
    from workers.fleet import Fleet

__all__ = ["run_command"]


@takes_asked
def run_command(
    asked: Asked,
    *,
    devices: Annotated[str | None, typer.Option(help="auto, 0,1, cpu, cpu*2, api, ...")] = None,
    output: Annotated[Path | None, typer.Option(help="folder of the export")] = None,
) -> None:
    """Enqueue, answer on this machine, score and export.

    The whole evaluation in one command, with one worker per device. The same again goes on where it was stopped.
    """
    from videval.cli.errors import show_failures
    from videval.cli.results import export_run, show_score
    from videval.models.troubles import refuse_troubles
    from workers.broker import using
    from workers.device import devices_for
    from workers.fleet import Fleet

    settings = settings_with(devices=devices)
    order = ordered(asked, settings)
    fleet = Fleet(settings=settings, devices=devices_for(order.spec, settings.devices), tied=True)
    for remark in refuse_troubles(order.spec):
        warn(remark)
    with opened(settings) as database, using(settings):
        run = place(settings, database, order, new=asked.new).run
        counts = _run_fleet(database, run, fleet)
        if not counts.finished:
            say("nothing is lost, the same command goes on")
            raise typer.Exit(130)
        show_score(database, run)
        show_failures(database, run)
        if counts.done:
            export_run(database, run, output or settings.output_dir)
        _point(run, counts)
        raise typer.Exit(1 if counts.failed else 0)


def _point(run: "RunInfo", counts: "Counts") -> None:
    """Where to look next."""
    say("look:   videval dashboard")
    say(f"share:  videval report {run.name}")
    if counts.failed:
        say(f"failed: videval errors {run.name}")


def _run_fleet(database: "Database", run: "RunInfo", fleet: "Fleet") -> "Counts":
    """Have the run answered until it is finished or somebody stops it; the workers are gone afterwards."""
    from videval.cli.busy import busy
    from videval.cli.progress import watch

    with _signalled() as stop:
        try:
            return watch(database, run, fleet, stop)
        finally:
            with busy("stopping the workers"):
                fleet.stop()


@contextmanager
def _signalled() -> Iterator[threading.Event]:
    """Set by Ctrl-C and SIGTERM, which end nothing meanwhile."""
    stop = threading.Event()
    before = {n: signal.signal(n, lambda *_: stop.set()) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
