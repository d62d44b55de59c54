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
from dataclasses import dataclass
from typing import Any, NoReturn

import click
from celery import signals
from click.core import ParameterSource

from videval.db import requests, workers
from videval.db.schema import ensure_schema
from videval.db.session import open_database
from videval.errors import BrokerRefuses, BrokerUnavailable, EnvironmentProblem, UsageError, VidevalError
from workers.broker import BrokerUser
from workers.client import reach
from workers.config import CONTROL_QUEUE, SETTINGS
from workers.consumer import Steering
from workers.device import parse_devices
from workers.dispatch import Dispatch
from workers.engine import Engine
from workers.heartbeat import Heartbeat
from workers.ledger import Trouble
from workers.locks import claim_device
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
REFUSED = {
    "pool": "-P / --pool",
    "concurrency": "-c / --concurrency",
    "autoscale": "--autoscale",
    "prefetch_multiplier": "--prefetch-multiplier",
    "disable_prefetch": "--disable-prefetch",
}
"""Options of `celery worker` that say how many requests are in hand, by their names in it."""


@dataclass(kw_only=True)
class _Life:
    """What this process has to give back when it ends; `queues`: what -Q named, None if it was not given."""

    broker: BrokerUser | None = None
    worker: Worker | None = None
    loops: Loops | None = None
    queues: frozenset[str] | None = None


_life = _Life()
_signals: queue.SimpleQueue[float] = queue.SimpleQueue()
_ending = threading.Lock()


def this_worker() -> Worker:
    """The worker of this process."""
    assert _life.worker is not None, "a task came before the worker was there"
    return _life.worker


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
    _refuse_options()
    database = open_database(settings, pool_size=2)
    ensure_schema(database)
    held = claim_device(settings.lock_path, parse_devices(settings.devices), patience=2.0)
    engine = Engine(settings, held.device, keep_fds=held.fds)
    engine.prepare()
    _life.broker = BrokerUser(settings)
    trouble = _try_broker()
    worker = Worker(settings, database, held, engine=engine)
    database.write(workers.register, worker.identity)
    dead = database.write(workers.predecessors, worker.identity)
    database.write(requests.expire_workers, dead)
    worker.replay_spool()
    if trouble:
        worker.ledger.note(Trouble.BROKER, trouble)
        database.write(workers.beat, worker.identity.id, worker.pulse())
    _life.worker = worker
    threading.Thread(target=_heed_signals, name="signals", daemon=True).start()
    _life.queues = _chosen_queues(sender.options.get("queues") or getattr(sender, "queues", None))
    sender.hostname = worker.identity.name
    sender.concurrency = worker.places
    sender.options["without_gossip"] = sender.options["without_mingle"] = True


def _refuse_options() -> None:
    """How many requests are in hand follows the model that is loaded; an option that says otherwise would be heeded
    by half."""
    command = click.get_current_context(silent=True)
    given = [
        option
        for name, option in REFUSED.items()
        if command is not None
        and command.get_parameter_source(name) not in (None, ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)
    ]
    if given:
        raise UsageError(
            f"{' and '.join(given)}: a worker has threads, as many as its model takes requests and some look-ahead",
            hint=f"leave out {', '.join(given)}; VIDEVAL_BATCH_SIZE and VIDEVAL_LOOK_AHEAD say how many",
        )


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
    worker, broker = _life.worker, _life.broker
    if worker is None or broker is None:
        return
    try:
        broker.ensure()
        reach(SETTINGS, writes=True)
    except BrokerUnavailable as error:
        worker.ledger.note(Trouble.BROKER, f"{WAITS}{error}")
    else:
        worker.ledger.over(Trouble.BROKER)


def _chosen_queues(given: Any) -> frozenset[str] | None:
    """What -Q named; None if it was not given."""
    names = given.split(",") if isinstance(given, str) else given
    return frozenset(str(n).strip() for n in names) if names else None


def _on_ready(sender: Any, **kwargs: Any) -> None:
    worker, consumer = this_worker(), Steering(sender)
    for name in _life.queues or ():  # consumed as soon as the model is there
        consumer.cancel_queue(name)
    worker.on_places = consumer.resize
    worker.say_places()
    crowd, heartbeat = Crowd(), Heartbeat(worker, consumer)
    reconcile = Reconcile(worker, crowd, ensure_broker=_watch_broker)
    dispatch = Dispatch(worker, consumer, crowd, queues=_life.queues, on_change=heartbeat.wake)
    _life.loops = Loops(heartbeat, reconcile, dispatch, on_outage=reconcile.after_outage)
    _life.loops.start()
    log.info("%s is ready (control queue %s)", worker.identity.name, CONTROL_QUEUE)


def _on_shutting_down(sender: Any = None, **kwargs: Any) -> None:
    """First signal: drain. A later one: now. This runs inside a signal handler, perhaps inside another one: it starts
    no thread and takes no lock."""
    if threading.current_thread() is threading.main_thread():
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):  # Celery's own cannot end threads
            signal.signal(name, lambda *_: _signals.put(time.monotonic()))
    _signals.put(time.monotonic())


def _heed_signals() -> None:
    first = _signals.get()
    if _life.worker is not None:
        _life.worker.drain()
    while _signals.get() - first < ONE_SIGNAL:
        pass
    _leave_now()


def _leave_now() -> None:
    _give_back()
    os._exit(0)


def _on_shutdown(**kwargs: Any) -> None:
    """Celery's tasks are over. Siblings that have none are finished too, while leases are renewed as ever."""
    if (worker := _life.worker) is not None:
        worker.drain()
        worker.hand.wait_until_empty()
    _give_back()


def _give_back() -> None:
    """Give everything back, once; who comes second waits, so that the process does not end half way."""
    with _ending:
        loops, worker, broker = _life.loops, _life.worker, _life.broker
        _life.loops = _life.worker = _life.broker = None
        if loops is not None:
            loops.stop()
        if worker is not None:
            worker.close()
        if broker is not None:
            broker.leave()
