"""report: a run as one HTML file that needs no network."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from videval.cli import complete
from videval.cli.busy import busy
from videval.cli.console import opened_run, say
from videval.errors import EnvironmentProblem

__all__ = ["report_command"]


def report_command(
    run: Annotated[str, typer.Argument(help="a run, or the beginning of its name", autocompletion=complete.runs)],
    output: Annotated[Path, typer.Option("--output", "-o", help="file to write")] = Path("report.html"),
) -> None:
    """Write one HTML page with a run's charts and tables.

    It stands on its own: no other file, no network.
    """
    from videval.report.page import run_page

    with opened_run(run) as (database, info), busy(f"writing {output}"):
        _write(output, run_page(database, info))
    say(f"{info.name} -> {output}")


def _write(output: Path, text: str) -> None:
    """Write beside the file and rename: it is whole or as it was before. EnvironmentProblem if that cannot be done."""
    draft = output.with_name(f".{output.name}.writing")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8", errors="backslashreplace")
        draft.replace(output)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise EnvironmentProblem(f"cannot write {output}: {error.strerror}", hint="--output FILE") from error
