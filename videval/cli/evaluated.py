"""What `run` ends with: scores, failures and files of its runs, and a table of all of them if they are several."""

from pathlib import Path
from typing import TYPE_CHECKING

from videval.cli.console import say, warn
from videval.errors import UsageError
from videval.words import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from videval.db.records import RunInfo
    from videval.db.runs import Counts
    from videval.db.session import Database
    from videval.suites.orders import Cell

__all__ = ["evaluated", "runs_that_are_there"]


def runs_that_are_there(database: "Database", cells: "Sequence[Cell]") -> "list[RunInfo]":
    """The run of each cell; UsageError if one was never asked."""
    from videval.suites.crossing import words_of
    from videval.suites.orders import found_runs

    found = found_runs(database, cells)
    for cell, run in zip(cells, found, strict=True):
        if run is None:
            raise UsageError(f"nothing was asked yet of {words_of(cell.asked)}", hint="the same without --mode eval")
    return [run for run in found if run is not None]


def evaluated(database: "Database", cells: "Sequence[Cell]", runs: "Sequence[RunInfo]", folder: Path | None) -> int:
    """Show what came of the runs and export what was answered below `folder` (None: neither scored nor exported);
    returns the worst exit code."""
    from videval.cli.suite_table import show_suite
    from videval.db.runs import counts
    from videval.suites.standing import standings

    with database.read() as connection:
        found = [counts(connection, run.run_id) for run in runs]
    for run, count in zip(runs, found, strict=True):
        _show(database, run, count, folder, is_one=len(runs) == 1)
    if len(runs) > 1 and folder:
        show_suite(standings(database, cells, runs))
    return max(map(_exit_code, found))


def _show(database: "Database", run: "RunInfo", counts: "Counts", folder: Path | None, *, is_one: bool) -> None:
    from videval.cli.errors import show_failures
    from videval.cli.results import export_run, show_score

    if is_one and folder:
        show_score(database, run)
    if is_one:
        show_failures(database, run)
    if counts.done and folder:
        export_run(database, run, folder)
    if counts.failed and not is_one:
        say(f"failed: videval errors {run.name}")
    if counts.waiting:
        warn(f"  {run.name} is incomplete: {counts.waiting:,} of {plural(counts.total, 'request')} not answered yet")
    if is_one:
        _point(run, counts)


def _point(run: "RunInfo", counts: "Counts") -> None:
    """Where to look next."""
    say("look:   videval dashboard")
    say(f"share:  videval report {run.name}")
    if counts.failed:
        say(f"failed: videval errors {run.name}")


def _exit_code(counts: "Counts") -> int:
    """4 if something is not answered, 1 if something failed."""
    return 4 if counts.waiting else int(counts.failed > 0)
