"""Puts the commands together, and is the boundary where errors become messages and exit codes."""

import logging
import sys

import typer
from rich.markup import escape
from typer.exceptions import TyperException

from videval import __version__
from videval.cli import admin, control, doctor, ordering, outcome, page, running
from videval.cli.console import console, errors
from videval.errors import VidevalError

__all__ = ["app", "main"]

app = typer.Typer(
    name="videval",
    help="Point a fleet of GPUs at a video benchmark: every question a message, every answer a row.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog="Exit codes: 0 good, 1 some requests failed, 2 usage or unknown name, 3 environment, 4 incomplete.",
)


def _version(wanted: bool) -> None:
    if wanted:
        console.print(f"videval {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Say the version."),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Log what is done."),
) -> None:
    logging.basicConfig(level=logging.INFO if verbose else logging.ERROR, format="%(levelname)s %(name)s: %(message)s")


for module in (ordering, running, control, outcome, page, doctor, admin):
    module.add_to(app)


def _explain(error: VidevalError) -> int:
    errors.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
    if error.hint:
        errors.print(f"  [bold]->[/] {escape(error.hint)}", soft_wrap=True)
    return error.exit_code


def main() -> None:
    """Run the command line."""
    try:
        code = app(standalone_mode=False)
    except VidevalError as error:
        sys.exit(_explain(error))
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except TyperException as error:
        error.show()  # type: ignore[attr-defined]
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        errors.print("stopped; nothing is lost, the same command goes on")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)
