"""doctor: what is configured, reachable and missing."""

from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from videval.cli import complete
from videval.cli.console import console, say, settings_with

if TYPE_CHECKING:
    from videval.cli.findings import Finding

__all__ = ["doctor_command", "show_finding"]


def doctor_command(
    model: Annotated[
        str | None, typer.Argument(help="a model, to look at its checkpoint too", autocompletion=complete.models)
    ] = None,
) -> None:
    """Say what is configured, reachable and missing.

    Each with the line that mends it; exit 0 if a run could start. With MODEL also what is wrong with its checkpoint,
    and how many devices it needs.
    """
    from videval.cli.findings import findings
    from videval.cli.model_findings import model_findings

    bad, settings = 0, settings_with()
    for finding in chain(findings(settings), model_findings(settings, model) if model else ()):
        show_finding(finding)
        bad += not finding.ok
    if bad:
        raise typer.Exit(3)


def show_finding(finding: "Finding") -> None:
    """Print a finding, and the line that mends it."""
    console.print(_mark(finding) + Text(f"{finding.what:<13}{finding.says}", style=""), soft_wrap=True)
    if finding.mend:
        say(f"       -> {finding.mend}")


def _mark(finding: "Finding") -> Text:
    if not finding.ok:
        return Text("BAD  ", style="bold red")
    return Text("note ", style="yellow") if finding.mend else Text("ok   ", style="green")
