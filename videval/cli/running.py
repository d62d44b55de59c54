"""run (enqueue, a local fleet, progress, score, export) and fleet."""

import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table as RichTable
from rich.text import Text

from videval.cli.console import console, opened, percent, say, seconds, warn
from videval.cli.control import fleet_table
from videval.cli.ordering import asked_from, place, ring_for
from videval.cli.outcome import export_run, show_failures, show_score
from videval.db import workers as worker_rows
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.errors import EnvironmentProblem
from videval.orders import make_order
from videval.report import RunStatus, run_status, score_report
from videval.settings import Settings
from workers.broker import using
from workers.device import parse_devices
from workers.fleet import Fleet

__all__ = ["add_to"]


def _settings(devices: str | None, max_rss: float | None = None) -> Settings:
    given = {"devices": devices, "max_rss_gb": max_rss}
    return Settings(**{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]


def _line(status: RunStatus, score: str) -> RichTable:
    counts = status.counts
    done = counts.done + counts.failed + counts.cancelled
    share = done / counts.total if counts.total else 0.0
    width = 30
    bar = Text("█" * int(share * width), style="green") + Text("░" * (width - int(share * width)), style="dim")
    table = RichTable.grid(padding=(0, 2))
    failed = Text(f"{counts.failed} failed", style="red" if counts.failed else "dim")
    table.add_row(
        Text(status.run.name, style="bold"),
        bar,
        f"{done}/{counts.total}",
        failed,
        f"{status.rate_now:.2f}/s",
        f"ETA {seconds(status.eta_s)}",
        score,
    )
    return table


def _plain_line(status: RunStatus, score: str) -> str:
    c = status.counts
    return (
        f"{status.run.name}: {c.done + c.failed + c.cancelled}/{c.total} done, {c.failed} failed, "
        f"{status.rate_now:.2f}/s, ETA {seconds(status.eta_s)}" + (f", {score}" if score else "")
    )


def _score_so_far(database: Database, run: RunInfo) -> str:
    overall = score_report(database, run).overall.estimate
    if overall.mean is None or overall.low is None or overall.high is None:
        return ""
    return f"score {percent(overall.mean)} ({percent(overall.low)} to {percent(overall.high)})"


def _messages(database: Database) -> list[str]:
    with database.read() as connection:
        return [f"{w.name}: {w.message}" for w in worker_rows.live_workers(connection) if w.message]


def _watch(database: Database, run: RunInfo, fleet: Fleet, stop: threading.Event) -> RunStatus:
    """Show progress until the run is finished; EnvironmentProblem if no worker can ever work on it."""
    said: set[str] = set()
    last_line = 0.0
    live_console = console if console.is_terminal else Console(quiet=True)
    with Live(console=live_console, refresh_per_second=4, transient=False) as live:
        while True:
            fleet.tick()
            status = run_status(database, run)
            live.update(_line(status, _score_so_far(database, run)))
            if not console.is_terminal and time.monotonic() - last_line > 5:
                last_line = time.monotonic()
                say(_plain_line(status, _score_so_far(database, run)))
            for message in _messages(database):
                if message not in said:
                    said.add(message)
                    warn(f"  {message}")
            if status.counts.finished or stop.is_set():
                return status
            if fleet.hopeless:
                raise EnvironmentProblem(f"no worker can be started:\n{fleet.hopeless}", hint="videval doctor")
            stop.wait(0.5)


def run_command(
    variant: Annotated[str | None, typer.Argument(help="a variant (MVBench_8frame) or a file (questions.tsv)")] = None,
    model: Annotated[str | None, typer.Argument(help="a model (Video-LLaVA-7B) or ADAPTER:PATH")] = None,
    *,
    data: Annotated[Path | None, typer.Option(help="a table of questions: tsv, csv or jsonl")] = None,
    data_root: Annotated[Path | None, typer.Option(help="folder that video paths are relative to")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="frames per video, for --data")] = None,
    fps: Annotated[float | None, typer.Option(min=0.001, help="frames per second, for --data")] = None,
    pack: Annotated[bool, typer.Option(help="ask all questions of a video at once, for --data")] = False,
    max_frames: Annotated[int | None, typer.Option(min=1, help="cap on frames, for variants by rate")] = None,
    max_pixels: Annotated[int | None, typer.Option(min=16, help="cap on pixels per frame")] = None,
    prompts: Annotated[str | None, typer.Option(help="whose wording: paper, vlmevalkit or lmms-eval")] = None,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, help="length of an answer")] = None,
    temperature: Annotated[float | None, typer.Option(min=0.0, help="0 is greedy")] = None,
    seed: Annotated[int | None, typer.Option(help="seed, when the temperature is above 0")] = None,
    dtype: Annotated[str, typer.Option(help="auto, bfloat16, float16 or float32")] = "auto",
    priority: Annotated[int, typer.Option(min=-3, max=3, help="0 is normal, higher is sooner")] = 0,
    limit: Annotated[
        int | None, typer.Option(min=1, help="only N requests, as a trial that can grow; its videos are a sample")
    ] = None,
    in_order: Annotated[bool, typer.Option("--in-order", help="in the benchmark's order, videos not shuffled")] = False,
    max_attempts: Annotated[int | None, typer.Option(min=1, help="strikes until a request counts as poison")] = None,
    allow_missing: Annotated[bool, typer.Option(help="go on without the questions whose videos are missing")] = False,
    new: Annotated[bool, typer.Option("--new", help="another run, although one exists")] = False,
    devices: Annotated[str | None, typer.Option(help="auto, 0,1, cpu, cpu*2, ...")] = None,
    output: Annotated[Path | None, typer.Option(help="folder of the export")] = None,
) -> None:
    """Enqueue, answer with a fleet on this machine, score and export: the whole evaluation in one command."""
    asked = asked_from(dict(locals()))
    settings = _settings(devices)
    order = make_order(asked, settings)
    fleet = Fleet(settings=settings, devices=parse_devices(settings.devices), tied=True)
    with opened(settings) as database, using(settings):
        done = place(database, order, new=new)
        ring_for(database, done.run.run_id)
        status = _run_fleet(database, done.run, fleet)
        if not status.counts.finished:
            say(f"stopped; nothing is lost, the same command goes on ({status.counts.waiting} request(s) left)")
            raise typer.Exit(130)
        show_score(database, done.run)
        show_failures(database, done.run)
        if status.counts.done:
            export_run(database, done.run, output or settings.output_dir)
        raise typer.Exit(1 if status.counts.failed else 0)


