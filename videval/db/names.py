"""The names of runs for a TAB: without SQLAlchemy, whose import takes longer than a person waits."""

from contextlib import closing

__all__ = ["run_names"]

NEWEST = "SELECT name FROM runs ORDER BY id DESC LIMIT 200"
PATIENCE = 1.0
"""Seconds that a lock or a server is waited for."""


def run_names(url: str) -> list[str]:
    """The names of the newest runs of the database at this URL; whatever its driver raises if it cannot be read."""
    if url.startswith("sqlite:///"):
        import sqlite3

        path = url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=PATIENCE)) as connection:
            return [name for (name,) in connection.execute(NEWEST)]
    import psycopg

    plain = f"postgresql://{url.partition('://')[2]}"
    with psycopg.connect(plain, connect_timeout=2, autocommit=True) as server:
        return [str(row[0]) for row in server.execute(NEWEST)]
