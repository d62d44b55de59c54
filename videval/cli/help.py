"""help: what `COMMAND --help` says."""

from typing import Annotated

import typer

from videval.cli.console import console

__all__ = ["help_command"]


def help_command(
    context: typer.Context,
    command: Annotated[list[str] | None, typer.Argument(help="a command (run), or several words (list runs)")] = None,
) -> None:
    """Say how a command is used."""
    words = command or []
    root = context.find_root()
    arguments = [*words, "--help"]
    root.command.main(arguments, prog_name="videval", standalone_mode=False)
    console.file.flush()
