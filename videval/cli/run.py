"""run: enqueue, a local fleet, progress, score, export; of one run, of lists that are crossed, or of a suite."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from videval.cli.asked import takes_suite
from videval.cli.console import explain, opened, say, settings_with, warn
from videval.cli.enqueue import check_all, one_of_each_model, ordered, place
from videval.errors import UsageError
from videval.options import Suite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from videval.db.records import RunInfo
    from videval.db.session import Database
    from videval.settings import Settings
    from videval.suites.orders import Cell
    from workers.fleet import Fleet
    from workers.template import Template

__all__ = ["run_command"]

MODES = ("all", "infer", "eval")


@takes_suite
def run_command(
    suite: Suite,
    *,
    devices: Annotated[str | None, typer.Option(help="auto, 0,1, cpu, cpu*2, api, ...")] = None,
    output: Annotated[Path | None, typer.Option(help="folder of the export")] = None,
    mode: Annotated[str, typer.Option(help="infer: answer only; eval: score and export what is there")] = "all",
    reuse: Annotated[bool, typer.Option("--reuse", help="changes nothing: no answer is ever made twice")] = False,
    api_nproc: Annotated[int | None, typer.Option(min=1, help="requests at once to an endpoint, per worker")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what it will cost, and ask nothing")] = False,
) -> None:
    """Enqueue, answer on this machine, score and export.

    The whole evaluation in one command, with one worker per device. The same again goes on where it was stopped.
    `--data A B --model X Y` or a suite's file: each pair is a run, and one fleet serves them all, model by model.
    """
    if mode not in MODES:
        raise UsageError(f"unknown mode {mode!r}", hint=f"one of {', '.join(MODES)}")
    with nullcontext() if dry_run or mode == "eval" else _template() as template:
        settings = settings_with(devices=devices, api_nproc=api_nproc)
        cells = ordered(suite, settings)
        if reuse:
            explain("--reuse changes nothing: answers are kept and never made again (--new makes another run)")
        if dry_run:
            from videval.cli.estimates import show_estimates

            show_estimates(settings, cells)
        else:
            raise typer.Exit(_evaluate(settings, cells, mode, output or settings.output_dir, template))


def _template() -> "Template":
    """What the workers will be clones of: it imports what they need while this command reads the questions."""
    from workers.template import Template

    return Template()


def _evaluate(
    settings: "Settings", cells: "Sequence[Cell]", mode: str, folder: Path, template: "Template | None"
) -> int:
    """Answer, score and export as far as the mode says; returns the exit code."""
    from videval.cli.evaluated import evaluated, runs_that_are_there

    fleet = None if template is None else _fleet(settings, cells, template)
    with opened(settings) as database:
        runs = _answered(settings, database, cells, fleet) if fleet else runs_that_are_there(database, cells)
        if runs is None:
            again = "the same command without --new" if any(cell.asked.new for cell in cells) else "the same command"
            say(f"nothing is lost, {again} goes on")
            return 130
        if mode == "infer":
            explain("answers only, as --mode infer says; with --mode eval the same command scores and exports them")
        return evaluated(database, cells, runs, None if mode == "infer" else folder)


def _fleet(settings: "Settings", cells: "Sequence[Cell]", template: "Template") -> "Fleet":
    """The workers of this machine that serve every model of these runs, in turn; raises what speaks against a run."""
    from workers.device import devices_for
    from workers.fleet import Fleet

    check_all(cells)
    specs = [order.spec for order in one_of_each_model(cells)]
    devices = {device.id: device for spec in specs for device in devices_for(spec, settings.devices)}
    return Fleet(settings=settings, devices=list(devices.values()), tied=True, template=template)


def _answered(
    settings: "Settings", database: "Database", cells: "Sequence[Cell]", fleet: "Fleet"
) -> "list[RunInfo] | None":
    """Have all runs answered, in their order; None if somebody stops it. The workers are gone afterwards.

    A model's runs are placed when nothing of the models before it waits, so that each worker loads each model once.
    """
    from videval.cli.busy import busy
    from videval.cli.progress import refuse_halted, watch
    from videval.db.records import RunInfo
    from videval.suites.orders import waves
    from workers.broker import using

    placed, open_ = dict[str, RunInfo](), list[RunInfo]()
    if has_work := _may_have_work(database, cells):
        _refuse_troubles(cells)
    with using(settings):
        try:
            if has_work:  # workers start while the rows are written
                fleet.tick()
            for wave in waves(cells):
                for cell in wave:
                    placed[cell.key] = place(settings, database, cell.order, new=cell.asked.new).run
                    open_.append(placed[cell.key])
                is_last = len(placed) == len(cells)
                with _signalled() as stop:
                    counts = watch(database, open_, fleet, stop, is_last=is_last, named=len(cells) > 1)
                    open_ = [run for run, count in zip(open_, counts, strict=True) if not count.finished]
                    if open_ if is_last else stop.is_set():
                        refuse_halted(database, open_)
                        return None
        finally:
            with busy("stopping the workers"):
                fleet.stop()
    return [placed[cell.key] for cell in cells]


def _refuse_troubles(cells: "Sequence[Cell]") -> None:
    """Raise what would keep a model from answering, before there are rows; what is only to be known is a warning."""
    from videval.models.troubles import refuse_troubles

    for order in one_of_each_model(cells):
        for remark in refuse_troubles(order.spec):
            warn(remark)


def _may_have_work(database: "Database", cells: "Sequence[Cell]") -> bool:
    """Whether there are questions that were not answered before, as far as can be told before rows are written."""
    from videval.report import run_status
    from videval.suites.orders import found_runs

    known = zip(cells, found_runs(database, cells), strict=True)
    return any(cell.asked.new or run is None or not run_status(database, run).counts.finished for cell, run in known)


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
