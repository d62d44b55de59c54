"""The line before vLLM's engine: who goes in when, by clip, cache and company."""

from videval.models.vllm_engine.line import Line, Place


def line(*, slots: int = 8, tokens: int = 1000, shares: bool = True) -> Line:
    return Line(slots=slots, tokens=tokens, shares=shares)


def place(id: int, clip: str = "", *, tokens: int = 10, alone: bool = False) -> Place:
    return Place(id=id, tokens=tokens, clip=clip, alone=alone)


def ids(places: list[Place]) -> list[int]:
    return [one.id for one in places]


def test_one_question_of_each_clip_goes_ahead_and_the_others_follow_its_first_token() -> None:
    waiting = [place(1, "a"), place(2, "a"), place(3, "b"), place(4, "a"), place(5, "b")]
    own = line()
    assert ids(own.admit(waiting)) == [1, 3]
    rest = [one for one in waiting if one.id not in (1, 3)]
    assert own.admit(rest) == []
    own.said(3)
    assert ids(own.admit(rest)) == [5]
    own.said(1)
    assert ids(own.admit([one for one in rest if one.id != 5])) == [2, 4]


def test_if_the_first_question_of_a_clip_is_dropped_the_next_one_goes_ahead() -> None:
    own = line()
    assert ids(own.admit([place(1, "a")])) == [1]
    assert own.admit([place(2, "a"), place(3, "a")]) == []
    own.left(1)
    assert ids(own.admit([place(2, "a"), place(3, "a")])) == [2]


def test_a_clip_that_has_been_read_holds_nobody_up_later() -> None:
    own = line()
    own.admit([place(1, "a")])
    own.said(1)
    own.left(1)
    assert ids(own.admit([place(2, "a"), place(3, "a")])) == [2, 3]


def test_without_a_prefix_cache_and_without_a_clip_nobody_waits_for_a_sibling() -> None:
    assert ids(line(shares=False).admit([place(1, "a"), place(2, "a")])) == [1, 2]
    assert ids(line().admit([place(1), place(2)])) == [1, 2]


def test_who_is_alone_waits_for_all_before_it_and_all_wait_for_it() -> None:
    own = line()
    own.admit([place(1)])
    waiting = [place(2, "a", alone=True), place(3)]
    assert own.admit(waiting) == []
    own.left(1)
    assert ids(own.admit(waiting)) == [2]
    assert own.admit([place(3)]) == []
    own.left(2)
    assert ids(own.admit([place(3)])) == [3]


def test_no_more_go_in_than_there_are_slots_or_the_cache_holds_and_nobody_overtakes() -> None:
    assert ids(line(slots=2).admit([place(n) for n in range(1, 5)])) == [1, 2]
    own = line(tokens=100)
    waiting = [place(1, tokens=60), place(2, tokens=60), place(3, tokens=10)]
    assert ids(own.admit(waiting)) == [1]
    assert own.admit(waiting[1:]) == []
    own.left(1)
    assert ids(own.admit(waiting[1:])) == [2, 3]


def test_one_that_is_larger_than_the_cache_goes_in_by_itself() -> None:
    own = line(tokens=100)
    assert ids(own.admit([place(1, tokens=500), place(2)])) == [1]
    assert own.running == (1,)


def test_what_is_said_of_one_that_has_left_means_nothing() -> None:
    own = line()
    own.said(7)
    own.left(7)
    assert own.running == ()