def _run_fleet(database: Database, run: RunInfo, fleet: Fleet) -> RunStatus:
    stop = threading.Event()
    before = {n: signal.signal(n, lambda *_: stop.set()) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        return _watch(database, run, fleet, stop)
    finally:
        with console.status("stopping the workers"):
            fleet.stop()
        for number, handler in before.items():
            signal.signal(number, handler)


def fleet_command(
    devices: Annotated[str | None, typer.Option(help="auto, 0,1, cpu, cpu*2, GPU-uuid, 0+1, ...")] = None,
    watch: Annotated[bool, typer.Option(help="show what every worker does")] = False,
    max_rss: Annotated[float | None, typer.Option(min=0.1, help="GB after which a worker is replaced")] = None,
    loglevel: Annotated[str, typer.Option(help="of the workers")] = "INFO",
    until_done: Annotated[bool, typer.Option(help="end when no active run has work left")] = False,
) -> None:
    """Run one worker per device of this machine, restart those that die, drain on SIGTERM (a second one: now)."""
    settings = _settings(devices, max_rss)
    fleet = Fleet(
        settings=settings, devices=parse_devices(settings.devices), show_logs=not watch, loglevel=loglevel.upper()
    )
    stop = threading.Event()
    signals: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        signals.append(number)
        stop.set()
        if len(signals) > 1:
            fleet.signal(signal.SIGTERM)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    say("fleet of " + ", ".join(d.label for d in fleet.devices) + "; SIGTERM drains it")
    with opened(settings) as database, using(settings):
        _keep_going(fleet, database, stop, watch=watch, until_done=until_done)
        fleet.drain()
        while not fleet.wait(1.0):
            if len(signals) > 2:
                fleet.signal(signal.SIGKILL)
    if fleet.hopeless:
        raise EnvironmentProblem(f"no worker can be started:\n{fleet.hopeless}", hint="videval doctor")


def _keep_going(fleet: Fleet, database: Database, stop: threading.Event, *, watch: bool, until_done: bool) -> None:
    from videval.db import queue

    live = Live(console=console, refresh_per_second=2, transient=True) if watch else None
    if live:
        live.start()
    try:
        while not stop.is_set() and not fleet.hopeless:
            fleet.tick()
            try:
                with database.read() as connection:
                    idle = not queue.work(connection)
                if live:
                    live.update(fleet_table(database))
            except EnvironmentProblem as error:
                idle = False
                warn(f"{error}; waiting for it")
            if until_done and idle:
                return
            stop.wait(1.0)
    finally:
        if live:
            live.stop()


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("run")(run_command)
    app.command("fleet")(fleet_command)
