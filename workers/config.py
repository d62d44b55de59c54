"""Celery's configuration: the one module that reads Settings at import.

No result backend: answers are rows. No receipts: Redis forgets a message when a worker takes it, since rows say what is
to be done, and a bell that was heard by a worker which then died is rung again by reconcile.
"""

from videval.settings import Settings
from workers.address import broker_address
from workers.bell import PRIORITY_STEPS

SETTINGS = Settings()
CONTROL_QUEUE = "videval.control"

broker_url = broker_address(SETTINGS).celery
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
broker_channel_error_retry = True  # a full Redis, or one that refuses, is waited for like one that is away
broker_transport_options = {
    "priority_steps": PRIORITY_STEPS,
    "queue_order_strategy": "priority",
    "ack_emulation": False,  # two of three round trips for each message
    "socket_timeout": 30,
    "socket_connect_timeout": 10,
}

task_serializer = "json"
accept_content = ["json"]
task_ignore_result = True
task_acks_late = True
task_default_queue = CONTROL_QUEUE

worker_consumer = "workers.consumer:PatientConsumer"
worker_pool = "workers.pool:Places"
worker_concurrency = 1  # until a model is loaded: then the pool and the prefetch window are as large as it wants
worker_prefetch_multiplier = 1
worker_send_task_events = False
worker_cancel_long_running_tasks_on_connection_loss = False
worker_redirect_stdouts = False
