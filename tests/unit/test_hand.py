"""What a worker has in hand: places, siblings that one bell begins, and bells that come for them later."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from tests.servers import wait_for
from workers import hand as hand_module
from workers.hand import Hand


class Desk:
    """What waits, and what is being answered until somebody lets it end."""

    def __init__(self, *waiting: int, places: int = 3) -> None:
        self.waiting = list(waiting)
        self.places = places
        self.asked: list[tuple[int, int]] = []
        self.begun: dict[int, threading.Event] = {}
        self.never_rung: set[int] = set()
        self.unrung: list[int] = []
        self.most_at_once = 0
        self._lock = threading.Lock()
        self.hand = Hand(lambda: self.places, claim=self.claim, unring=self.unrung.append, answer=self.answer)

    def claim(self, bell: int, most: int) -> list[Any]:
        with self._lock:
            self.asked.append((bell, most))
            self.waiting.sort(key=lambda i: i != bell)
            taken, self.waiting = self.waiting[:most], self.waiting[most:]
            return [SimpleNamespace(request_id=i, rung=i not in self.never_rung) for i in taken]

    def answer(self, claim: Any) -> None:
        with self._lock:
            mine = self.begun[claim.request_id] = threading.Event()
            self.most_at_once = max(self.most_at_once, len(self.begun))
        assert mine.wait(10)
        with self._lock:
            del self.begun[claim.request_id]

    def wait_for(self, *ids: int) -> None:
        wait_for(f"{ids} to be begun", lambda: sorted(self.begun) == sorted(ids), 10)

    def end(self, *ids: int) -> None:
        for i in ids:
            if i in self.begun:
                self.begun[i].set()


@contextmanager
def bells(desk: Desk) -> Iterator[Any]:
    """Celery's threads."""
    with ThreadPoolExecutor(32) as pool:

        def ring(request_id: int) -> Future[None]:
            return pool.submit(desk.hand.hear, request_id)

        try:
            yield ring
        finally:
            desk.waiting.clear()
            while desk.hand._taken:
                desk.end(*list(desk.begun))


def test_one_bell_fills_a_server_with_siblings() -> None:
    desk = Desk(*range(1, 101), places=64)
    with bells(desk) as ring:
        ring(1)
        desk.wait_for(*range(1, 65))


def test_a_bell_claims_no_more_than_there_are_places() -> None:
    desk = Desk(1, 2, 3, 4, 5, 6)
    with bells(desk) as ring:
        ring(1)
        desk.wait_for(1, 2, 3)
        assert desk.asked == [(1, 3)] and desk.waiting == [4, 5, 6]


def test_the_bell_of_a_sibling_lasts_as_long_as_that_and_claims_nothing() -> None:
    desk = Desk(1, 2, 3)
    with bells(desk) as ring:
        ring(1)
        desk.wait_for(1, 2, 3)
        later = ring(3)
        desk.end(1, 2)
        desk.wait_for(3)
        assert not later.done() and desk.asked == [(1, 3)]
        desk.end(3)
        later.result(10)


def test_any_bell_stands_for_a_sibling_while_there_is_no_place() -> None:
    """Six wait, three are in hand by one bell: the two bells that Celery hears beside it are none too many."""
    desk = Desk(1, 2, 3, 4, 5, 6)
    with bells(desk) as ring:
        ring(1)
        desk.wait_for(1, 2, 3)
        others = [ring(5), ring(6)]
        desk.end(2, 3)
        for other in others:
            other.result(10)
        assert desk.asked == [(1, 3)]


def test_a_bell_that_stands_for_a_sibling_that_has_none_is_rung_again() -> None:
    """Else one that waits would have no bell: a sibling that was given back a moment ago, say."""
    desk = Desk(1, 2, 3, 4, 5)
    desk.never_rung = {2}
    with bells(desk) as ring:
        ring(1)
        desk.wait_for(1, 2, 3)
        ring(4)
        ring(5)
        wait_for("both to stand for the siblings", lambda: not desk.hand._unheard, 10)
        wait_for("one to be rung again", lambda: len(desk.unrung) == 1, 10)
        assert desk.unrung[0] in (4, 5)


def test_the_own_bell_of_a_sibling_that_came_late_is_not_rung_again() -> None:
    desk = Desk(1, 2)
    desk.never_rung = {2}
    with bells(desk) as ring:
        ring(1)
        desk.wait_for(1, 2)
        late = ring(2)
        desk.end(2)
        late.result(10)
        assert desk.unrung == []


def test_a_bell_without_a_place_claims_when_there_is_one() -> None:
    desk = Desk(1, 2, places=1)
    with bells(desk) as ring:
        ring(1)
        desk.wait_for(1)
        ring(2)
        desk.end(1)
        desk.wait_for(2)
        assert desk.most_at_once == 1


