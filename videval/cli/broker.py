"""broker start, broker status, broker stop: the embedded Redis."""

from typing import TYPE_CHECKING, Annotated

import typer

from videval.cli.console import say, settings_with
from videval.errors import UsageError

if TYPE_CHECKING:
    from videval.settings import Settings

__all__ = ["broker_start", "broker_status", "broker_stop"]


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
