"""fleet: one worker per device of this machine."""

import signal
import threading
from contextlib import nullcontext
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from videval.cli.console import console, opened, say, settings_with, warn
from videval.errors import EnvironmentProblem

if TYPE_CHECKING:
    from videval.db.session import Database
    from workers.fleet import Fleet

__all__ = ["fleet_command", "refuse_hopeless"]


class _Stop:
    """What signals ask for: the first drains the fleet, the second ends it now, the third kills it. They are only
    counted here: one may come while the fleet is in the midst of hearing what its template says."""

    def __init__(self) -> None:
        self.event, self.count = threading.Event(), 0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        self.event.set()


def fleet_command(
    devices: Annotated[str | None, typer.Option(help="auto, 0,1, cpu, cpu*2, GPU-uuid, 0+1, api, ...")] = None,
    watch: Annotated[bool, typer.Option(help="show what every worker does")] = False,
    max_rss: Annotated[float | None, typer.Option(min=0.1, help="GB after which a worker is replaced")] = None,
    api_nproc: Annotated[int | None, typer.Option(min=1, help="requests at once to an endpoint, per worker")] = None,
    loglevel: Annotated[str, typer.Option(help="of the workers")] = "INFO",
    until_done: Annotated[bool, typer.Option(help="end when no active run has work left")] = False,
) -> None:
    """Run one worker per device of this machine.

    Those that die are restarted. SIGTERM or Ctrl-C drains them, a second one ends them now.
    """
    from workers.broker import using
    from workers.device import parse_devices
    from workers.fleet import Fleet
    from workers.template import Template

    settings = settings_with(devices=devices, max_rss_gb=max_rss, api_nproc=api_nproc)
    watch = watch and console.is_terminal
    fleet = Fleet(
        settings=settings, devices=parse_devices(settings.devices), show_logs=not watch, loglevel=loglevel.upper()
    )
    stop = _Stop()
    say("fleet of " + ", ".join(d.label for d in fleet.devices) + "; SIGTERM drains it")
    with Template() as fleet.template, opened(settings) as database, using(settings):
        _say_what_fits_nowhere(fleet, database)
        _keep_going(fleet, database, stop.event, watch=watch, until_done=until_done)
        _end(fleet, stop)
    refuse_hopeless(fleet)


def _end(fleet: "Fleet", stop: _Stop) -> None:
    """Drain it, and do what later signals ask for until all workers are gone."""
    fleet.drain()
    while not fleet.wait(1.0):
        if stop.count > 1:
            fleet.signal(signal.SIGKILL if stop.count > 2 else signal.SIGTERM)


def _say_what_fits_nowhere(fleet: "Fleet", database: "Database") -> None:
    """The models that are asked for and fit on none of the fleet's devices, and how large a group they need."""
    from videval.db import queue
    from workers.device import no_room, wide_enough

    with database.read() as connection:
        specs = {work.spec.name: work.spec for work in queue.work(connection) if work.dtypes}
    for spec in specs.values():
        cramped = [no_room(spec, device) for device in fleet.devices]
        if cramped and all(cramped):
            warn(f"{spec.name} {cramped[0]} -> --devices {wide_enough(spec, fleet.devices[0])}")


def refuse_hopeless(fleet: "Fleet") -> None:
    """EnvironmentProblem if no worker can be started on any device."""
    if fleet.hopeless:
        raise EnvironmentProblem(f"no worker can be started:\n{fleet.hopeless}", hint="videval doctor")


def _keep_going(fleet: "Fleet", database: "Database", stop: threading.Event, *, watch: bool, until_done: bool) -> None:
    """Tick the fleet until it is told to stop, has nothing left to do, or can do nothing."""
    from videval.cli.live import live_area
    from videval.cli.overview import workers_table
    from videval.db import queue

    away = ""
    with live_area() if watch else nullcontext() as live:
        while not stop.is_set() and not fleet.hopeless:
            fleet.tick()
            try:
                with database.read() as connection:
                    idle = not queue.work(connection)
                if live:
                    live.update(workers_table(database))
                away = ""
            except EnvironmentProblem as error:
                idle = False
                if away != str(error):
                    away = str(error)
                    warn(f"{away}; waiting for it")
            if until_done and idle:
                return
            stop.wait(1.0)
