"""merge, score, export, errors, card."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table as RichTable
from rich.text import Text

from videval.cli.console import console, opened, percent, say, warn
from videval.db import runs, stats
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.errors import Incomplete, UsageError
from videval.export import FORMATS, ExportFormat, export_path, export_table, run_table
from videval.measures import Measured, measure_table
from videval.merge import merge
from videval.report import GroupScore, failed_videos, failures, run_card, score_report, vlmevalkit_rating
from videval.runs import find
from videval.settings import Settings

__all__ = ["add_to", "export_run", "show_failures", "show_score"]


def merge_command(run: Annotated[str, typer.Argument(help="a run")]) -> None:
    """Take every sample's prediction from the responses again, score it, and say what was found."""
    with opened(Settings()) as database:
        info = find(database, run)
        merged = merge(database, info)
        say(f"{info.name}: {merged.responses} response(s), {merged.predictions} prediction(s), {merged.scored} scored")
        with database.read() as connection:
            states = stats.prediction_states(connection, info.run_id)
        for (state, how), count in sorted(states.items()):
            say(f"  {count:6d}  {state}, read from: {how}")
        for name, count in merged.vlmevalkit.items():
            say(f"  {count:6d}  {name} (as VLMEvalKit counts)")


def _row(score: GroupScore) -> tuple[str, ...]:
    e = score.estimate
    interval = f"{percent(e.low)} to {percent(e.high)}" if e.n else "-"
    counts = (e.n, score.videos, score.right, score.wrong, score.unparsed)
    return (score.group, percent(e.mean), interval, *map(str, counts))


def _show_measures(measures: Sequence[Measured]) -> None:
    """What the benchmark gives beside the score: averages a line each, numbers of groups as a table."""
    names, rows = measure_table(measures)
    if rows:
        table = RichTable(box=None, header_style="bold")
        table.add_column(next(m.about for m in measures if m.group), overflow="fold")
        for name in names:
            table.add_column(name, justify="right")
        for group, values in rows:
            table.add_row(group, *map(percent, values))
        console.print(table)
    for m in measures:
        if not m.group:
            say(f"{m.name}: {percent(m.value)}" + ("" if m.name == m.about else f" ({m.about})"))


def show_score(database: Database, run: RunInfo) -> None:
    """Print the score with its interval, by group, and what it rests on."""
    report = score_report(database, run)
    if report.needs:
        warn(f"  {report.needs}")
    if not report.scorable:
        say("no question has an answer to compare with: nothing is scored")
        return
    table = RichTable(box=None, header_style="bold")
    for name in (run.variant, "score", "95 % interval", "n", "videos", "right", "wrong", "unparsed"):
        table.add_column(name, justify="left" if name == run.variant else "right", overflow="fold")
    for groups in report.groups.values():
        for group in groups:
            table.add_row(*_row(group))
        table.add_section()
    table.add_row(*_row(report.overall), style="bold")
    console.print(table)
    _show_measures(report.measures)
    share = f"{report.scored} of {report.scorable} questions ({percent(report.coverage)})"
    say(f"coverage: {share} in {report.overall.videos} of {report.videos} videos")
    if report.caution:
        say(report.caution)


def score_command(
    run: Annotated[str, typer.Argument(help="a run")],
    protocol: Annotated[
        str, typer.Option(help="videval, or vlmevalkit for the score as VLMEvalKit computes it")
    ] = "videval",
) -> None:
    """Print the score of a run so far, with intervals, by group, and its coverage."""
    if protocol not in ("videval", "vlmevalkit"):
        raise UsageError(f"unknown protocol {protocol!r}", hint="videval or vlmevalkit")
    with opened(Settings()) as database:
        info = find(database, run)
        if protocol == "videval":
            show_score(database, info)
            return
        rating = vlmevalkit_rating(database, info)
        say(f"{info.name}, as VLMEvalKit's rule path computes it (failed and unparsed answers included as it does):")
        console.out(json.dumps(rating, indent=2, ensure_ascii=False), highlight=False)


def export_run(
    database: Database, run: RunInfo, folder: Path, format: ExportFormat = "xlsx", *, path: Path | None = None
) -> Path:
    """Write a run's table where its name says, and say where."""
    target = path or export_path(folder, run.model, run.variant, run.name, format)
    done = export_table(run_table(database, run), target, format)
    say(f"{done.rows} row(s) -> {done.path}")
    if done.cut_cells or done.altered_cells:
        warn(f"  {done.cut_cells + done.altered_cells} cell(s) are marked; their whole text is in {done.companion}")
    for note in done.notes:
        warn(f"  {note}")
    return done.path


def export_command(
    run: Annotated[str, typer.Argument(help="a run")],
    format: Annotated[str, typer.Option(help="xlsx, tsv, json, jsonl or parquet")] = "xlsx",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="folder; default: outputs")] = None,
    partial: Annotated[bool, typer.Option(help="export an incomplete run too")] = False,
) -> None:
    """Write the table that VLMEvalKit's evaluators accept: the benchmark's columns, then `prediction`."""
    chosen: ExportFormat | None = next((f for f in FORMATS if f == format), None)
    if chosen is None:
        raise UsageError(f"unknown format {format!r}", hint=f"one of {', '.join(FORMATS)}")
    settings = Settings()
    with opened(settings) as database:
        info = find(database, run)
        with database.read() as connection:
            counts = runs.counts(connection, info.run_id)
        if counts.waiting and not partial:
            raise Incomplete(
                f"{info.name} is incomplete: {counts.waiting} of {counts.total} request(s) are not answered yet",
                hint="wait for it (videval status --watch), or --partial",
            )
        export_run(database, info, output or settings.output_dir, chosen)
        if counts.failed:
            warn(f"  {counts.failed} request(s) failed; their predictions are empty: videval errors {info.name}")
            raise typer.Exit(1)


def show_failures(database: Database, run: RunInfo) -> None:
    """Print what failed, grouped."""
    found = failures(database, run)
    if not found:
        return
    table = RichTable(box=None, header_style="bold")
    for name in ("failed", "kind", "message", "videos", "samples"):
        table.add_column(name, overflow="fold")
    for group in found:
        row = (group.message, failed_videos(group), ", ".join(group.examples))
        table.add_row(str(group.count), group.kind, *map(Text, row))
    console.print(table)
    say(f"try again: videval retry {run.name}")


def errors_command(run: Annotated[str, typer.Argument(help="a run")]) -> None:
    """Show a run's failures by kind and message, with counts and examples."""
    with opened(Settings()) as database:
        info = find(database, run)
        if not failures(database, info):
            say(f"{info.name}: no failures")
        show_failures(database, info)


def card_command(run: Annotated[str, typer.Argument(help="a run")]) -> None:
    """Print the run card: all that the numbers depend on, as JSON."""
    with opened(Settings()) as database:
        card: dict[str, Any] = run_card(database, find(database, run))
        console.out(json.dumps(card, indent=2, ensure_ascii=False), highlight=False)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("merge")(merge_command)
    app.command("score")(score_command)
    app.command("export")(export_command)
    app.command("errors")(errors_command)
    app.command("card")(card_command)
