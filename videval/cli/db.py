"""db upgrade, db status, db downgrade: the database's schema."""

from typing import Annotated

import typer

from videval.cli.console import opened, say
from videval.errors import UsageError

__all__ = ["db_downgrade", "db_status", "db_upgrade"]


def db_upgrade() -> None:
    """Bring the schema to this version."""
    from videval.db import schema

    with opened(create=False) as database:
        before = schema.current(database)
        schema.upgrade(database)
        now = schema.current(database)
        say(f"{database.url}: " + (f"already at {now}" if now == before else f"schema {before or 'none'} -> {now}"))


def db_status() -> None:
    """Say which schema the database has; exit 3 if it is not this version's."""
    from videval.db import schema

    with opened(create=False) as database:
        say(f"{database.url}: schema {schema.current(database) or 'none'}, this videval: {schema.head()}")
        schema.check(database)


def db_downgrade(
    revision: Annotated[str, typer.Argument(help="a schema version, or base")],
    yes: Annotated[bool, typer.Option("--yes", help="really: rows may be lost")] = False,
) -> None:
    """Take the schema back; rows may be lost, so that it asks for --yes."""
    from videval.db import schema

    if not yes:
        raise UsageError("this may drop rows", hint="videval db downgrade REVISION --yes")
    with opened(create=False) as database:
        schema.downgrade(database, revision)
        say(f"{database.url}: schema {schema.current(database) or 'none'}")
