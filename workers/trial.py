"""Does with the broker what commands and workers will do with it: sends, receives, acknowledges, listens to control."""

import queue
import uuid
from typing import Any

import kombu

from videval.errors import BrokerUnavailable
from videval.settings import Settings
from workers.address import broker_address
from workers.client import broker_client
from workers.reasons import TROUBLE, explain

__all__ = ["memory_risk", "try_broker"]

PATIENCE = 5.0
WAITS = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}


def try_broker(settings: Settings) -> None:
    """Send a message to a scratch queue, take it, and subscribe as a worker does; nothing of it stays.

    Raises BrokerUnavailable with what Redis said and what mends it.
    """
    address = broker_address(settings)
    try:
        with kombu.Connection(address.celery, transport_options=WAITS) as connection:
            _ring_and_hear(connection)
        with broker_client(settings) as client:
            _listen_to_control(client)
    except TROUBLE as error:
        raise explain(error, address.shown) from error
    except queue.Empty as error:
        raise BrokerUnavailable(
            f"Redis at {address.shown} loses messages", hint="is it full, or behind a proxy?"
        ) from error


def _ring_and_hear(connection: kombu.Connection) -> None:
    with connection.SimpleQueue(f"videval.doctor.{uuid.uuid4().hex}") as scratch:
        try:
            scratch.put("bell")
            scratch.get(timeout=PATIENCE).ack()
        finally:
            scratch.queue.delete()


def _listen_to_control(client: Any) -> None:
    """What Celery does for `celery inspect` and `celery control`."""
    database = client.connection_pool.connection_kwargs.get("db") or 0
    with client.pubsub() as channel:
        channel.psubscribe(f"/{database}.celery.pidbox")
        channel.get_message(timeout=PATIENCE)
    client.publish(f"/{database}.videval.doctor", "")


def memory_risk(settings: Settings) -> str:
    """What may happen to messages when Redis is full; empty if it says nothing of it, or only refuses new ones."""
    try:
        with broker_client(settings) as client:
            memory = client.info("memory")
    except TROUBLE:
        return ""
    policy = str(memory.get("maxmemory_policy", "noeviction"))
    if policy == "noeviction":
        return ""
    return f"maxmemory-policy {policy} throws messages away when memory is short"
