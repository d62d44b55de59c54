"""Celery's configuration: the one module that reads Settings at import.

One configuration for workers, commands and dashboard, since the shortest visibility timeout of any client on a
broker wins. No result backend: answers are rows.
"""

from videval.settings import Settings

SETTINGS = Settings()
CONTROL_QUEUE = "videval.control"
PRIORITY_STEPS = [0, 3, 6, 9]

broker_url = SETTINGS.broker
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
broker_transport_options = {
    "visibility_timeout": SETTINGS.visibility_timeout,
    "priority_steps": PRIORITY_STEPS,
    "queue_order_strategy": "priority",
    "socket_timeout": 30,
    "socket_connect_timeout": 10,
}

task_serializer = "json"
accept_content = ["json"]
task_ignore_result = True
task_acks_late = True
task_default_queue = CONTROL_QUEUE

worker_pool = "threads"
worker_concurrency = SETTINGS.batch_size + SETTINGS.look_ahead
worker_prefetch_multiplier = 1
worker_send_task_events = False
worker_cancel_long_running_tasks_on_connection_loss = False
worker_redirect_stdouts = False
