"""Celery's consumer, with patience for a Redis that is there and refuses (full, a replica, starting)."""

import logging
import time

import redis
from celery.worker.consumer import Consumer

from workers.address import broker_address
from workers.config import SETTINGS
from workers.reasons import explain

__all__ = ["PatientConsumer"]

log = logging.getLogger(__name__)
PAUSE = 2.0
"""Seconds until a Redis that refused is asked again; one that was away is looked for by Celery itself."""


class PatientConsumer(Consumer):  # type: ignore[misc]
    """Says what Redis said and what mends it, and does not ask again at once."""

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """No connection came about; Celery tries again when this returns."""
        self._say(exc)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Give the connection up; Celery makes a new one when this returns."""
        super().on_connection_error_after_connected(exc)
        self._say(exc)

    def _say(self, exc: Exception) -> None:
        said = explain(exc, broker_address(SETTINGS).shown)
        log.warning("%s -> %s", said, said.hint)
        if isinstance(exc, redis.ResponseError):
            time.sleep(PAUSE)
