"""Fewest and most frames, multiples, rules by length, and the constants of policies: kept, said, or refused."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videval.errors import UsageError
from videval.plain import restored
from videval.types import POLICIES, FrameSampling, LengthRule, ModelSpec, Pixels
from videval.video.sampling import (
    POLICY,
    Clock,
    check_sampling,
    choose_frames,
    explicit,
    frame_indices,
    rule_for,
    seconds_shown,
)

SHORT, LONG = LengthRule(up_to=60, fps=2.0), LengthRule(num_frames=64)


def sampling(policy: str, **said: Any) -> FrameSampling:
    return FrameSampling(policy=policy, **said)


@pytest.mark.parametrize(
    ("asked", "said", "mended"),
    [
        (sampling("interior"), "needs a frame count", "give num_frames"),
        (sampling("qwen2_vl"), "needs a frame count or a rate", "give num_frames or fps"),
        (sampling("smolvlm", num_frames=8), "takes frames per second, not a frame count", "--fps 1"),
        (sampling("glm46v", num_frames=8), "takes frames per second, not a frame count", "--fps 1"),
        (sampling("stride", fps=1.0), "takes a frame count, not a rate", "--frames 8"),
        (sampling("qwen3_vl", num_frames=8, fps=1.0), "exclude each other", "leave num_frames or fps out"),
        (sampling("rate", fps=1.0, min_frames=9, max_frames=8), "min_frames 9 are more than", "--max-frames 9"),
        (sampling("qwen3_vl", min_frames=1000), "min_frames 1000 are more than max_frames 768", "--max-frames 1000"),
        (sampling("qwen3_vl", num_frames=8, min_frames=4), "min_frames is for a rate", "leave --min-frames out"),
        (sampling("uniform", num_frames=8, min_frames=4), "takes no min_frames", "leave --min-frames out"),
        (sampling("internvl", num_frames=8, multiple=2), "takes no multiple", "leave --multiple out"),
        (sampling("rate", fps=1.0, multiple=0), "multiple must be at least 1, not 0", "--multiple 1 or more"),
        (sampling("rate", fps=1.0, min_frames=-1), "min_frames must be at least 1", "--min-frames 1 or more"),
        (sampling("qwen2_vl", num_frames=1), "cannot be rounded to a multiple of 2", "--frames 2"),
        (sampling("qwen2_vl", fps=1.0, max_frames=1), "no multiple of 2 lies from", "--max-frames 2"),
        (sampling("rate", fps=1.0, min_frames=5, max_frames=7, multiple=4), "no multiple of 4", "--max-frames 8"),
    ],
)
def test_what_cannot_be_is_refused_with_what_would_do(asked: FrameSampling, said: str, mended: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        check_sampling(asked)
    assert mended in caught.value.hint


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ((LengthRule(up_to=60), LengthRule(up_to=30)), "up to 30 s comes after the one for up to 60 s"),
        ((LengthRule(up_to=60), LengthRule(up_to=60)), "up to 60 s comes after the one for up to 60 s"),
        ((LengthRule(), LengthRule(up_to=60)), "up to 60 s comes after the one for all lengths"),
        ((LengthRule(), LengthRule()), "all lengths comes after the one for all lengths"),
        ((LengthRule(up_to=0),), "some seconds above 0"),
        ((LengthRule(up_to=math.nan),), "some seconds above 0"),
        ((LengthRule(up_to=60, num_frames=8),), "takes frames per second, not a frame count"),
        ((LengthRule(up_to=60, fps=1.0, max_frames=2),), "min_frames 4 are more than max_frames 2"),
        ((LengthRule(up_to=60, fps=1.0, max_frames=0),), "max_frames must be at least 1, not 0"),
        ((LengthRule(up_to=60, fps=-1.0),), "above 0, not -1.0"),
    ],
)
def test_rules_that_overlap_or_are_out_of_order_or_that_the_policy_cannot_keep_are_refused(
    rules: tuple[LengthRule, ...], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        check_sampling(FrameSampling(policy="rate", fps=1.0, min_frames=4, by_length=rules))


def test_rules_that_leave_long_videos_without_an_amount_are_refused() -> None:
    with pytest.raises(UsageError, match="none says how many frames are shown of more than 60 s") as caught:
        check_sampling(FrameSampling(policy="rate", by_length=(SHORT,)))
    assert "a last rule without up_to" in caught.value.hint


@pytest.mark.parametrize(
    ("seconds", "rule"), [(1, SHORT), (60, SHORT), (60.001, LONG), (7200, LONG)], ids=lambda value: str(value)
)
def test_the_first_rule_that_fits_counts(seconds: float, rule: LengthRule) -> None:
    assert rule_for(FrameSampling(policy="qwen3_vl", by_length=(SHORT, LONG)), seconds) == rule


def test_no_rule_counts_where_none_fits() -> None:
    assert rule_for(FrameSampling(policy="rate", fps=1.0, by_length=(SHORT,)), 61) is None
    assert rule_for(FrameSampling(policy="rate", fps=1.0), 61) is None


@pytest.mark.parametrize(("total", "count"), [(1500, 120), (1501, 64)])
def test_frames_are_chosen_by_the_rule_for_the_video_s_length(total: int, count: int) -> None:
    ruled = FrameSampling(policy="qwen_vl_utils", by_length=(SHORT, LONG))
    assert len(frame_indices(total, 25.0, ruled)) == count


def test_a_rule_counts_by_the_length_of_what_is_shown_not_of_the_video() -> None:
    ruled = FrameSampling(policy="qwen_vl_utils", by_length=(SHORT, LONG))
    shown = choose_frames(100_000, 25.0, ruled, (1000.0, 1060.0))
    assert shown.span_frames == 1501 and seconds_shown(100_000, 25.0, shown.span_frames) == 60
    assert len(shown.indices) == 120
    assert shown.indices[0] == 25_000 and shown.indices[-1] == 26_500


def test_a_rule_may_set_pixels_or_a_most_alone() -> None:
    rules = (LengthRule(up_to=60, pixels=Pixels(max_pixels=100)), LengthRule(max_frames=100))
    ruled = FrameSampling(policy="qwen3_vl", by_length=rules)
    assert len(frame_indices(1500, 25.0, ruled)) == 120
    assert len(frame_indices(3000, 25.0, ruled)) == 100


def test_what_is_left_open_is_the_policy_s_constant_and_is_said() -> None:
    assert explicit(sampling("qwen3_vl")) == sampling("qwen3_vl", fps=2.0, min_frames=4, max_frames=768)
    assert explicit(sampling("qwen3_vl", fps=1.0, max_frames=2)).min_frames == 2
    assert explicit(sampling("qwen2_vl", fps=1.0, max_frames=3)).min_frames == 2
    assert explicit(sampling("qwen2_vl", num_frames=8)) == sampling("qwen2_vl", num_frames=8, multiple=2)
    assert explicit(sampling("glm46v", fps=1.0)) == sampling("glm46v", fps=1.0, max_frames=640, multiple=2)
    assert [(rule.up_to, rule.fps) for rule in explicit(sampling("glm46v")).by_length] == [(30, 6), (300, 2), (None, 1)]


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_takes_what_it_is_said_to_take_and_saying_its_constants_changes_nothing(name: str) -> None:
    for amount in POLICIES[name]:
        said_so: dict[str, Any] = {amount: 4}
        asked = FrameSampling(policy=name, **said_so)
        check_sampling(asked)
        said = explicit(asked)
        assert explicit(said) == said == restored(FrameSampling, said.to_json())
        assert choose_frames(1234, 29.97, said) == choose_frames(1234, 29.97, asked)


def test_every_policy_has_its_line_in_the_table() -> None:
    assert list(POLICY) == list(POLICIES)
    assert all(policy.about and policy.source for policy in POLICY.values())


@pytest.mark.parametrize(
    ("limits", "count", "said"),
    [
        ({"min_frames": 30}, 30, "10 frames are too few: 30 of the shown part in equal steps"),
        ({"max_frames": 4}, 4, "10 frames thinned evenly to max_frames 4"),
        ({"multiple": 4}, 8, "10 frames thinned evenly to 8, a multiple of 4"),
        ({"multiple": 4, "min_frames": 9}, 12, "10 frames are too few"),
        ({"multiple": 4, "max_frames": 7}, 4, "10 frames thinned evenly to 4, a multiple of 4"),
        ({"min_frames": 10, "max_frames": 10, "multiple": 5}, 10, ""),
    ],
)
def test_a_rate_keeps_its_limits_and_says_so(limits: dict[str, Any], count: int, said: str) -> None:
    chosen = choose_frames(250, 25.0, FrameSampling(policy="rate", fps=1.0, **limits))
    assert len(chosen.indices) == count
    assert said in "".join(chosen.notes) and bool(chosen.notes) == bool(said)


def test_fewer_frames_than_asked_for_are_said() -> None:
    chosen = choose_frames(5, 25.0, FrameSampling(policy="qwen2_vl", num_frames=8))
    assert chosen.indices == (0, 1, 2, 3)
    assert chosen.notes == ("4 frames in place of 8, as qwen2_vl has it",)


def test_a_span_of_one_moment_shows_one_frame_or_a_pair_of_it() -> None:
    for name in ("qwen2_vl", "qwen3_vl", "qwen_vl_utils", "glm46v", "glm4v", "molmo2", "internvl", "smolvlm"):
        chosen = choose_frames(1000, 25.0, FrameSampling(policy=name, fps=2.0), (4.01, 4.02))
        assert set(chosen.indices) == {101}
        assert chosen.span_frames == 1


def test_by_real_times_an_author_s_policy_counts_the_frames_whose_times_lie_in_the_span() -> None:
    clock = Clock(times=[float(i) for i in range(10)] + [10 + i / 10 for i in range(100)], end=20.0)
    real = FrameSampling(policy="qwen3_vl", num_frames=3, times="real")
    chosen = choose_frames(110, 5.5, real, (12.0, 13.0), clock=clock)
    assert chosen.indices == (30, 35, 40) and chosen.span_frames == 11


# what a model makes of it


def test_a_model_s_own_policy_takes_the_place_of_the_benchmark_s_if_it_takes_such_an_amount() -> None:
    qwen, glm = (ModelSpec(name="m", adapter="a", checkpoint="c", policy=name) for name in ("qwen3_vl", "glm46v"))
    count, rate = FrameSampling(policy="interior", num_frames=8), FrameSampling(policy="rate", fps=1.0)
    assert qwen.fitted(count) == replace(count, policy="qwen3_vl")
    assert qwen.fitted(rate) == replace(rate, policy="qwen3_vl")
    assert glm.fitted(count) == count
    assert glm.fitted(rate) == replace(rate, policy="glm46v")


def test_a_model_keeps_limits_and_rules_and_caps_them() -> None:
    spec = ModelSpec(name="m", adapter="a", checkpoint="c", max_frames=128)
    rules = (LengthRule(up_to=60, fps=2.0, max_frames=640), LengthRule(fps=1.0))
    asked = FrameSampling(policy="qwen_vl_utils", min_frames=8, multiple=4, by_length=rules)
    assert spec.fitted(asked, max_frames=64) == replace(
        asked, max_frames=64, by_length=(replace(rules[0], max_frames=64), rules[1])
    )


# properties


def amounts(name: str) -> st.SearchStrategy[dict[str, Any]]:
    limits = POLICY[name].limits
    count = st.fixed_dictionaries({"num_frames": st.integers(2, 200)})
    rate = st.fixed_dictionaries(
        {"fps": st.floats(0.05, 30)},
        optional={
            **({"min_frames": st.integers(1, 16)} if "min_frames" in limits else {}),
            **({"max_frames": st.integers(32, 900)} if "max_frames" in limits else {}),
            **({"multiple": st.integers(1, 8)} if "multiple" in limits else {}),
        },
    )
    return st.one_of([count if amount == "num_frames" else rate for amount in POLICIES[name]])


@settings(deadline=None)
@given(data=st.data(), total=st.integers(1, 20_000), fps=st.sampled_from([1.0, 12.5, 23.976, 25.0, 29.97, 60.0]))
@pytest.mark.parametrize("name", [name for name, policy in POLICY.items() if policy.by_author or name == "rate"])
def test_frames_lie_in_the_shown_part_in_order_and_are_as_many_as_the_limits_say(
    name: str, data: st.DataObject, total: int, fps: float
) -> None:
    asked = FrameSampling(policy=name, **data.draw(amounts(name)))
    length = total / fps
    span = data.draw(st.none() | st.tuples(st.floats(0, length), st.floats(0, length)).map(lambda t: (min(t), max(t))))
    chosen = choose_frames(total, fps, asked, span)
    frames = chosen.span_frames or total
    assert list(chosen.indices) == sorted(chosen.indices)
    assert chosen.indices[-1] - chosen.indices[0] < frames and 0 <= chosen.indices[0] <= chosen.indices[-1] < total
    assert_limits(explicit(asked), chosen.indices, frames)


def assert_limits(said: FrameSampling, indices: Sequence[int], frames: int) -> None:
    """As many as asked for, or within the limits; a library never repeats frames to reach its fewest."""
    count, multiple = len(indices), said.multiple or 1
    if said.num_frames is not None:
        exact = said.policy == "qwen3_vl" or round(said.num_frames / multiple) * multiple <= frames
        assert count == round(said.num_frames / multiple) * multiple if exact else count <= frames
        return
    assert 1 <= count <= (said.max_frames or count)
    repeats = said.policy in ("rate", "glm46v", "glm4v")
    least = (said.min_frames or 1) // multiple * multiple
    assert count >= least or (said.policy != "rate" and count >= frames // multiple * multiple)
    assert count % multiple == 0 or (not repeats and frames < multiple)
