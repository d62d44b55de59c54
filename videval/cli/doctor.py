"""doctor: what is configured, reachable and missing."""

from typing import TYPE_CHECKING

import typer
from rich.text import Text

from videval.cli.console import console, say, settings_with

if TYPE_CHECKING:
    from videval.cli.findings import Finding

__all__ = ["doctor_command"]


def doctor_command() -> None:
    """Say what is configured, reachable and missing.

    Each with the line that mends it; exit 0 if a run could start.
    """
    from videval.cli.findings import findings

    bad = 0
    for finding in findings(settings_with()):
        console.print(_mark(finding) + Text(f"{finding.what:<13}{finding.says}", style=""), soft_wrap=True)
        bad += not finding.ok
        if finding.mend:
            say(f"       -> {finding.mend}")
    if bad:
        raise typer.Exit(3)


def _mark(finding: "Finding") -> Text:
    if not finding.ok:
        return Text("BAD  ", style="bold red")
    return Text("note ", style="yellow") if finding.mend else Text("ok   ", style="green")
