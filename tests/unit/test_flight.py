"""Who is guilty when an engine process dies or hangs, and when it has taken too long; times are plain numbers."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videval.types import Stage
from workers.engine.flight import Flight, Guilt

LIMIT = 100.0
PREPARE, WAIT, GENERATE = Stage.PREPARE, Stage.WAIT, Stage.GENERATE
Leg = tuple[int, Stage | None, float]


def flown(*legs: Leg) -> Flight:
    """A flight of requests that entered a stage at a time; None: the process has not begun with it."""
    flight = Flight(LIMIT)
    for id_, stage, at in legs:
        flight.told(id_, at)
        if stage is not None:
            flight.entered(id_, stage, at)
    return flight


def struck(*ids: int, stage: Stage = GENERATE) -> Guilt:
    return Guilt(struck=ids, stage=stage)


def company(*ids: int, stage: Stage = GENERATE) -> Guilt:
    return Guilt(company=ids, stage=stage)


@pytest.mark.parametrize(
    ("legs", "guilt"),
    [
        ([], Guilt()),
        ([(1, None, 0), (2, WAIT, 0)], Guilt()),
        ([(1, GENERATE, 0), (2, WAIT, 0), (3, PREPARE, 0), (4, None, 0)], struck(1)),
        ([(1, GENERATE, 0), (2, GENERATE, 50), (3, WAIT, 0), (4, PREPARE, 0)], company(1, 2)),
        ([(1, WAIT, 0), (2, PREPARE, 0), (3, None, 0)], struck(2, stage=PREPARE)),
        ([(1, PREPARE, 0), (2, PREPARE, 0)], company(1, 2, stage=PREPARE)),
    ],
    ids=["nothing", "none begun", "one generated", "several generated", "one prepared", "several prepared"],
)
def test_a_death_is_held_against_who_is_generated_alone_else_who_is_prepared(legs: Iterable[Leg], guilt: Guilt) -> None:
    assert flown(*legs).guilt_of_death() == guilt


@pytest.mark.parametrize(
    ("legs", "deadline"),
    [
        ([], None),
        ([(1, WAIT, 5), (2, None, 7)], 105),
        ([(1, GENERATE, 5), (2, WAIT, 3)], 105),
        ([(1, GENERATE, 5), (2, PREPARE, 3)], 103),
    ],
    ids=["nothing", "it says nothing", "waiting has none", "the first one counts"],
)
def test_preparing_and_generating_have_a_deadline_and_waiting_has_none(
    legs: Iterable[Leg], deadline: float | None
) -> None:
    assert flown(*legs).deadline() == deadline


def talking(flight: Flight, now: float) -> Flight:
    """The process has just said something of another request."""
    flight.told(99, now)
    flight.entered(99, WAIT, now)
    return flight


def test_before_its_deadline_nobody_is_late() -> None:
    assert flown((1, GENERATE, 0)).guilt_of_delay(99.9) is None


def test_a_batch_that_takes_too_long_began_together_and_is_company() -> None:
    assert talking(flown((1, GENERATE, 0), (2, GENERATE, 0.2)), 90).guilt_of_delay(100.0) == company(1, 2)


def test_one_that_never_ends_while_the_others_go_on_is_guilty_alone() -> None:
    assert talking(flown((1, GENERATE, 0), (2, GENERATE, 30)), 90).guilt_of_delay(100.0) == struck(1)


def test_when_the_whole_process_is_silent_nobody_knows_which_of_them_stopped_it() -> None:
    assert flown((1, GENERATE, 0), (2, GENERATE, 30)).guilt_of_delay(100.0) == company(1, 2)


def test_who_is_prepared_for_too_long_is_guilty_although_others_are_generated() -> None:
    late = talking(flown((1, PREPARE, 0), (2, GENERATE, 80)), 90).guilt_of_delay(100.0)
    assert late == struck(1, stage=PREPARE)


def test_a_process_that_has_work_and_begins_nothing_hangs_by_its_own_fault() -> None:
    assert flown((1, None, 0), (2, WAIT, 10)).guilt_of_delay(110.0) == Guilt()


def test_one_that_is_tried_again_has_a_deadline_of_its_own_and_is_guilty_alone() -> None:
    flight = flown((1, GENERATE, 0), (2, GENERATE, 0))
    for id_ in (1, 2):
        flight.entered(id_, WAIT, 60)
    flight.entered(2, GENERATE, 61)
    assert flight.deadline() == 161 and flight.guilt_of_death() == struck(2)


def test_who_was_let_go_of_is_guilty_of_nothing_that_is_said_of_it_later() -> None:
    flight = flown((1, WAIT, 0), (2, PREPARE, 0))
    flight.landed(1, 1)
    flight.entered(1, GENERATE, 2)
    assert flight.guilt_of_death() == struck(2, stage=PREPARE)


def test_busy_are_the_seconds_in_which_at_least_one_is_generated() -> None:
    flight = flown((1, GENERATE, 10), (2, GENERATE, 12))
    assert flight.busy_s(15) == 5
    flight.landed(1, 20)
    flight.landed(2, 30)
    assert flight.busy_s(99) == 20
    flight.told(3, 100)
    flight.entered(3, GENERATE, 100)
    flight.lost(103)
    assert flight.busy_s(200) == 23


STEPS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([None, PREPARE, WAIT, GENERATE, "landed"]), st.floats(0, 60)),
    max_size=12,
)


@given(STEPS)
def test_whatever_happens_only_one_is_struck_and_only_who_is_worked_on_is_guilty(
    steps: list[tuple[int, Stage | str | None, float]],
) -> None:
    flight, stages, now = Flight(LIMIT), dict[int, Stage | None](), 0.0
    for id_, what, seconds in steps:
        now += seconds
        if what == "landed":
            flight.landed(id_, now)
            stages.pop(id_, None)
        elif what is None:
            flight.told(id_, now)
            stages[id_] = None
        elif id_ in stages:
            flight.entered(id_, Stage(what), now)
            stages[id_] = Stage(what)
    worked_on = {id_ for id_, stage in stages.items() if stage in (PREPARE, GENERATE)}
    deadline = flight.deadline()
    assert (deadline is None) == (not stages)
    for guilt in (flight.guilt_of_death(), flight.guilt_of_delay(now + LIMIT) or Guilt()):
        assert len(guilt.struck) <= 1 and len(guilt.company) != 1 and not (guilt.struck and guilt.company)
        assert {*guilt.struck, *guilt.company} <= worked_on
    if deadline is not None:
        assert flight.guilt_of_delay(deadline) is not None
