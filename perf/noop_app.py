"""A Celery application whose one task does nothing, set up as videval's own is: what a message costs at least."""

import os

from celery import Celery

app = Celery("noop", broker=os.environ["NOOP_BROKER"])
app.conf.update(
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    task_acks_late=True,
    task_default_queue="noop",
    worker_pool="threads",
    worker_concurrency=3,
    worker_prefetch_multiplier=1,
    worker_send_task_events=False,
    worker_redirect_stdouts=False,
    broker_transport_options={"priority_steps": [0, 3, 6, 9], "queue_order_strategy": "priority"},
)


@app.task(name="noop.noop")
def noop(request_id: int) -> None:
    """Do nothing."""
