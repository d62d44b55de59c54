"""doctor, db, broker: what a machine needs to work."""

from typing import TYPE_CHECKING, Annotated

import typer

from videval.cli.console import opened, say, settings_with
from videval.errors import UsageError

if TYPE_CHECKING:
    from videval.settings import Settings

__all__ = [
    "broker_start",
    "broker_status",
    "broker_stop",
    "db_downgrade",
    "db_status",
    "db_upgrade",
    "doctor_command",
]


def doctor_command() -> None:
    """Say what is configured, reachable and missing.

    Each with the line that mends it; exit 0 if a run could start.
    """
    from videval.cli import doctor

    doctor.doctor_command()


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


def broker_start(
    keep: Annotated[bool, typer.Option("--keep", help="also when nobody uses it")] = False,
) -> None:
    """Start the embedded Redis, if it does not run."""
    from workers import broker

    settings = settings_with()
    broker.ensure(settings)
    if keep and settings.is_embedded_broker:
        broker.pin(settings)
    _say_broker(settings)


def broker_status() -> None:
    """Say whether the broker answers; exit 3 if not."""
    from workers import broker

    settings = settings_with()
    if settings.is_embedded_broker and not broker.ping(settings):
        say("no broker answers; it is started when needed")
        raise typer.Exit(3)
    broker.reach(settings)
    _say_broker(settings)


def _say_broker(settings: "Settings") -> None:
    from workers import broker
    from workers.address import broker_address

    if settings.is_embedded_broker:
        pinned = ", stays when nobody uses it" if broker.is_pinned(settings) else ", ends when nobody uses it"
        say(f"embedded Redis answers at {settings.broker_socket}{pinned}")
    else:
        say(f"Redis answers at {broker_address(settings).shown}")


def broker_stop() -> None:
    """Stop the embedded Redis; the rows hold what it held."""
    from workers import broker

    settings = settings_with()
    if not settings.is_embedded_broker:
        raise UsageError("this broker is not ours to stop", hint="it is the one of VIDEVAL_BROKER_URL")
    say("stopped" if broker.stop(settings) else "none ran")
