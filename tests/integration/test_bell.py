"""The bell: kombu and Celery take what is rung for as their own, and ringing needs neither of them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection, Message, Queue

from tests.servers import settings_for
from videval.db.queue import Ring
from videval.errors import BrokerUnavailable
from videval.settings import Settings
from workers import broker, config, tasks
from workers.address import broker_address
from workers.bell import AT_ONCE, TASK, queue_length, queue_lengths, queue_name, ring
from workers.celery_app import Bell, app

IDS = ("id", "root_id", "correlation_id", "delivery_tag")
NAME = queue_name("d", "k")


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    made = settings_for(tmp_path)
    with broker.using(made):
        yield made


@pytest.fixture
def connection(settings: Settings) -> Iterator[Connection]:
    options = config.broker_transport_options
    with Connection(broker_address(settings).celery, transport_options=options) as opened:
        yield opened


def rings(*ids: int, priority: int = 0) -> list[Ring]:
    return [Ring(request_id=i, load_key="k", priority=priority) for i in ids]


def lists(settings: Settings) -> dict[str, list[Any]]:
    """What lies in Redis, ids left out."""
    with broker.broker_client(settings) as client:
        found = {name.decode(): client.lrange(name, 0, -1) for name in client.keys("videval.d.*")}
    return {name: [without_ids(json.loads(text)) for text in texts] for name, texts in found.items()}


def without_ids(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    return {key: without_ids(value) for key, value in message.items() if key not in IDS}


@pytest.mark.parametrize(("priority", "of_redis"), [(2, 0), (1, 3), (0, 6), (-1, 9)])
def test_a_message_is_what_celery_and_kombu_would_have_sent(
    settings: Settings, connection: Connection, priority: int, of_redis: int
) -> None:
    ring(settings, rings(41, priority=priority), known_as="d")
    mine = lists(settings)
    with broker.broker_client(settings) as client:
        client.delete(*mine)
    task = app.amqp.as_task_v2("an id", TASK, args=(41,), kwargs={})
    with app.amqp.Producer(connection) as producer:
        producer.publish(
            task.body,
            exchange="",
            routing_key=NAME,
            headers=task.headers,
            priority=of_redis,
            serializer="json",
            **task.properties,
        )
    assert mine == lists(settings)


def test_each_message_has_ids_of_its_own(settings: Settings) -> None:
    ring(settings, rings(7, 7), known_as="d")
    with broker.broker_client(settings) as client:
        (name,) = client.keys("videval.d.*")
        one, two = (json.loads(text) for text in client.lrange(name, 0, -1))
    assert one["headers"]["id"] == one["headers"]["root_id"] == one["properties"]["correlation_id"]
    assert one["headers"]["id"] != two["headers"]["id"]
    assert one["properties"]["delivery_tag"] != two["properties"]["delivery_tag"]


def heard(connection: Connection, count: int) -> list[Message]:
    messages: list[Message] = []
    consumer = connection.Consumer(Queue(NAME), callbacks=[lambda body, message: messages.append(message)])
    with consumer:
        while len(messages) < count:
            connection.drain_events(timeout=10)
    return messages


def test_what_is_urgent_is_heard_first_and_the_rest_in_the_order_of_ringing(
    settings: Settings, connection: Connection
) -> None:
    ring(settings, [*rings(1, 2, 3), *rings(4, priority=2), *rings(5, priority=-1)], known_as="d")
    assert [json.loads(m.body)[0] for m in heard(connection, 5)] == [[4], [1], [2], [3], [5]]


def test_celery_makes_a_bell_of_it_that_names_the_request(settings: Settings, connection: Connection) -> None:
    ring(settings, rings(42), known_as="d")
    (message,) = heard(connection, 1)
    bell = Bell(message, app=app, task=tasks.app.tasks[TASK])
    assert (bell.name, bell.args, bell.kwargs, bell.eta) == (TASK, [42], {}, None)
    assert bell.id == message.headers["id"]


def test_more_than_one_command_full_is_sent_in_order(settings: Settings) -> None:
    count = AT_ONCE * 2 + 1
    ring(settings, rings(*range(count)), known_as="d")
    assert queue_length(settings, NAME) == count
    ((_, messages),) = lists(settings).items()
    assert [m["headers"]["argsrepr"] for m in messages[::-1]] == [f"({i},)" for i in range(count)]


def test_lengths_are_counted_over_all_priorities_and_each_queue_for_itself(settings: Settings) -> None:
    ring(settings, [*rings(1, 2), *rings(3, priority=2), Ring(request_id=4, load_key="b", priority=-1)], known_as="d")
    other, empty = queue_name("d", "b"), queue_name("e", "k")
    assert queue_lengths(settings, [NAME, other, empty]) == {NAME: 3, other: 1, empty: 0}


def test_a_broker_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(BrokerUnavailable):
        ring(settings_for(tmp_path / "nobody"), rings(1), known_as="d")


def test_ringing_loads_no_celery() -> None:
    code = "import sys; import workers.publish; sys.exit(bool({'celery', 'kombu.connection'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
