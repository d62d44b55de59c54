"""What happens around Celery's worker: a device is claimed before it starts, everything is given back when it ends.

Nothing is opened when this module is imported: only `celery worker` sends `worker_init`.
"""

import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn

from celery import signals

from videval.db import requests, workers
from videval.db.schema import ensure_schema
from videval.db.session import open_database
from videval.errors import BrokerRefuses, BrokerUnavailable, EnvironmentProblem, UsageError, VidevalError
from workers.broker import BrokerUser, reach
from workers.config import CONTROL_QUEUE, SETTINGS
from workers.device import claim_device, parse_devices
from workers.dispatch import Dispatch
from workers.heartbeat import Heartbeat
from workers.ledger import Trouble
from workers.loops import Crowd, Loops
from workers.reconcile import Reconcile
from workers.trial import try_broker
from workers.worker import Worker

__all__ = ["connect", "this_worker"]

log = logging.getLogger(__name__)
ONE_SIGNAL = 0.5
"""Seconds within which several signals are one: a supervisor passes on what its whole group was sent."""
WAITS = "waits: "
"""How a worker's message begins that is about the broker."""
_state: dict[str, Any] = {}
_signals: queue.SimpleQueue[float] = queue.SimpleQueue()
_ending = threading.Lock()


def this_worker() -> Worker:
    """The worker of this process."""
    worker: Worker = _state["worker"]
    return worker


def connect() -> None:
    """Listen to Celery's signals."""
    signals.worker_init.connect(_on_init, weak=False)
    signals.worker_ready.connect(_on_ready, weak=False)
    signals.worker_shutting_down.connect(_on_shutting_down, weak=False)
    signals.worker_shutdown.connect(_on_shutdown, weak=False)


def _give_up(error: VidevalError) -> NoReturn:
    sys.stderr.write(f"videval worker: {error}\n")
    if error.hint:
        sys.stderr.write(f"  -> {error.hint}\n")
    sys.stderr.flush()
    os._exit(error.exit_code)


def _on_init(sender: Any, **kwargs: Any) -> None:
    try:
        _begin(sender)
    except VidevalError as error:
        _give_up(error)
    except OSError as error:
        _give_up(EnvironmentProblem(f"cannot start: {error}", hint="videval doctor"))
    except Exception:  # Celery would log it and go on without a device
        log.exception("the worker could not start")
        os._exit(1)


def _begin(sender: Any) -> None:
    settings = SETTINGS
    if not sender.pool_cls.__module__.endswith(".thread"):  # children of a fork would have no engine
        raise UsageError("a worker's pool is threads, and nothing else", hint="leave out -P / --pool")
    database = open_database(settings, pool_size=2)
    ensure_schema(database)
    held = claim_device(settings.lock_path, parse_devices(settings.devices), patience=2.0)
    _state["broker"] = BrokerUser(settings)
    trouble = _try_broker()
    worker = Worker(settings, database, held)
    database.write(lambda c: workers.register(c, worker.identity))
    dead = database.write(lambda c: workers.predecessors(c, worker.identity))
    database.write(lambda c: requests.expire_workers(c, dead))
    worker.replay_spool()
    if trouble:
        worker.ledger.note(Trouble.BROKER, trouble)
        database.write(lambda c: workers.beat(c, worker.identity.id, worker.pulse()))
    _state["worker"] = worker
    threading.Thread(target=_heed_signals, name="signals", daemon=True).start()
    _state["queues"] = _chosen_queues(sender.options.get("queues") or getattr(sender, "queues", None))
    sender.hostname = worker.identity.name
    if sender.concurrency != worker.concurrency:
        log.warning("-c is not heeded: VIDEVAL_BATCH_SIZE + VIDEVAL_LOOK_AHEAD say how many requests are in hand")
        sender.concurrency = worker.concurrency
    sender.options["without_gossip"] = sender.options["without_mingle"] = True


