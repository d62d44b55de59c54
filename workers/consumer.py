"""Celery's consumer, with patience for a Redis that is there and refuses (full, a replica, starting)."""

import logging
import time

import redis
from celery.worker.consumer import Consumer

from workers.address import broker_address
from workers.config import SETTINGS
from workers.reasons import TROUBLE, explain

__all__ = ["PatientConsumer"]

log = logging.getLogger(__name__)
PAUSE = 2.0
"""Seconds until a Redis that refused is asked again; one that was away is looked for by Celery itself."""
TELL_TRACEBACKS = ("celery.worker.loops", "celery.worker.request", "celery.worker.consumer.consumer")
"""Celery's loggers that add one to what Redis said: when messages cannot be acknowledged, when the connection goes."""


class _InALine(logging.Filter):
    """An error of Redis, or of the way to it, is a line of the log and no traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let everything pass."""
        if record.exc_info and isinstance(record.exc_info[1], TROUBLE):
            record.exc_info = None
        return True


for name in TELL_TRACEBACKS:
    logging.getLogger(name).addFilter(_InALine())


class PatientConsumer(Consumer):
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
