"""The one console that the command line writes to, and what commands begin with: settings, database, run."""

import os
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleDimensions
from rich.markup import escape

if TYPE_CHECKING:
    from videval.db.records import RunInfo
    from videval.db.session import Database
    from videval.settings import Settings

__all__ = [
    "console",
    "errors",
    "explain",
    "opened",
    "opened_run",
    "say",
    "say_json",
    "settings_with",
    "speaking_through",
    "spinner",
    "warn",
]

UNBOUNDED = 10_000
"""Columns of a pipe: who reads it wants whole names."""


class _Console(Console):
    @property
    def size(self) -> ConsoleDimensions:
        """The terminal's size, or COLUMNS; a pipe has no end."""
        if self.is_terminal or os.environ.get("COLUMNS", "").isdigit():
            return super().size
        return ConsoleDimensions(UNBOUNDED, 25)

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size

    def on_broken_pipe(self) -> None:
        """Leave it to the command line's boundary: a reader that has seen enough is no failure."""
        raise BrokenPipeError


console = _Console(highlight=False)
errors = _Console(stderr=True, highlight=False)
_voices: list[Console] = [errors]
"""Where warnings go: the last one."""


def spinner() -> str:
    """A spinner that the terminal can show."""
    return "dots" if console.encoding.startswith("utf") else "line"


def say(text: str) -> None:
    """Print plain text: nothing in it is markup, and the terminal wraps it."""
    console.print(escape(text), soft_wrap=True)


def explain(text: str) -> None:
    """Print a sentence that a narrow terminal breaks between words only; what goes on is indented."""
    indent = " " * (len(text) - len(text.lstrip()) + 2)
    lines = textwrap.wrap(text, console.width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    say("\n".join(lines))


def warn(text: str) -> None:
    """Say something on standard error."""
    _voices[-1].print(f"[yellow]{escape(text)}[/yellow]", soft_wrap=_voices[-1] is errors)


@contextmanager
def speaking_through(other: Console) -> Iterator[None]:
    """Have warnings printed by another console, which knows what else stands on the terminal."""
    _voices.append(other)
    try:
        yield
    finally:
        _voices.pop()


def say_json(value: Any) -> None:
    """Print a value as JSON, for scripts."""
    import json

    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2)
    sys.stdout.write(f"{text}\n")


def settings_with(**given: Any) -> "Settings":
    """The settings of the environment; what is given and not None wins."""
    from videval.settings import Settings

    return Settings(**{name: value for name, value in given.items() if value is not None})


@contextmanager
def opened(settings: "Settings | None" = None, *, create: bool = True) -> Iterator["Database"]:
    """The database of these settings with its schema checked; made first if it is empty and `create`."""
    from videval.db.schema import ensure_schema
    from videval.db.session import open_database

    database = open_database(settings or settings_with())
    try:
        if create:
            ensure_schema(database)
        yield database
    finally:
        database.close()


@contextmanager
def opened_run(name: str, settings: "Settings | None" = None) -> Iterator[tuple["Database", "RunInfo"]]:
    """The database, and the run of this name or this beginning of a name."""
    from videval.found import find

    with opened(settings) as database:
        yield database, find(database, name)
