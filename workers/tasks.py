"""The Celery application and its one task: ids in, rows out."""

import logging

from celery import Celery

from workers import lifecycle
from workers.publish import TASK

__all__ = ["answer", "app"]

log = logging.getLogger(__name__)
app = Celery("videval")
app.config_from_object("workers.config")


@app.task(name=TASK)  # type: ignore[untyped-decorator]
def answer(request_id: int) -> None:
    """Answer one request. A message can at worst name a request that exists; whatever else it says is ignored."""
    if isinstance(request_id, bool) or not isinstance(request_id, int):
        log.warning("ignored a message that is not about a request id")
        return
    lifecycle.this_worker().answer(request_id)


lifecycle.connect()