def _try_broker() -> str | None:
    """Do at once what this worker will do for hours; what passes by itself is waited for, and returned to be said."""
    try:
        try_broker(SETTINGS)
    except BrokerRefuses:
        raise
    except BrokerUnavailable as error:
        log.warning("%s; it is waited for", error)
        return f"{WAITS}{error}"
    return None


def _watch_broker() -> None:
    """Start the embedded broker again if it died, and let people see that work stands still because of the broker."""
    worker: Worker | None = _state.get("worker")
    if worker is None:
        return
    try:
        _state["broker"].ensure()
        reach(SETTINGS, writes=True)
    except BrokerUnavailable as error:
        worker.ledger.note(Trouble.BROKER, f"{WAITS}{error}")
    else:
        worker.ledger.over(Trouble.BROKER)


def _chosen_queues(given: Any) -> frozenset[str] | None:
    """What -Q named; None if it was not given."""
    names = given.split(",") if isinstance(given, str) else given
    return frozenset(str(n).strip() for n in names) if names else None


class _CeleryConsumer:
    """Celery's consumer as the dispatcher sees it; calls run in the consumer's own thread."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer

    def add_queue(self, name: str) -> None:
        self._consumer.call_soon(self._safely, self._consumer.add_task_queue, name)

    def cancel_queue(self, name: str) -> None:
        self._consumer.call_soon(self._safely, self._consumer.cancel_task_queue, name)

    def is_consuming(self, name: str) -> bool:
        tasks = self._consumer.task_consumer
        return tasks is not None and bool(tasks.consuming_from(name))

    def _safely(self, step: Callable[[str], None], name: str) -> None:
        """What fails here would end Celery's loop; a broker that is away is reconnected to by Celery itself."""
        try:
            step(name)
        except Exception as error:  # noqa: BLE001
            log.warning("queue %s: %s: %s", name, type(error).__name__, error)

    def shutdown(self) -> None:
        """Warm shutdown, as SIGTERM does."""
        from celery.worker import state

        state.should_stop = os.EX_OK


def _on_ready(sender: Any, **kwargs: Any) -> None:
    consumer, queues = _CeleryConsumer(sender), _state["queues"]
    for name in queues or ():  # consumed as soon as the model is there
        consumer.cancel_queue(name)
    worker, crowd = this_worker(), Crowd()
    heartbeat = Heartbeat(worker, consumer)
    reconcile = Reconcile(worker, crowd, ensure_broker=_watch_broker)
    dispatch = Dispatch(worker, consumer, crowd, queues=queues, on_change=heartbeat.wake)
    loops = Loops(heartbeat, reconcile, dispatch, on_outage=reconcile.after_outage)
    _state["loops"] = loops
    loops.start()
    log.info("%s is ready (control queue %s)", this_worker().identity.name, CONTROL_QUEUE)


def _on_shutting_down(sender: Any = None, **kwargs: Any) -> None:
    """First signal: drain. A later one: now. This runs inside a signal handler, perhaps inside another one: it starts
    no thread and takes no lock."""
    if threading.current_thread() is threading.main_thread():
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):  # Celery's own cannot end threads
            signal.signal(name, lambda *_: _signals.put(time.monotonic()))
    _signals.put(time.monotonic())


def _heed_signals() -> None:
    first = _signals.get()
    if worker := _state.get("worker"):
        worker.drain()
    while _signals.get() - first < ONE_SIGNAL:
        pass
    _leave_now()


def _leave_now() -> None:
    _on_shutdown()
    os._exit(0)


def _on_shutdown(**kwargs: Any) -> None:
    """Give everything back, once; who comes second waits, so that the process does not end half way."""
    with _ending:
        if loops := _state.pop("loops", None):
            loops.stop()
        if worker := _state.pop("worker", None):
            worker.close()
        if broker := _state.pop("broker", None):
            broker.leave()