def test_a_bell_that_nobody_else_can_hear_claims_after_a_moment_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model was changed for one with fewer slots while Celery held more messages."""
    monkeypatch.setattr(hand_module, "PATIENCE", 0.01)
    desk = Desk(1, 2, places=1)
    with bells(desk) as ring:
        ring(1)
        desk.wait_for(1)
        ring(2)
        desk.wait_for(1, 2)


def test_places_that_a_bell_did_not_need_are_shared_by_those_that_wait() -> None:
    desk = Desk(places=8)
    may_claim = threading.Event()

    def claim(bell: int, most: int) -> list[Any]:
        assert bell != 0 or may_claim.wait(10)
        return desk.claim(bell, most)

    desk.hand._claim = claim
    with bells(desk) as ring:
        first = ring(0)
        wait_for("it to claim", lambda: desk.hand._taken == 8, 10)
        others = [ring(i) for i in (1, 2, 3, 4)]
        wait_for("four to wait", lambda: desk.hand._waiting == 4, 10)
        may_claim.set()
        for bell in [first, *others]:
            bell.result(10)
    assert dict(desk.asked)[0] == 8 and all(1 <= most <= 8 for _, most in desk.asked)
    assert desk.hand._taken == 0


def test_a_claim_that_raises_keeps_no_place() -> None:
    desk = Desk(1)

    def fail(bell: int, most: int) -> list[Any]:
        raise ZeroDivisionError

    desk.hand._claim = fail
    with pytest.raises(ZeroDivisionError):
        desk.hand.hear(0)
    assert desk.hand._taken == 0


def test_a_clip_is_not_parted_for_want_of_places() -> None:
    """Of the last claim there were several, so the next may be too: whoever has one place asks for a whole hand."""
    desk = Desk(1, 2, 3, 4, 5, 6, 7)
    with bells(desk) as ring:
        for bell in (1, 2, 3):
            ring(bell)
            desk.wait_for(1, 2, 3)
        wait_for("the siblings' bells to be heard", lambda: not desk.hand._unheard, 10)
        ring(4)
        desk.end(1)
        desk.wait_for(2, 3, 4, 5, 6)
        assert desk.asked == [(1, 3), (4, 3)] and desk.waiting == [7]


def test_where_requests_come_one_by_one_no_more_is_asked_for_than_there_are_places() -> None:
    desk = Desk(1)
    with bells(desk) as ring:
        ring(1)
        desk.wait_for(1)
        desk.waiting = [2, 3, 4]
        ring(2)
        desk.wait_for(1, 2, 3)
        assert desk.asked == [(1, 3), (2, 2)]


def test_however_many_bells_ring_at_once_no_more_is_in_hand_than_there_are_places_and_a_clip_beside() -> None:
    desk = Desk(*range(200), places=7)
    in_hand, most = [0], [0]
    lock = threading.Lock()

    def answer(claim: Any) -> None:
        with lock:
            in_hand[0] += 1
            most[0] = max(most[0], in_hand[0])
        with lock:
            in_hand[0] -= 1

    desk.hand._answer = answer
    with ThreadPoolExecutor(7) as pool:
        list(pool.map(desk.hand.hear, range(200)))
    wait_for("all to be over", lambda: desk.hand._taken == 0, 10)
    assert desk.waiting == [] and most[0] <= 7 + 6


def test_bells_that_ring_while_a_claim_takes_long_claim_no_more_than_there_are_places(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The database was away for a minute: what one bell will have taken is not known before it is back."""
    monkeypatch.setattr(hand_module, "PATIENCE", 0.01)
    desk = Desk(*range(20), places=4)
    may_claim = threading.Event()

    def claim(bell: int, most: int) -> list[Any]:
        assert may_claim.wait(10)
        return desk.claim(bell, most)

    desk.hand._claim = claim
    with bells(desk) as ring:
        for bell in range(4):
            ring(bell)
        wait_for("all to be heard", lambda: desk.hand._waiting == 3, 10)
        time.sleep(0.1)
        may_claim.set()
        wait_for("some to be begun", lambda: len(desk.begun) >= 4, 10)
        time.sleep(0.1)
        assert desk.most_at_once == 4


def test_whoever_ends_waits_for_siblings_too() -> None:
    desk = Desk(1, 2, 3)
    with bells(desk) as ring, ThreadPoolExecutor(1) as pool:
        first = ring(1)
        desk.wait_for(1, 2, 3)
        desk.end(1)
        first.result(10)
        over = pool.submit(desk.hand.wait_until_empty)
        desk.end(2)
        desk.wait_for(3)
        assert not over.done()
        desk.end(3)
        over.result(10)
