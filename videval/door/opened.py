"""The settings and the database of one call. The database is opened for the call and closed after it: nothing lives on
that a fork would share or another thread would have to be kept from."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, TypeVar

from videval.db.schema import ensure_schema
from videval.db.session import Database, open_database
from videval.errors import DatabaseUnavailable, UsageError
from videval.settings import Settings

__all__ = ["SettingsLike", "ask", "settings_of", "unknown_name"]

T = TypeVar("T")
SettingsLike = Settings | Mapping[str, Any] | None
"""Settings, or some of them by name, the others being those of the environment."""

PATIENCE = 15.0
"""Seconds that a call waits for a database server that is away."""
PAUSE = 0.5


def settings_of(given: SettingsLike, **more: Any) -> Settings:
    """The settings that are meant; of `more`, what is not None wins. UsageError for a name that is no setting."""
    said = {name: value for name, value in more.items() if value is not None}
    if isinstance(given, Settings):
        return given.model_copy(update=said) if said else given
    for name in given or {}:
        if name not in Settings.model_fields:
            raise unknown_name("setting", name, list(Settings.model_fields))
    return Settings(**{**(given or {}), **said})


def unknown_name(what: str, name: str, known: list[str]) -> UsageError:
    """For a keyword that does not exist, with what comes close."""
    close = get_close_matches(name, known, n=3, cutoff=0.5)
    return UsageError(f"unknown {what} {name!r}", hint=f"did you mean {' or '.join(close)}?" if close else "")


def ask(settings: Settings, work: Callable[[Database], T], *, patience: float | None = None) -> T:
    """Do `work` with the database; again, for so many seconds (None: PATIENCE), while its server is away."""
    patience = PATIENCE if patience is None else patience
    deadline = time.monotonic() + (0.0 if settings.is_embedded_database else patience)
    while True:
        try:
            with _opened(settings) as database:
                return work(database)
        except DatabaseUnavailable:
            if time.monotonic() >= deadline:
                raise
        time.sleep(PAUSE)


@contextmanager
def _opened(settings: Settings) -> Iterator[Database]:
    """The database with its schema checked, made first if it is empty."""
    database = open_database(settings)
    try:
        ensure_schema(database)
        yield database
    finally:
        database.close()
