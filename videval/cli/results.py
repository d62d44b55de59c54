"""merge, score, export, card."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videval.cli import complete
from videval.cli.busy import busy
from videval.cli.console import explain, opened_run, say, say_json, settings_with, warn
from videval.cli.suite_table import show_scores_of
from videval.cli.table import Column, show_table
from videval.cli.words import measured, percent
from videval.errors import Incomplete, UsageError
from videval.words import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from videval.db.records import RunInfo
    from videval.db.session import Database
    from videval.export import ExportFormat
    from videval.metrics import Estimate, Figure
    from videval.report import GroupScore, ScoreReport

__all__ = ["card_command", "export_command", "export_run", "merge_command", "score_command", "show_score"]

Run = Annotated[str, typer.Argument(help="a run, or the beginning of its name", autocompletion=complete.runs)]
AsJson = Annotated[bool, typer.Option("--json", help="for scripts")]


def merge_command(run: Run, as_json: AsJson = False) -> None:
    """Read predictions and scores from the responses again.

    Says how each answer was read. The same result when it is repeated. Keys of --json: README, "For scripts".
    """
    from videval.db import stats
    from videval.merge import merge

    with opened_run(run) as (database, info):
        with busy(f"reading the responses of {info.name}") as tell:
            merged = merge(database, info, on_progress=tell)
        with database.read() as connection:
            states = stats.prediction_states(connection, info.run_id)
        if as_json:
            read = [{"state": state, "how": how, "count": n} for (state, how), n in sorted(states.items())]
            say_json({"run": info.name, **dataclasses.asdict(merged), "read": read})
            return
        found = f"{plural(merged.responses, 'response')}, {plural(merged.predictions, 'prediction')}"
        say(f"{info.name}: {found}, {merged.scored:,} scored")
        for (state, how), count in sorted(states.items()):
            say(f"  {count:6d}  {state}, read from: {how}")
        for name, count in merged.vlmevalkit.items():
            say(f"  {count:6d}  {name} (as VLMEvalKit counts)")


def _row(score: "GroupScore", report: "ScoreReport") -> list[str]:
    counts = (score.estimate.n, score.videos, *(getattr(score, verdict) for verdict in report.verdicts))
    return [
        score.group,
        measured(score.estimate.mean, report.top),
        _interval(score.estimate, report.top),
        *(f"{n:,}" for n in counts),
    ]


def _interval(found: "Estimate", top: float | None) -> str:
    return f"{measured(found.low, top)} to {measured(found.high, top)}" if found.n else "-"


def _figure(figure: "Figure | None") -> str:
    if figure is None or figure.estimate.mean is None:
        return "-"
    return f"{measured(figure.estimate.mean, figure.top)} ({_interval(figure.estimate, figure.top)})"


def _show_metrics(figures: "Sequence[Figure]") -> None:
    """What the benchmark gives beside the headline: figures of the run a line each, those of groups as a table."""
    from videval.metrics import figure_table

    names, rows = figure_table(figures)
    if rows:
        about = next(f.about for f in figures if f.group)
        columns = [Column(title=about, kind="name"), *(Column(title=name, kind="number") for name in names)]
        show_table(columns, [[group, *map(_figure, found)] for group, found in rows])
    for f in figures:
        if not f.group:
            explain(f"{f.name}: {_figure(f)}" + ("" if f.name == f.about else f", {f.about}"))


def show_score(database: "Database", run: "RunInfo") -> None:
    """Print the score with its interval, by group, what it rests on, and what it cost where that is known."""
    from videval.report import is_paid, run_status, score_report, used_in_words

    report, status = score_report(database, run), run_status(database, run)
    for said in filter(None, (report.needs, report.outdated)):
        warn(f"  {said}")
    if not report.scorable:
        say("no question has an answer to compare with: nothing is scored")
        return
    names = (report.name, "95 % interval", "n", "videos", *report.verdicts)
    kinds = {"videos": "extra"}  # the line below says of how many in all
    columns = [Column(title=run.variant, kind="name"), *(Column(title=n, kind=kinds.get(n, "number")) for n in names)]
    rows = [_row(group, report) for groups in report.groups.values() for group in groups]
    show_table(columns, [*rows, _row(report.overall, report)], totals=True)
    _show_metrics(report.metrics)
    share = f"{report.scored} of {report.scorable} questions ({percent(report.coverage)})"
    say(f"coverage: {share} in {report.overall.videos} of {report.videos} videos")
    for said in filter(None, (status.so_far, *report.remarks)):
        explain(said)
    if is_paid(status):
        explain(f"took {used_in_words(status.usage, run)}")
    _show_published(report)


def _show_published(report: "ScoreReport") -> None:
    """Each number that is published for the run's recipe, and what can be said of it."""
    for found in report.published:
        say(f"recipe {found.recipe}")
        say(f"  {found.said}")
        for caveat in found.caveats:
            warn(f"  {caveat}")
    if report.published and report.run.recipe and report.run.recipe.made_with:
        explain(f"  which was made with {'; '.join(report.run.recipe.made_with)}")


