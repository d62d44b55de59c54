"""Frame choice: the golden file, the formulas, and what is refused."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videval.errors import UsageError, VideoFailure
from videval.types import POLICIES, FrameSampling
from videval.video.sampling import Clock, FrameChoice, choose_frames, frame_indices

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "sampling.json").read_text())
EIGHT = FrameSampling(policy="uniform", num_frames=8)


def clamped(indices: Sequence[int], total: int) -> list[int]:
    return [min(max(i, 0), total - 1) for i in indices] or [0]


@pytest.mark.parametrize(
    "sampling",
    [
        FrameSampling(policy="middle", num_frames=8),
        FrameSampling(policy="interior"),
        FrameSampling(policy="interior", num_frames=0),
        FrameSampling(policy="segment", num_frames=-1),
        FrameSampling(policy="uniform", num_frames=8, fps=1.0),
        FrameSampling(policy="stride", num_frames=8, max_frames=4),
        FrameSampling(policy="uniform", num_frames=8, max_frames=0),
        FrameSampling(policy="rate"),
        FrameSampling(policy="rate", fps=0.0),
        FrameSampling(policy="rate", fps=-1.0),
        FrameSampling(policy="rate", fps=math.nan),
        FrameSampling(policy="rate", fps=math.inf),
        FrameSampling(policy="rate", fps=1.0, num_frames=8),
    ],
)
def test_a_sampling_that_cannot_be_is_a_usage_error(sampling: FrameSampling) -> None:
    with pytest.raises(UsageError):
        frame_indices(100, 25.0, sampling)


def test_an_unknown_policy_is_told_the_known_ones() -> None:
    with pytest.raises(UsageError, match="middle") as caught:
        frame_indices(100, 25.0, FrameSampling(policy="middle", num_frames=8))
    assert all(policy in caught.value.hint for policy in POLICIES)


@pytest.mark.parametrize(("total", "fps"), [(0, 25.0), (-1, 25.0), (10, 0.0), (10, math.nan), (10, math.inf)])
def test_a_video_without_frames_or_rate_is_a_video_failure(total: int, fps: float) -> None:
    with pytest.raises(VideoFailure):
        frame_indices(total, fps, EIGHT)


@pytest.mark.parametrize("span", [(math.nan, 1.0), (0.0, math.inf)])
def test_a_span_that_is_no_time_is_a_usage_error(span: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="span"):
        frame_indices(100, 25.0, EIGHT, span)


@pytest.mark.parametrize("case", GOLDEN["video_base"], ids=str)
def test_interior_and_rate_choose_what_vlmevalkit_chooses(case: dict[str, Any]) -> None:
    by_rate = case["fps"] > 0
    sampling = (
        FrameSampling(policy="rate", fps=case["fps"])
        if by_rate
        else FrameSampling(policy="interior", num_frames=case["nframe"])
    )
    chosen = choose_frames(case["frames"], case["video_fps"], sampling)
    assert list(chosen.indices) == (case["indices"] or [0])
    assert bool(chosen.notes) == (not case["indices"])


@pytest.mark.parametrize("case", GOLDEN["mvbench"], ids=str)
def test_segment_chooses_what_mvbench_chooses_then_clamps(case: dict[str, Any]) -> None:
    first = case["first_idx"]
    total = case["max_frame"] + 1 - first
    sampling = FrameSampling(policy="segment", num_frames=case["num_segments"])
    span = case["bound"] and tuple(case["bound"])
    chosen = choose_frames(total, case["fps"], sampling, span, first=first)
    wanted = [i - first for i in case["indices"]]
    assert list(chosen.indices) == clamped(wanted, total)
    assert any("clamped" in n for n in chosen.notes) == (wanted != clamped(wanted, total))
    if not first:
        assert frame_indices(total, case["fps"], sampling, span) == list(chosen.indices)


@pytest.mark.parametrize("case", GOLDEN["mvbench_mp4"], ids=str)
def test_segment_and_rate_choose_what_mvbench_mp4_chooses(case: dict[str, Any]) -> None:
    if case["kind"] == "by_frame":
        sampling, fps = FrameSampling(policy="segment", num_frames=case["num_segments"]), 25.0
    else:
        sampling, fps = FrameSampling(policy="rate", fps=case["fps"]), case["video_fps"]
    assert frame_indices(case["frames"], fps, sampling) == (case["indices"] or [0])


@pytest.mark.parametrize("total", [1, 7, 8, 9, 30, 299, 1000])
@pytest.mark.parametrize("count", [1, 8, 49])
def test_uniform_is_linspace_and_stride_is_arange(total: int, count: int) -> None:
    uniform = FrameSampling(policy="uniform", num_frames=count)
    stride = FrameSampling(policy="stride", num_frames=count)
    assert frame_indices(total, 25.0, uniform) == np.linspace(0, total - 1, count).astype(int).tolist()
    assert frame_indices(total, 25.0, stride) == np.arange(0, total, total / count).astype(int).tolist()[:count]


@pytest.mark.parametrize("policy", ["interior", "uniform", "stride"])
def test_inside_a_span_a_policy_counts_the_frames_of_the_span(policy: str) -> None:
    sampling = FrameSampling(policy=policy, num_frames=8)
    inside = frame_indices(1000, 25.0, sampling, (4.0, 12.0))
    assert inside == [100 + i for i in frame_indices(201, 25.0, sampling)]


def test_a_rate_holds_inside_its_span() -> None:
    assert frame_indices(1000, 25.0, FrameSampling(policy="rate", fps=1.0), (4.0, 7.0)) == [100, 125, 150]


def test_a_span_over_the_whole_video_changes_nothing() -> None:
    for policy in ("interior", "uniform", "stride"):
        sampling = FrameSampling(policy=policy, num_frames=8)
        assert choose_frames(250, 25.0, sampling, (0.0, 10.0)) == choose_frames(250, 25.0, sampling)


@pytest.mark.parametrize(
    ("span", "said"),
    [
        ((2.0, 99.0), "reaches past the video's end"),
        ((50.0, 99.0), "starts after the video's end"),
        ((-3.0, 2.0), "starts before the video"),
        ((3.0, 2.0), "ends before it starts"),
    ],
)
@pytest.mark.parametrize("policy", ["segment", "uniform"])
def test_an_odd_span_is_said(policy: str, span: tuple[float, float], said: str) -> None:
    chosen = choose_frames(250, 25.0, FrameSampling(policy=policy, num_frames=4), span)
    assert any(said in note for note in chosen.notes)
    assert all(0 <= i < 250 for i in chosen.indices)


def test_a_video_shorter_than_a_step_shows_its_first_frame_and_says_so() -> None:
    chosen = choose_frames(7, 25.0, FrameSampling(policy="rate", fps=0.5))
    assert chosen.indices == (0,)
    assert "too short for 0.5 frames per second" in chosen.notes[0]


def test_max_frames_thins_a_rate_evenly_and_says_so() -> None:
    chosen = choose_frames(1000, 25.0, FrameSampling(policy="rate", fps=1.0, max_frames=4))
    assert chosen.indices == (0, 325, 650, 975)
    assert "40 frames thinned evenly to max_frames 4" in chosen.notes[0]
    assert not choose_frames(1000, 25.0, FrameSampling(policy="rate", fps=1.0, max_frames=40)).notes


spans = st.none() | st.tuples(st.floats(-10, 1e4), st.floats(-10, 1e4))
video: dict[str, Any] = {"total": st.integers(1, 5000), "fps": st.floats(0.5, 240), "span": spans}


@given(policy=st.sampled_from(["interior", "segment", "uniform", "stride"]), count=st.integers(1, 128), **video)
def test_every_frame_is_in_the_video_and_there_are_as_many_as_asked(
    policy: str, count: int, total: int, fps: float, span: tuple[float, float] | None
) -> None:
    for first in (0, 1):
        chosen = choose_frames(total, fps, FrameSampling(policy=policy, num_frames=count), span, first=first).indices
        assert len(chosen) == count
        assert all(0 <= i < total for i in chosen)


@given(rate=st.floats(0.1, 30), most=st.none() | st.integers(1, 64), **video)
def test_a_rate_gives_at_least_one_and_at_most_max_frames(
    rate: float, most: int | None, total: int, fps: float, span: tuple[float, float] | None
) -> None:
    chosen = frame_indices(total, fps, FrameSampling(policy="rate", fps=rate, max_frames=most), span)
    assert 1 <= len(chosen) <= (most or len(chosen))
    assert all(0 <= i < total for i in chosen)
    assert chosen == sorted(chosen)


# real times: an uneven recording of 20 s, ten frames one second apart, then a hundred at ten per second

UNEVEN = Clock(times=[float(i) for i in range(10)] + [10 + i / 10 for i in range(100)], end=20.0)


def by_clock(policy: str, span: tuple[float, float] | None = None, clock: Clock = UNEVEN, **amount: Any) -> FrameChoice:
    sampling = FrameSampling(policy=policy, times="real", **amount)
    total = len(clock.times)
    return choose_frames(total, total / clock.end, sampling, span, clock=clock)


@pytest.mark.parametrize(
    ("span", "inside"), [((0, 5), range(6)), ((3, 6), range(3, 7)), ((12, 13), range(30, 41)), ((9.5, 10.05), [10])]
)
@pytest.mark.parametrize("policy", ["interior", "uniform", "stride", "segment"])
def test_frames_whose_own_times_lie_in_the_span_are_shown(
    span: tuple[float, float], inside: Sequence[int], policy: str
) -> None:
    chosen = by_clock(policy, span, num_frames=4)
    assert set(chosen.indices) <= set(inside)
    assert len(chosen.indices) == 4 and not chosen.notes
    assert set(by_clock("uniform", span, num_frames=64).indices) == set(inside)


def test_one_frame_per_second_is_one_a_second_wherever_the_frames_lie() -> None:
    assert list(by_clock("rate", fps=1.0).indices) == [*range(10), *range(10, 110, 10)]
    assert by_clock("rate", (12, 13), fps=2.0).indices == (30, 35)
    assert by_clock("rate", (2, 4), fps=2.0).indices == (2, 2, 3, 3)
    assert by_clock("rate", fps=0.5, max_frames=3).indices == (0, 8, 90)


def test_a_frame_that_stays_on_the_screen_does_not_make_a_span_longer() -> None:
    still = Clock(times=[0.0, 0.1, 100.0], end=101.0)
    assert by_clock("rate", (0, 5), still, fps=1.0).indices == (0, 1, 1, 1, 1)
    assert by_clock("rate", None, still, fps=0.1).indices == (0, *[1] * 9)


@pytest.mark.parametrize(
    ("span", "shown", "said"),
    [
        ((3.2, 3.8), 3, "no frame begins in the span"),
        ((30, 40), 109, "starts after the video's end"),
        ((5.0, 4.5), 5, "ends before it starts"),
        ((19.95, 25), 109, "reaches past the video's end"),
    ],
)
def test_a_span_without_a_frame_of_its_own_shows_the_one_on_the_screen_and_says_so(
    span: tuple[float, float], shown: int, said: str
) -> None:
    for policy, amount in (("uniform", {"num_frames": 3}), ("rate", {"fps": 0.01})):
        chosen = by_clock(policy, span, **amount)
        assert set(chosen.indices) == {shown}
        assert any(said in note for note in chosen.notes)


def test_too_short_a_span_for_the_rate_shows_its_own_first_frame() -> None:
    nominal = FrameSampling(policy="rate", fps=0.5)
    for sampling in (nominal, replace(nominal, times="real")):
        chosen = choose_frames(250, 25.0, sampling, (4.0, 5.0))
        assert chosen.indices == (100,)
        assert "too short for 0.5 frames per second" in chosen.notes[0]


@given(count=st.integers(1, 32), total=st.integers(1, 2000), fps=st.sampled_from([3.0, 10.0, 25.0, 29.97, 60.0]))
def test_at_a_constant_rate_real_and_nominal_times_choose_the_same(count: int, total: int, fps: float) -> None:
    clock = Clock(times=[round(n / fps, 4) for n in range(total)], end=round(total / fps, 4))
    span = (round(total // 3 / fps, 4), round(total // 2 / fps, 4))
    for sampling in (FrameSampling(policy=p, num_frames=count) for p in ("interior", "segment", "uniform", "stride")):
        real = replace(sampling, times="real")
        for part in (None, span):
            assert choose_frames(total, fps, real, part, clock=clock) == choose_frames(total, fps, sampling, part)


@pytest.mark.parametrize("fps", [10.0, 24.0, 25.0, 30.0])
@pytest.mark.parametrize("rate", [0.5, 1.0, 2.0, 5.0])
def test_at_a_constant_rate_a_rate_is_the_same_by_real_and_nominal_times(fps: float, rate: float) -> None:
    for total in (1, 50, 251, 1000):
        clock = Clock(times=[round(n / fps, 3) for n in range(total)], end=round(total / fps, 3))
        nominal = FrameSampling(policy="rate", fps=rate)
        assert choose_frames(total, fps, replace(nominal, times="real"), clock=clock) == choose_frames(
            total, fps, nominal
        )


def test_nominal_times_are_left_out_of_what_is_stored_so_that_known_runs_stay_known() -> None:
    nominal = FrameSampling(policy="rate", fps=1.0)
    assert "times" not in nominal.to_json()
    assert FrameSampling(**nominal.to_json()) == nominal
    real = replace(nominal, times="real")
    assert real.to_json()["times"] == "real"
    assert FrameSampling(**real.to_json()) == real
