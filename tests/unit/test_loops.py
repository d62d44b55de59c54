"""Steps in threads: what goes wrong in one ends none, a step that is woken is done at once, all end when told."""

import threading

import pytest

from tests.servers import wait_for
from videval.errors import DatabaseUnavailable
from workers.loops import CROWD, Crowd, Loops, Step


class Counted(Step):
    """A step that counts, and fails as it is told."""

    name = "counted"

    def __init__(self, *failures: Exception, pause: float = 60.0) -> None:
        super().__init__()
        self.failures = list(failures)
        self.done = 0
        self._pause = pause

    @property
    def pause(self) -> float:
        return self._pause

    def step(self) -> None:
        self.done += 1
        if self.failures:
            raise self.failures.pop()


def nothing() -> None:
    pass


def test_a_step_that_fails_is_done_again_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    bad, good = Counted(ValueError("unforeseen"), DatabaseUnavailable("away"), pause=0.01), Counted(pause=0.01)
    loops = Loops(bad, good, on_outage=nothing)
    loops.start()
    wait_for("both", lambda: bad.done > 3 and good.done > 3, 10)
    loops.stop()
    assert "counted: away" in caplog.text and "counted failed; goes on" in caplog.text


def test_an_outage_is_told_and_nothing_else() -> None:
    told: list[int] = []
    step = Counted(ValueError("unforeseen"), DatabaseUnavailable("away"))
    loops = Loops(step, on_outage=lambda: told.append(step.done))
    for _ in range(3):
        loops.once(step)
    assert told == [1]


def test_a_step_that_is_woken_is_done_now() -> None:
    step = Counted()
    loops = Loops(step, on_outage=nothing)
    loops.start()
    wait_for("the first time", lambda: step.done == 1, 10)
    step.wake()
    wait_for("the second time", lambda: step.done == 2, 10)
    loops.stop()


def test_stopped_they_end_although_their_pause_is_long() -> None:
    step = Counted()
    loops = Loops(step, on_outage=nothing)
    before = threading.active_count()
    loops.start()
    wait_for("the first time", lambda: step.done == 1 and step.woken.is_set() is False, 10)
    loops.stop()
    wait_for("the thread to end", lambda: threading.active_count() <= before, 10)


def test_a_small_crowd_looks_in_each_period_and_a_large_one_by_turns() -> None:
    few, many = Crowd(size=CROWD), Crowd(size=CROWD * 4)
    assert all(0.9 <= few.pause(1.0) <= 1.1 and 3.6 <= many.pause(1.0) <= 4.4 for _ in range(50))
    assert all(few.may_look() for _ in range(50)) and 100 < sum(many.may_look() for _ in range(1000)) < 400
