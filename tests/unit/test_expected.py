"""What a request is expected to cost, by what is known of it without opening its video."""

import pytest

from videval.expected import Expectation
from videval.types import ClipRef, FrameSampling, LengthRule, Sample, Scalar

EIGHT = FrameSampling(policy="interior", num_frames=8)
BY_RATE = FrameSampling(policy="rate", fps=1.0, max_frames=100)

ONCE = {"a.mp4": 1, "b.mp4": 1}


def expects(sampling: FrameSampling = EIGHT, **took: float) -> Expectation:
    return Expectation(sampling, new_tokens=16, took={f"{name}.mp4": seconds for name, seconds in took.items()})


def asks(start: float | None = None, end: float | None = None, **row: Scalar) -> Sample:
    return Sample(id="1", question="What?", video="a.mp4", start=start, end=end, row=row)


def test_of_a_rate_the_longer_span_costs_more_until_the_cap_on_frames() -> None:
    costs = [expects(BY_RATE).of(asks(10.0, 10.0 + seconds)) for seconds in (5, 50, 100)]
    assert costs == sorted(costs) and costs[0] < costs[1] < costs[2]


def test_of_as_many_frames_the_longer_video_costs_more_to_read_through() -> None:
    assert expects().of(asks(duration=10)) < expects().of(asks(duration=60.5)) < expects().of(asks(duration="600"))


def test_a_video_with_key_frames_costs_no_more_however_far_its_frames_are_apart() -> None:
    assert expects().of(asks(duration=3_600)) == expects().of(asks(duration=36_000))


@pytest.mark.parametrize("said", ["short", "", None, True, -3, 0, "nan", "inf", pytest.param(10**400, id="huge")])
def test_a_duration_that_is_no_number_of_seconds_counts_as_unknown(said: Scalar) -> None:
    assert expects().of(asks(duration=said)) == expects().of(asks())


@pytest.mark.parametrize("sample", [asks(duration="1e308"), asks(0.0, 1e308)], ids=["duration", "span"])
def test_a_video_of_more_seconds_than_there_can_be_has_a_place_too(sample: Sample) -> None:
    expected = expects(FrameSampling(policy="rate", fps=2.0))
    known = expected.classes({"a.mp4": expected.of(sample), "b.mp4": expected.of(asks(duration=10))}, ONCE)
    assert known["a.mp4"] > known["b.mp4"]


def test_the_span_says_more_than_the_video_s_duration() -> None:
    assert expects().of(asks(0.0, 5.0, duration=600)) == expects().of(asks(0.0, 5.0))


def test_a_rule_by_length_is_heeded() -> None:
    rules = (LengthRule(up_to=30, fps=6.0), LengthRule(fps=0.1))
    sampling = FrameSampling(policy="rate", fps=1.0, by_length=rules)
    assert expects(sampling).of(asks(0.0, 30.0)) > expects(sampling).of(asks(0.0, 31.0))


def test_each_of_several_clips_counts_with_its_own_frames() -> None:
    two = Sample(id="1", question="?", clips=(ClipRef(video="a.mp4"), ClipRef(video="b.mp4", sampling=BY_RATE)))
    one = Sample(id="1", question="?", clips=(ClipRef(video="a.mp4"),))
    assert expects().of(two) > 2 * expects().of(one) > 0


def test_a_pack_of_more_questions_has_the_longer_answer_up_to_what_it_may_have() -> None:
    expected = Expectation(EIGHT, new_tokens=40)
    assert expected.of(asks(), 1) < expected.of(asks(), 2) < expected.of(asks(), 3) == expected.of(asks(), 4)


def test_costs_within_a_third_of_each_other_are_alike_and_twice_as_much_is_not() -> None:
    units = {"a.mp4": 100.0, "b.mp4": 105.0, "c.mp4": 200.0}
    classes = expects().classes(units, dict.fromkeys(units, 1))
    assert classes["a.mp4"] == classes["b.mp4"] < classes["c.mp4"]


def test_what_earlier_answers_took_counts_more_than_frames_for_each_of_a_video_s_requests() -> None:
    units = {"a.mp4": 100.0, "b.mp4": 100.0, "c.mp4": 100.0}
    classes = expects(a=1.0, b=1.0).classes(units, {"a.mp4": 1, "b.mp4": 8, "c.mp4": 1})
    assert classes["a.mp4"] < classes["b.mp4"]


def test_a_video_that_was_never_asked_is_judged_by_its_frames_at_the_pace_of_the_others() -> None:
    units = {"a.mp4": 100.0, "b.mp4": 100.0, "c.mp4": 1_000.0}
    classes = expects(a=4.0, b=8.0).classes(units, dict.fromkeys(units, 1))
    assert classes["a.mp4"] < classes["b.mp4"] < classes["c.mp4"]


def test_what_costs_nothing_has_a_class_too() -> None:
    assert expects().classes({"a.mp4": 0.0}, {"a.mp4": 1})["a.mp4"] < 0
