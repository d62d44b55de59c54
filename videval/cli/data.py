"""prepare and verify: a benchmark's data on this machine."""

from typing import TYPE_CHECKING, Annotated

import typer

from videval.cli.complete import benchmarks
from videval.cli.console import say, settings_with, warn
from videval.errors import DataMissing
from videval.words import plural

if TYPE_CHECKING:
    from videval.datasets.prepare import Report

__all__ = ["prepare_command", "verify_command"]

SHOWN = 20
"""Lines of one kind that are printed."""

Name = Annotated[str, typer.Argument(help="a benchmark (MVBench)", autocompletion=benchmarks)]


def _show(report: "Report") -> None:
    counts = f"{plural(report.questions, 'question')}, {plural(report.videos, 'video')}"
    say(f"{report.benchmark}: {counts} at {report.root}")
    for name, lines in (("problem", report.problems), ("missing", report.missing), ("broken", report.broken)):
        for line in lines[:SHOWN]:
            warn(f"  {name}: {line}")
        if len(lines) > SHOWN:
            warn(f"  {name}: ... and {len(lines) - SHOWN:,} more")
    for note in report.notes:
        say(f"  note: {note}")
    if not report.is_complete:
        raise typer.Exit(3)
    say("  complete")


def prepare_command(name: Name) -> None:
    """Find or fetch a benchmark's data, unpack and check it."""
    from videval.benchmarks.catalog import find_benchmark
    from videval.datasets.prepare import prepare

    _show(prepare(find_benchmark(name), settings_with(), progress=say).report)


def verify_command(name: Name) -> None:
    """Check a benchmark's data: counts, hashes, videos."""
    from videval.benchmarks.catalog import find_benchmark
    from videval.datasets.prepare import locate, verify

    bench = find_benchmark(name)
    root = locate(bench, settings_with())
    if root is None:
        raise DataMissing(f"the data of {name} is not on this machine", hint=f"videval prepare {name}")
    _show(verify(bench, root))
