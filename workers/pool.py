"""Celery's thread pool, as wide as its worker has places at the moment."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from celery.concurrency.thread import TaskPool

from workers.hand import MOST_THREADS

__all__ = ["Places"]


class Places(TaskPool):
    """Threads are started when they are needed. How many are busy, the consumer's prefetch window decides: it is set
    together with `limit`, which is what Celery says of the pool."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.executor = ThreadPoolExecutor(max_workers=MOST_THREADS, thread_name_prefix="request")

    def resize(self, places: int) -> None:
        """Have so many places from now on."""
        self.limit = places
