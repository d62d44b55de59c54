"""What signals ask of a fleet that is told to end."""

import os
import signal
import time
from collections.abc import Iterator
from typing import cast

import pytest

from videval.cli.fleet import _end, _Stop
from workers.fleet import Fleet


@pytest.fixture
def stop() -> Iterator[_Stop]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield _Stop()
    for number, handler in before.items():
        signal.signal(number, handler)


class SlowFleet:
    """A fleet that ends when it is killed; while it is waited for somebody presses Ctrl-C."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def drain(self) -> None:
        self.told.append("drain")

    def signal(self, number: int) -> None:
        self.told.append(signal.Signals(number).name)

    def wait(self, patience: float) -> bool:
        told = list(self.told)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0)
        assert self.told == told, "a signal came in the midst of this, and was passed on in the midst of it"
        return "SIGKILL" in self.told


def test_the_second_signal_ends_it_now_and_the_third_kills_it_but_never_in_the_midst_of_a_look(stop: _Stop) -> None:
    fleet = SlowFleet()
    os.kill(os.getpid(), signal.SIGTERM)
    _end(cast("Fleet", fleet), stop)
    assert stop.event.is_set() and fleet.told == ["drain", "SIGTERM", "SIGKILL"]