def _score_json(report: "ScoreReport") -> dict[str, Any]:
    """A score for scripts; the README says what each key means."""
    found = dataclasses.asdict(report) | {"run": report.run.name, "variant": report.run.variant}
    return found | {"coverage": report.coverage}


def score_command(
    run: Annotated[
        str, typer.Argument(help="a run, the beginning of its name, or a suite's file", autocompletion=complete.runs)
    ],
    protocol: Annotated[
        str, typer.Option(help="videval, or vlmevalkit for the score as VLMEvalKit computes it")
    ] = "videval",
    judge: Annotated[
        str | None, typer.Option(help="who judges for a dataset of VLMEvalKit's own; default: rules only")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print a run's score so far, by group, with intervals.

    Coverage says how much of the benchmark it rests on. Of a suite's file: all its scores as a table. Keys of --json:
    README, "For scripts".
    """
    from videval.report import score_report, vlmevalkit_rating
    from videval.suites.files import names_a_suite

    if names_a_suite(run) and protocol == "videval":
        show_scores_of(Path(run), as_json=as_json)
        return
    if protocol not in ("videval", "vlmevalkit"):
        raise UsageError(f"unknown protocol {protocol!r}", hint="videval or vlmevalkit")
    with opened_run(run) as (database, info):
        if info.benchmark.startswith("vlmevalkit:") and protocol == "vlmevalkit":
            _show_evaluated(database, info, judge, as_json=as_json)
        elif judge:
            raise UsageError(
                "--judge is for a dataset of VLMEvalKit's own",
                hint="videval score RUN --protocol vlmevalkit --judge NAME",
            )
        elif protocol == "vlmevalkit":
            rating = vlmevalkit_rating(database, info)
            if not as_json:
                say(f"{info.name}, as VLMEvalKit's rule path computes it (failed and unparsed answers as it does):")
            say_json(rating)
        elif as_json:
            say_json(_score_json(score_report(database, info)))
        else:
            show_score(database, info)


def _show_evaluated(database: "Database", run: "RunInfo", judge: str | None, *, as_json: bool) -> None:
    """What a dataset of VLMEvalKit's says of a run by its own `evaluate`, beneath our score."""
    from videval.export.evaluated import NO_JUDGE, evaluate_foreign

    if not as_json:
        show_score(database, run)
    with busy(f"VLMEvalKit evaluates {run.name}"):
        rating = evaluate_foreign(database, run, judge=judge or NO_JUDGE)
    if not as_json:
        say(f"{run.name}, as its dataset's own evaluate says, judged by {judge or 'rules only'}:")
    say_json(rating)


def export_run(
    database: "Database", run: "RunInfo", folder: Path, format: "ExportFormat" = "xlsx", *, path: Path | None = None
) -> Path:
    """Write a run's table where its name says, and say where."""
    from videval.export import export_path, export_table, run_table

    target = path or export_path(folder, run.model, run.variant, run.name, format)
    with busy(f"writing {target}"):
        done = export_table(run_table(database, run), target, format)
    say(f"{plural(done.rows, 'row')} -> {done.path}")
    if marked := done.cut_cells + done.altered_cells:
        warn(f"  {plural(marked, 'cell')} marked; their whole text is in {done.companion}")
    for note in done.notes:
        warn(f"  {note}")
    return done.path


def export_command(
    run: Run,
    format: Annotated[
        str, typer.Option(help="xlsx, tsv, json, jsonl or parquet", autocompletion=complete.formats)
    ] = "xlsx",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="folder; default: outputs")] = None,
    partial: Annotated[bool, typer.Option(help="export an incomplete run too")] = False,
) -> None:
    """Write the table that VLMEvalKit's evaluators accept.

    The benchmark's columns, then `prediction`.
    """
    from videval.db import runs
    from videval.export import FORMATS

    chosen = next((f for f in FORMATS if f == format), None)
    if chosen is None:
        raise UsageError(f"unknown format {format!r}", hint=f"one of {', '.join(FORMATS)}")
    settings = settings_with()
    with opened_run(run, settings) as (database, info):
        with database.read() as connection:
            counts = runs.counts(connection, info.run_id)
        if counts.waiting and not partial:
            raise Incomplete(
                f"{info.name} is incomplete: {counts.waiting:,} of {plural(counts.total, 'request')} not answered yet",
                hint="wait for it (videval status --watch), or --partial",
            )
        export_run(database, info, output or settings.output_dir, chosen)
        if counts.failed:
            failed = plural(counts.failed, "request")
            warn(f"  {failed} failed; predictions of these are empty: videval errors {info.name}")
            raise typer.Exit(1)


def card_command(run: Run) -> None:
    """Print all that the numbers depend on, as JSON."""
    from videval.report import run_card

    with opened_run(run) as (database, info):
        say_json(run_card(database, info))
