"""The one Celery task: ids in, rows out."""

import logging

from workers import lifecycle
from workers.bell import TASK
from workers.celery_app import Bell, app

__all__ = ["answer", "app"]

log = logging.getLogger(__name__)
LARGEST_ID = 2**31 - 1
"""That the database has a number for."""


def answer(request_id: int) -> None:
    """Hear the bell of one request. A message can at worst name one that exists; whatever else it says is ignored."""
    if isinstance(request_id, bool) or not isinstance(request_id, int) or abs(request_id) > LARGEST_ID:
        log.warning("ignored a message that is not about a request id")
        return
    lifecycle.this_worker().answer(request_id)


app.task(name=TASK, Request=Bell)(answer)
lifecycle.connect()
