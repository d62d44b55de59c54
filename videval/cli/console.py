"""The one console that the command line writes to, and small helpers to say things."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

from videval.db.schema import ensure_schema
from videval.db.session import Database, open_database
from videval.settings import Settings

__all__ = ["console", "errors", "opened", "percent", "say", "seconds", "warn"]

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """Print plain text: nothing in it is markup."""
    console.print(escape(text), soft_wrap=True)


def warn(text: str) -> None:
    """Say something on standard error."""
    errors.print(f"[yellow]{escape(text)}[/yellow]", soft_wrap=True)


@contextmanager
def opened(settings: Settings, *, create: bool = True) -> Iterator[Database]:
    """The database of these settings with its schema checked; made first if it is empty and `create`."""
    database = open_database(settings)
    try:
        if create:
            ensure_schema(database)
        yield database
    finally:
        database.close()


def percent(value: float | None) -> str:
    """0.954 as 95.4 %."""
    return "-" if value is None else f"{100 * value:.1f} %"


def seconds(value: float | None) -> str:
    """A duration as people say it."""
    if value is None:
        return "-"
    if value < 90:
        return f"{value:.0f} s"
    minutes, hours = value / 60, value / 3600
    return f"{minutes:.0f} min" if minutes < 90 else f"{hours:.1f} h"


Progress = Callable[[int, int], None]
