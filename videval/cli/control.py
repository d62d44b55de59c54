"""status, list, retry, cancel, pause, resume."""

import dataclasses
import json
import time
from collections.abc import Callable
from typing import Annotated

import typer
from rich.live import Live
from rich.table import Table as RichTable
from rich.text import Text

from videval.benchmarks.base import NO_SCORER
from videval.benchmarks.catalog import benchmark as find_benchmark
from videval.benchmarks.catalog import benchmark_names
from videval.changes import Changed, cancel, pause, resume
from videval.cli.console import console, opened, percent, say, seconds
from videval.cli.ordering import ring_for
from videval.db import runs as run_rows
from videval.db import workers as worker_rows
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.errors import BrokerUnavailable, ErrorKind, UsageError
from videval.models.catalog import model_names, model_spec
from videval.report import RunStatus, run_status, run_statuses, score_report
from videval.runs import ask_again, find
from videval.settings import Settings
from videval.types import RunState
from workers.broker import using

__all__ = ["add_to", "fleet_table"]


def _runs_table(database: Database, statuses: list[RunStatus]) -> RichTable:
    table = RichTable(box=None, header_style="bold")
    for name in ("run", "state", "done", "failed", "waiting", "rate", "ETA", "score", "coverage"):
        table.add_column(name, justify="left" if name in ("run", "state") else "right", overflow="fold")
    for s in statuses:
        score = score_report(database, s.run)
        state = "finished" if s.counts.finished and s.run.state == RunState.ACTIVE else s.run.state
        table.add_row(
            Text(s.run.name),
            state,
            str(s.counts.done),
            Text(str(s.counts.failed), style="red" if s.counts.failed else ""),
            str(s.counts.waiting),
            f"{s.rate_now:.2f}/s" if s.counts.waiting else "",
            seconds(s.eta_s) if s.counts.waiting else "",
            percent(score.overall.estimate.mean),
            percent(score.coverage) if score.scorable else "-",
        )
    return table


def fleet_table(database: Database) -> RichTable:
    """What every live worker does."""
    table = RichTable(box=None, header_style="bold")
    for name in ("worker", "device", "state", "model", "does", "done", "failed", "memory", "last heard"):
        table.add_column(name, overflow="fold")
    with database.read() as connection:
        live = worker_rows.live_workers(connection)
    for w in live:
        does = ", ".join(f"{a['stage']} {a['seconds']:.0f} s" for a in w.activity.values()) or (w.message or "")
        table.add_row(
            Text(w.name),
            Text(w.device_name or w.device),
            w.state,
            w.model or "-",
            Text(does),
            str(w.done),
            str(w.failed),
            f"{w.rss_mb / 1024:.1f} GB",
            f"{w.silent_s:.0f} s ago",
        )
    return table


def _as_json(database: Database, statuses: list[RunStatus]) -> str:
    found = []
    for s in statuses:
        score = score_report(database, s.run)
        found.append(
            {
                "run": s.run.name,
                "state": s.run.state,
                "benchmark": s.run.benchmark,
                "variant": s.run.variant,
                "model": s.run.model,
                "counts": dataclasses.asdict(s.counts) | {"total": s.counts.total},
                "finished": s.counts.finished,
                "rate": s.rate,
                "rate_now": s.rate_now,
                "eta_s": s.eta_s,
                "score": dataclasses.asdict(score.overall.estimate),
                "coverage": score.coverage,
            }
        )
    return json.dumps(found, indent=2)


def _chosen(database: Database, run: str | None) -> list[RunStatus]:
    return [run_status(database, find(database, run))] if run else run_statuses(database)


