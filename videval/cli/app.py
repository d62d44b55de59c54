"""The root of the command line: its own options, and the boundary where errors become messages and exit codes.

Nothing is imported here that a command does not need before it is known which command it is.
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.markup import escape

from videval import __version__
from videval.cli.console import console, errors
from videval.cli.lazy import HELP_OPTIONS, LazyGroup
from videval.cli.trouble import explained, quiet_pipes, tolerant_streams
from videval.errors import VidevalError

__all__ = ["app", "main"]


MANY = 50_000
"""New objects after which Python looks for cycles: at its own 700 that is a seventh of a short command's time."""


@contextmanager
def _terminal_told_apart() -> Iterator[None]:
    """What the terminal does, told before typer makes its own of it."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise typer.Abort from stop
    except BrokenPipeError as closed:  # the reader has seen enough
        raise typer.Exit(0) from closed


class _Root(LazyGroup):
    def make_context(self, *args: Any, **named: Any) -> Any:
        """Parse, which may print help."""
        with _terminal_told_apart():
            return super().make_context(*args, **named)

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        with _terminal_told_apart():
            return super().invoke(ctx)


app = typer.Typer(
    name="videval",
    cls=_Root,
    help="Point a fleet of GPUs at a video benchmark: every question a message, every answer a row.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings=HELP_OPTIONS,
    epilog="Exit codes: 0 good, 1 some requests failed, 2 usage or unknown name, 3 environment, 4 incomplete.",
)


def _version(wanted: bool) -> None:
    if wanted:
        console.print(f"videval {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")] = (
        False
    ),
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is done.")] = False,
) -> None:
    import logging

    logging.basicConfig(level=logging.INFO if verbose else logging.ERROR, format="%(levelname)s %(name)s: %(message)s")


def _tell(error: VidevalError) -> int:
    errors.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
    if error.hint:
        errors.print(f"  [bold]->[/] {escape(error.hint)}", soft_wrap=True)
    return error.exit_code


def _run() -> int:
    """Run the command of sys.argv; returns its exit code."""
    try:
        code = app(prog_name="videval", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except (typer.Abort, KeyboardInterrupt):
        errors.print("stopped; nothing is lost, the same command goes on")
        return 130
    except BrokenPipeError:
        return 0
    except Exception as error:
        known = explained(error)
        if known is None:
            raise
        return _tell(known)


def main() -> None:
    """Run the command line."""
    gc.set_threshold(MANY)
    tolerant_streams()
    code = _run()
    quiet_pipes()
    sys.exit(code)
