"""run: enqueue, a local fleet, progress, score, export."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from videval.cli.console import opened, say, settings_with
from videval.cli.enqueue import ModelArgument, WhatArgument, asked_from, ordered, place, ring_for

if TYPE_CHECKING:
    from videval.db.records import RunInfo
    from videval.db.runs import Counts
    from videval.db.session import Database
    from workers.fleet import Fleet

__all__ = ["run_command"]


def run_command(
    variant: WhatArgument = None,
    model: ModelArgument = None,
    *,
    data: Annotated[Path | None, typer.Option(help="a table of questions: tsv, csv or jsonl")] = None,
    data_root: Annotated[Path | None, typer.Option(help="folder that video paths are relative to")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="frames per video, for --data")] = None,
    fps: Annotated[float | None, typer.Option(min=0.001, help="frames per second, for --data")] = None,
    pack: Annotated[bool, typer.Option(help="ask all questions of a video at once, for --data")] = False,
    max_frames: Annotated[int | None, typer.Option(min=1, help="cap on frames, for variants by rate")] = None,
    max_pixels: Annotated[int | None, typer.Option(min=16, help="cap on pixels per frame")] = None,
    prompts: Annotated[str | None, typer.Option(help="wording of paper, vlmevalkit or lmms-eval")] = None,
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
    devices: Annotated[str | None, typer.Option(help="auto, 0,1, cpu, cpu*2, api, ...")] = None,
    output: Annotated[Path | None, typer.Option(help="folder of the export")] = None,
) -> None:
    """Enqueue, answer on this machine, score and export.

    The whole evaluation in one command, with one worker per device. The same again goes on where it was stopped.
    """
    from videval.cli.failures import show_failures
    from videval.cli.results import export_run, show_score
    from workers.broker import using
    from workers.device import devices_for
    from workers.fleet import Fleet

    asked = asked_from(dict(locals()))
    settings = settings_with(devices=devices)
    order = ordered(asked, settings)
    fleet = Fleet(settings=settings, devices=devices_for(order.spec, settings.devices), tied=True)
    with opened(settings) as database, using(settings):
        done = place(database, order, new=new)
        ring_for(settings, database, done.run.run_id)
        counts = _run_fleet(database, done.run, fleet)
        if not counts.finished:
            say("nothing is lost, the same command goes on")
            raise typer.Exit(130)
        show_score(database, done.run)
        show_failures(database, done.run)
        if counts.done:
            export_run(database, done.run, output or settings.output_dir)
        _point(done.run, counts)
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
