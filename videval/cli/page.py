"""report: a run as one HTML file that needs no network."""

from pathlib import Path
from typing import Annotated

import typer

from videval.cli.console import opened, say
from videval.errors import EnvironmentProblem
from videval.report.page import run_page
from videval.runs import find
from videval.settings import Settings

__all__ = ["add_to"]


def report_command(
    run: Annotated[str, typer.Argument(help="a run")],
    output: Annotated[Path, typer.Option("--output", "-o", help="file to write")] = Path("report.html"),
) -> None:
    """Write a page with a run's charts and tables that stands on its own."""
    with opened(Settings()) as database:
        info = find(database, run)
        text = run_page(database, info)
    draft = output.with_name(f".{output.name}.writing")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8", errors="backslashreplace")
        draft.replace(output)
    except OSError as error:
        raise EnvironmentProblem(f"cannot write {output}: {error.strerror}", hint="--output FILE") from error
    say(f"{info.name} -> {output}")


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("report")(report_command)
