"""What the dispatcher asks of Celery's consumer: the loop runs what was asked meanwhile in any order it likes."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from workers.consumer import Steering


class Consumer:
    """Celery's, its loop standing still until `loop` is called."""

    def __init__(self) -> None:
        self.asked: list[Callable[[], None]] = []
        self.queues: set[str] = set()
        self.initial_prefetch_count = 1
        self.pool = SimpleNamespace(limit=1)
        self.pool.resize = lambda places: setattr(self.pool, "limit", places)
        self.qos = SimpleNamespace(value=1, update=lambda: None)

    def call_soon(self, step: Callable[..., None], *args: object) -> None:
        self.asked.append(lambda: step(*args))

    def add_task_queue(self, name: str) -> None:
        self.queues.add(name)

    def cancel_task_queue(self, name: str) -> None:
        self.queues.discard(name)

    def loop(self, *, backwards: bool) -> None:
        """kombu keeps what it is to do soon in a set."""
        for step in reversed(self.asked) if backwards else self.asked:
            step()


@pytest.mark.parametrize("backwards", [False, True])
def test_of_several_sizes_the_one_that_was_asked_for_last_holds(backwards: bool) -> None:
    consumer = Consumer()
    steering = Steering(consumer)
    steering.resize(2)
    steering.resize(66)
    consumer.loop(backwards=backwards)
    assert (consumer.pool.limit, consumer.initial_prefetch_count, consumer.qos.value) == (66, 66, 66)


@pytest.mark.parametrize("backwards", [False, True])
def test_a_queue_is_consumed_or_not_as_was_asked_for_last(backwards: bool) -> None:
    """A broker was away while the worker changed to another model and back."""
    consumer = Consumer()
    steering = Steering(consumer)
    for step in (steering.add_queue, steering.cancel_queue, steering.add_queue):
        step("back again")
    for step in (steering.add_queue, steering.cancel_queue):
        step("left")
    consumer.loop(backwards=backwards)
    assert consumer.queues == {"back again"}
