"""A client of the broker, and whether that answers."""

import redis

from videval.errors import BrokerUnavailable
from videval.settings import Settings
from workers.address import broker_address
from workers.reasons import TROUBLE, explain

__all__ = ["broker_client", "ping", "reach"]


def broker_client(settings: Settings) -> redis.Redis:
    """A client of the broker that these settings use."""
    return redis.Redis.from_url(broker_address(settings).client, socket_timeout=5, socket_connect_timeout=5)


def ping(settings: Settings) -> bool:
    """Whether the broker answers."""
    try:
        reach(settings)
    except BrokerUnavailable:
        return False
    return True


def reach(settings: Settings, *, writes: bool = False) -> None:
    """Raise BrokerUnavailable, with what Redis said and what mends it, unless the broker answers; `writes`: and takes
    something."""
    address = broker_address(settings)
    try:
        with broker_client(settings) as client:
            client.ping()
            if writes:
                client.set("videval.takes-writes", "", ex=60)
    except TROUBLE as error:
        raise explain(error, address.shown) from error