def status_command(
    run: Annotated[str | None, typer.Argument(help="a run, or the beginning of its name; all if left away")] = None,
    watch: Annotated[bool, typer.Option(help="refresh until stopped or finished")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for scripts")] = False,
) -> None:
    """Say how far runs are, how fast, their score so far, and what every worker does."""
    settings = Settings()
    with opened(settings) as database:
        if as_json:
            console.out(_as_json(database, _chosen(database, run)), highlight=False)
            return
        statuses = _chosen(database, run)
        if not statuses:
            say("No runs yet: videval enqueue MVBench_8frame Video-LLaVA-7B")
            return
        if not watch:
            console.print(_runs_table(database, statuses))
            console.print(fleet_table(database))
            return
        with Live(console=console, refresh_per_second=2) as live:
            while True:
                statuses = _chosen(database, run)
                grid = RichTable.grid()
                grid.add_row(_runs_table(database, statuses))
                grid.add_row(fleet_table(database))
                live.update(grid)
                if all(s.counts.finished or s.run.state != RunState.ACTIVE for s in statuses):
                    return
                time.sleep(1.0)


list_app = typer.Typer(help="List benchmarks, models or runs.", no_args_is_help=True)


@list_app.command("benchmarks")
def list_benchmarks() -> None:
    """Benchmarks with their size, sampling and scoring, and whether their data is here."""
    from videval.benchmarks.data import locate

    settings = Settings()
    table = RichTable(box=None, header_style="bold")
    for name in ("benchmark", "questions", "videos", "GB", "frames", "scored by", "data here"):
        table.add_column(name, overflow="fold")
    for name in benchmark_names():
        bench = find_benchmark(name)
        by_rate = f", by rate: {bench.rate_policy}" if bench.rate_policy else ""
        table.add_row(
            name,
            str(bench.questions or "-"),
            str(bench.videos or "-"),
            f"{bench.size_gb:g}" if bench.size_gb else "-",
            f"{bench.frame_policy or '-'}{by_rate}",
            Text("; ".join(filter(None, (bench.scorer if bench.scorer != NO_SCORER else "", bench.needs)))),
            "yes" if locate(bench, settings) else "-",
        )
    console.print(table)


@list_app.command("models")
def list_models() -> None:
    """Models with their adapter, checkpoint and frame limits."""
    table = RichTable(box=None, header_style="bold")
    for name in ("model", "adapter", "checkpoint", "frames", "note"):
        table.add_column(name, overflow="fold")
    for name in model_names():
        spec = model_spec(name)
        frames = ", ".join(map(str, spec.frame_counts)) or (f"up to {spec.max_frames}" if spec.max_frames else "any")
        table.add_row(name, spec.adapter, spec.checkpoint, frames, Text(spec.note))
    console.print(table)
    say("or ADAPTER:PATH, for example video_llava:./my-checkpoint")


@list_app.command("runs")
def list_runs() -> None:
    """All runs."""
    status_command()


def retry_command(
    run: Annotated[str, typer.Argument(help="a run")],
    kind: Annotated[str, typer.Option(help="only these kinds: video,model,api,oom,timeout,crash")] = "",
    index: Annotated[list[str] | None, typer.Option(help="only these samples; may be given several times")] = None,
    unanswered: Annotated[bool, typer.Option(help="ask alone what a pack's answer did not hold")] = False,
) -> None:
    """Try failed requests again, with no strikes against them."""
    settings = Settings()
    kinds = _kinds(kind)
    with opened(settings) as database:
        info = find(database, run)
        if unanswered:
            count = ask_again(database, info)
        else:
            count = database.write(lambda c: run_rows.retry(c, info.run_id, kinds=kinds, indexes=index or []))
        say(f"{info.name}: {count} request(s) will be tried again")
        _ring(settings, database, info)


def _kinds(text: str) -> list[ErrorKind]:
    known = [k.value for k in ErrorKind]
    asked = [k.strip() for k in text.split(",") if k.strip()]
    for name in asked:
        if name not in known:
            raise UsageError(f"{name!r} is not a kind of failure", hint=f"one of {', '.join(known)}")
    return [ErrorKind(name) for name in asked]


def _ring(settings: Settings, database: Database, info: RunInfo) -> None:
    try:
        with using(settings):
            ring_for(database, info.run_id)
    except BrokerUnavailable as error:
        say(f"  the broker is away ({error}); any worker sends the messages when it is back")


def _change(run: str, change: Callable[[Database, RunInfo], Changed]) -> None:
    settings = Settings()
    with opened(settings) as database:
        info = find(database, run)
        changed = change(database, info)
        say(changed.said)
        if changed.goes_on:
            _ring(settings, database, info)


def pause_command(run: Annotated[str, typer.Argument(help="a run")]) -> None:
    """Stop handing out a run's requests; what is being generated is finished."""
    _change(run, pause)


def resume_command(run: Annotated[str, typer.Argument(help="a run")]) -> None:
    """Go on with a paused run."""
    _change(run, resume)


def cancel_command(run: Annotated[str, typer.Argument(help="a run")]) -> None:
    """Give up what a run has not answered yet; its answers stay."""
    _change(run, cancel)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("status")(status_command)
    app.add_typer(list_app, name="list")
    app.command("retry")(retry_command)
    app.command("pause")(pause_command)
    app.command("resume")(resume_command)
    app.command("cancel")(cancel_command)
