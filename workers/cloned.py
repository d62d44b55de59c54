"""A worker as a clone of the template: what is imported here is imported once for all workers of a machine.

Only modules that read no settings are; the few others each clone imports when it knows its own.
"""

from importlib import import_module

from workers import __main__

__all__ = ["main"]

SHARED = (
    "billiard.pool",
    "celery.app.amqp",
    "celery.app.control",
    "celery.app.events",
    "celery.app.log",
    "celery.apps.worker",
    "celery.bin.worker",
    "celery.concurrency.thread",
    "celery.fixups.django",
    "celery.loaders.app",
    "celery.worker.autoscale",
    "celery.worker.components",
    "celery.worker.consumer.delayed_delivery",
    "celery.worker.strategy",
    "kombu.transport.redis",
    "migrations",
    "numpy.ma",
    "sqlite3",
    "videval.benchmarks.table",
    "videval.scorers.choice",
    "workers.broker",
    "workers.decoder_process",
    "workers.dispatch",
    "workers.engine.process",
    "workers.heartbeat",
    "workers.reconcile",
    "workers.trial",
    "workers.worker",
)
for name in SHARED:
    import_module(name)


def main() -> None:
    """Be a worker."""
    __main__.main()
