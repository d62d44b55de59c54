"""Rings the bell: one Celery message per request, sent in pipelines. It carries a request id and nothing else."""

import hashlib
import uuid
from collections.abc import Iterator, Mapping, Sequence

from videval.db import queue
from videval.db.identity import database_id
from videval.db.queue import Ring
from videval.db.session import Database
from videval.settings import Settings
from workers.address import broker_address
from workers.broker import broker_client
from workers.reasons import TROUBLE, explain

__all__ = ["PRIORITY_STEPS", "publish_due", "publish_run", "queue_length", "queue_name", "ring"]

CHUNK = 2000
PRIORITY_STEPS = [0, 3, 6, 9]
TASK = "videval.answer"


def queue_name(known_as: str, load_key: str) -> str:
    """The queue of a load key in a database, `known_as` its id: two fleets on one Redis do not hear each other."""
    return f"videval.{known_as}.{hashlib.sha256(load_key.encode()).hexdigest()[:12]}"


def _redis_priority(priority: int) -> int:
    """Redis serves 0 first; people say that a higher priority is more urgent, and 0 is normal."""
    return 0 if priority >= 2 else 3 if priority == 1 else 6 if priority == 0 else 9


def ring(rings: Sequence[Ring], *, known_as: str) -> None:
    """Send one message per request; BrokerUnavailable if Redis is gone (some may have been sent: harmless)."""
    from workers.config import SETTINGS
    from workers.tasks import app

    if not rings:
        return
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=2, interval_start=0.2)
            with app.amqp.Producer(connection) as producer, producer.batch(max_size=500):
                for r in rings:
                    message = app.amqp.as_task_v2(str(uuid.uuid4()), TASK, args=(r.request_id,), kwargs={})
                    producer.publish(
                        message.body,
                        exchange="",
                        routing_key=queue_name(known_as, r.load_key),
                        headers=message.headers,
                        priority=_redis_priority(r.priority),
                        serializer="json",
                        **message.properties,
                    )
    except TROUBLE as error:
        raise explain(error, broker_address(SETTINGS).shown) from error


def publish_run(database: Database, run_id: int) -> Iterator[int]:
    """Ring for every request of a run that nobody rang for; yields how many so far."""
    sent, after, known_as = 0, 0, database_id(database)
    while True:
        with database.read() as connection:
            rings = queue.pending_of_run(connection, run_id, after=after, limit=CHUNK)
        if not rings:
            return
        ring(rings, known_as=known_as)
        ids = [r.request_id for r in rings]
        database.write(lambda c, ids=ids: queue.mark_published(c, ids))  # type: ignore[misc]
        sent, after = sent + len(rings), rings[-1].request_id
        yield sent


def queue_length(settings: Settings, name: str) -> tuple[int, int]:
    """How many messages wait in a queue, and how many of any queue workers hold; BrokerUnavailable if Redis is
    gone."""
    try:
        with broker_client(settings) as client, client.pipeline(transaction=False) as pipe:
            for step in PRIORITY_STEPS:
                pipe.llen(f"{name}\x06\x16{step}" if step else name)
            pipe.hlen("unacked")
            *waiting, held = pipe.execute()
            return sum(waiting), held
    except TROUBLE as error:
        raise explain(error, broker_address(settings).shown) from error


def publish_due(settings: Settings, database: Database, low_water: Mapping[str, int]) -> int:
    """Ring again for requests whose bell may be lost: for each load key whose queue holds less than its `low_water`.

    A Redis that holds nothing at all (flushed, started again) has lost every bell: there is nothing to wait for.
    Returns how many were rung for.
    """
    known_as = database_id(database)
    lengths = {key: queue_length(settings, queue_name(known_as, key)) for key in low_water}
    is_empty = not any(waiting or held for waiting, held in lengths.values())
    patience = min(1.0, settings.republish) if is_empty else settings.republish
    rung = 0
    for key, (waiting, _) in lengths.items():
        room = low_water[key] - waiting
        while room > 0:
            with database.read() as connection:
                rings = queue.due(connection, key, patience=patience, limit=min(room, CHUNK))
            if not rings:
                break
            ring(rings, known_as=known_as)
            ids = [r.request_id for r in rings]
            database.write(lambda c, ids=ids: queue.mark_published(c, ids))  # type: ignore[misc]
            room, rung = room - len(rings), rung + len(rings)
    return rung
