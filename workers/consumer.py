"""Celery's consumer: patient with a Redis that is there and refuses (full, a replica, starting), and steered by the
dispatcher while it runs."""

import logging
import os
import time
from collections.abc import Callable
from typing import Any, TypeVarTuple

import redis
from celery.worker import state
from celery.worker.consumer import Consumer

from workers.address import broker_address
from workers.config import SETTINGS
from workers.reasons import TROUBLE, explain

__all__ = ["PatientConsumer", "Steering"]

log = logging.getLogger(__name__)
Ts = TypeVarTuple("Ts")
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


class Steering:
    """Celery's consumer as the dispatcher sees it; what is asked of it is done in the consumer's own thread.

    That thread does in any order what was asked for meanwhile, perhaps minutes later when Redis is back: so each step
    does what was asked for last.
    """

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._wanted: dict[str, bool] = {}
        self._places = 1

    def add_queue(self, name: str) -> None:
        """Consume a queue from now on."""
        self._wanted[name] = True
        self._soon(self._settle, name)

    def cancel_queue(self, name: str) -> None:
        """Consume it no more; its messages stay."""
        self._wanted[name] = False
        self._soon(self._settle, name)

    def is_consuming(self, name: str) -> bool:
        """Whether it is consumed now."""
        tasks = self._consumer.task_consumer
        return tasks is not None and bool(tasks.consuming_from(name))

    def resize(self, places: int) -> None:
        """Take so many messages at once from now on, also after the next connection to Redis."""
        self._places = places
        self._soon(self._resize)

    def shutdown(self) -> None:
        """Warm shutdown, as SIGTERM does."""
        state.should_stop = os.EX_OK

    def _settle(self, name: str) -> None:
        consumer = self._consumer
        (consumer.add_task_queue if self._wanted[name] else consumer.cancel_task_queue)(name)

    def _resize(self) -> None:
        consumer, places = self._consumer, self._places
        consumer.pool.resize(places)
        consumer.initial_prefetch_count = places
        if consumer.qos is not None:
            consumer.qos.value = places
            consumer.qos.update()

    def _soon(self, step: Callable[[*Ts], None], *args: *Ts) -> None:
        self._consumer.call_soon(self._safely, step, *args)

    def _safely(self, step: Callable[[*Ts], None], *args: *Ts) -> None:
        """What fails here would end Celery's loop; a broker that is away is reconnected to by Celery itself."""
        try:
            step(*args)
        except Exception as error:  # noqa: BLE001
            log.warning("%s%r: %s: %s", getattr(step, "__name__", step), args, type(error).__name__, error)
