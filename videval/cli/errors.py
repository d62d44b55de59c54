"""errors: what failed, why, and the line that tries it again."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from videval.cli import complete
from videval.cli.console import opened_run, say, say_json
from videval.cli.table import Column, show_table
from videval.cli.words import when
from videval.errors import UsageError

if TYPE_CHECKING:
    from videval.db.browse import RequestDetail
    from videval.db.records import RunInfo
    from videval.db.session import Database
    from videval.db.stats import FailureGroup

__all__ = ["errors_command", "show_failures"]

COLUMNS = (
    Column(title="failed", kind="number"),
    Column(title="kind"),
    Column(title="message", kind="words"),
    Column(title="videos", kind="words"),
    Column(title="samples", kind="words"),
)


def errors_command(
    run: Annotated[str, typer.Argument(help="a run, or the beginning of its name", autocompletion=complete.runs)],
    index: Annotated[str, typer.Option(help="all that is known of this sample's failure, traceback included")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="for scripts")] = False,
) -> None:
    """Show what failed and why, with the line that retries.

    By kind and message, with counts and the first samples. Keys of --json: README, "For scripts".
    """
    from videval.report import failures

    with opened_run(run) as (database, info):
        if index:
            _show_one(database, info, index, as_json=as_json)
        elif as_json:
            say_json([_group_json(info, group) for group in failures(database, info)])
        elif not show_failures(database, info):
            say(f"{info.name}: no failures")


def _retry(run: "RunInfo", kind: str) -> str:
    return f"videval retry {run.name} --kind {kind}" if kind else f"videval retry {run.name}"


def _group_json(run: "RunInfo", group: "FailureGroup") -> dict[str, Any]:
    return {
        "kind": group.kind,
        "message": group.message,
        "count": group.count,
        "videos": dict(group.videos),
        "samples": list(group.examples),
        "retry": _retry(run, group.kind),
    }


def _row(group: "FailureGroup") -> list[str]:
    from videval.report import failed_videos

    return [
        f"{group.count:,}",
        group.kind,
        " ".join(group.message.split()),
        failed_videos(group),
        ", ".join(group.examples),
    ]


def show_failures(database: "Database", run: "RunInfo") -> bool:
    """Print what failed, grouped, and what tries each kind again; returns whether anything did."""
    from videval.report import failures

    found = failures(database, run)
    if found:
        show_table(COLUMNS, [_row(group) for group in found])
        for kind in dict.fromkeys(g.kind for g in found):
            say(f"to try {f'kind {kind}' if kind else 'them'} again: {_retry(run, kind)}")
        if found[0].examples:
            say(f"all about one of them: videval errors {run.name} --index {found[0].examples[0]}")
    return bool(found)


def _show_one(database: "Database", run: "RunInfo", index: str, *, as_json: bool) -> None:
    """Print each request that asked a sample, with its attempts; UsageError if the run does not ask it."""
    from videval.db import browse

    with database.read() as connection:
        line = browse.sample_line(connection, run, index)
        if line is None:
            raise UsageError(f"{run.name} has no sample {index!r}", hint=f"videval errors {run.name}")
        requests = browse.requests_of_sample(connection, run.run_id, line.row_id)
    if as_json:
        say_json([_request_json(r) for r in requests])
        return
    say(f"sample {index} of {run.name}: {line.video}")
    for request in requests:
        _show_request(request)


def _request_json(request: "RequestDetail") -> dict[str, Any]:
    names = ("attempt", "worker", "stage", "outcome", "started_at", "finished_at", "error_kind", "error", "traceback")
    attempts = [{name: getattr(a, name) for name in names} for a in request.attempts]
    return {"status": request.status, "kind": request.error_kind, "message": request.error, "attempts": attempts}


def _show_request(request: "RequestDetail") -> None:
    said = f", kind {request.error_kind}: {request.error}" if request.error_kind else ""
    say(f"  {request.status}{said}")
    for attempt in request.attempts:
        why = f", kind {attempt.error_kind}: {attempt.error}" if attempt.error_kind else ""
        struck = ", a strike" if attempt.struck else ""
        say(
            f"  attempt {attempt.attempt}, {when(attempt.started_at)} on {attempt.worker}: "
            f"{attempt.outcome} at {attempt.stage}{struck}{why}"
        )
        for line in (attempt.traceback or "").rstrip().splitlines():
            say(f"    {line}")
