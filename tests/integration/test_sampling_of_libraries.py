"""Each policy of a model's authors chooses what the library that defines it chooses, frame for frame."""

import math
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from qwen_vl_utils import vision_process as qwen
from transformers.models.glm4v.video_processing_glm4v import Glm4vVideoProcessor
from transformers.models.glm46v.video_processing_glm46v import Glm46VVideoProcessor
from transformers.models.internvl.video_processing_internvl import InternVLVideoProcessor
from transformers.models.minicpmv4_6.video_processing_minicpmv4_6 import MiniCPMV4_6VideoProcessor
from transformers.models.molmo2.video_processing_molmo2 import Molmo2VideoProcessor
from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor
from transformers.models.smolvlm.video_processing_smolvlm import SmolVLMVideoProcessor
from transformers.video_utils import VideoMetadata

from videval.types import FrameSampling
from videval.video.sampling import POLICY, choose_frames, frame_indices

RATES = (1.0, 2.0, 10.0, 15.0, 23.976, 24000 / 1001, 24.0, 25.0, 29.97, 30.0, 50.0, 59.94, 60.0, 120.0)
EDGES = (1, 2, 3, 4, 5, 7, 8, 9, 47, 48, 49, 719, 720, 721, 899, 900, 901, 7200, 9000, 9001, 72000, 107892, 431568)


def videos(seconds: float = math.inf) -> Iterator[tuple[int, float]]:
    """Some hundred pairs of (frames, frames per second), of at most so many seconds: edges at every rate, and others of
    all sizes."""
    drawn = random.Random(12)
    others = [
        (int(math.exp(drawn.uniform(0, math.log(2_000_000)))), drawn.choice((*RATES, drawn.uniform(0.5, 120))))
        for _ in range(300)
    ]
    for total, fps in [*((total, fps) for total in EDGES for fps in RATES), *others]:
        if total / fps <= seconds:
            yield total, fps


def metadata(total: int, fps: float) -> VideoMetadata:
    return VideoMetadata(total_num_frames=total, fps=fps, duration=total / fps)


def numbers(chosen: Any) -> list[int]:
    return [int(n) for n in chosen]


def inside(chosen: Any, total: int) -> list[int]:
    """The library's frames, without the one that its rounding puts behind the video's end (torch.arange)."""
    return [n for n in numbers(chosen) if n < total]


def fails(choose: Callable[[], Any]) -> bool:
    try:
        choose()
    except (ValueError, ZeroDivisionError, RuntimeError):
        return True
    return False


@pytest.mark.parametrize(("fps", "least", "most"), [(2.0, 4, 768), (1.0, 4, 64), (0.5, 2, 16), (30.0, 8, 2048)])
def test_qwen2_vl_by_rate(fps: float, least: int, most: int) -> None:
    library = Qwen2VLVideoProcessor()
    sampling = FrameSampling(policy="qwen2_vl", fps=fps, min_frames=least, max_frames=most)
    for total, source in videos():
        ours = frame_indices(total, source, sampling)
        if total < 2:  # which the library divides by zero for
            assert ours == [0]
            continue
        theirs = library.sample_frames(metadata(total, source), fps=fps, min_frames=least, max_frames=most)
        assert ours == inside(theirs, total), (total, source)


@pytest.mark.parametrize("count", [2, 7, 8, 9, 64, 100])
def test_qwen2_vl_by_count(count: int) -> None:
    library, sampling = Qwen2VLVideoProcessor(), FrameSampling(policy="qwen2_vl", num_frames=count)
    for total, source in videos():
        ours = choose_frames(total, source, sampling)
        if total < round(count / 2) * 2:  # which the library refuses
            assert fails(lambda: library.sample_frames(metadata(total, source), num_frames=count))  # noqa: B023
            assert len(ours.indices) == (total // 2 * 2 or 1)
            assert ours.notes
            continue
        theirs = library.sample_frames(metadata(total, source), num_frames=count)
        assert list(ours.indices) == inside(theirs, total), (total, source)


def test_qwen2_vl_s_constants_are_those_of_its_processor() -> None:
    library = Qwen2VLVideoProcessor()
    assert POLICY["qwen2_vl"].constants == {
        "min_frames": library.min_frames,
        "max_frames": library.max_frames,
        "multiple": library.temporal_patch_size,
    }


@pytest.mark.parametrize("fps", [None, 0.5, 1.0, 2.0, 4.0, 30.0])
def test_qwen3_vl_by_rate(fps: float | None) -> None:
    library, sampling = Qwen3VLVideoProcessor(), FrameSampling(policy="qwen3_vl", fps=fps)
    for total, source in videos():
        theirs = numbers(library.sample_frames(metadata(total, source), fps=fps))
        assert frame_indices(total, source, sampling) == theirs, (total, source)


@pytest.mark.parametrize("count", [1, 2, 7, 8, 64])
def test_qwen3_vl_by_count(count: int) -> None:
    library, sampling = Qwen3VLVideoProcessor(), FrameSampling(policy="qwen3_vl", num_frames=count)
    library.fps = None  # which a count excludes
    for total, source in videos():
        theirs = numbers(library.sample_frames(metadata(total, source), num_frames=count))
        assert frame_indices(total, source, sampling) == theirs, (total, source)


def test_qwen3_vl_with_limits_of_one_s_own() -> None:
    library = Qwen3VLVideoProcessor(min_frames=16, max_frames=2048)
    sampling = FrameSampling(policy="qwen3_vl", min_frames=16, max_frames=2048)
    for total, source in videos():
        theirs = numbers(library.sample_frames(metadata(total, source), fps=2))
        assert frame_indices(total, source, sampling) == theirs, (total, source)


def qwen_utils(total: int, source: float, told: Mapping[str, Any]) -> list[int]:
    """As `_read_video_decord` of qwen-vl-utils has it, without the video."""
    start, end, frames = qwen.calculate_video_frame_range(told, total, source)
    count = qwen.smart_nframes(told, total_frames=frames, video_fps=source)
    return numbers(torch.linspace(start, end, count).round().long())


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"fps": 1.0},
        {"fps": 4.0, "max_frames": 512},
        {"fps": 0.5, "min_frames": 7, "max_frames": 65},
        {"fps": 2.0, "min_frames": 4, "max_frames": 2048},
    ],
)
def test_qwen_vl_utils_by_rate(told: dict[str, Any]) -> None:
    sampling = FrameSampling(policy="qwen_vl_utils", **told)
    for total, source in videos():
        ours = frame_indices(total, source, sampling)
        if total < 2:
            assert fails(lambda: qwen_utils(total, source, told))  # noqa: B023
            assert ours == [0]
            continue
        assert ours == qwen_utils(total, source, told), (total, source)


@pytest.mark.parametrize("count", [2, 3, 8, 31, 64])
def test_qwen_vl_utils_by_count(count: int) -> None:
    sampling = FrameSampling(policy="qwen_vl_utils", num_frames=count)
    for total, source in videos():
        ours = frame_indices(total, source, sampling)
        if total < round(count / 2) * 2:
            assert fails(lambda: qwen_utils(total, source, {"nframes": count}))  # noqa: B023
            assert len(ours) == (total // 2 * 2 or 1)
            continue
        assert ours == qwen_utils(total, source, {"nframes": count}), (total, source)


def test_qwen_vl_utils_constants_are_those_of_the_library() -> None:
    assert POLICY["qwen_vl_utils"].constants == {
        "fps": qwen.FPS,
        "min_frames": qwen.FPS_MIN_FRAMES,
        "max_frames": qwen.FPS_MAX_FRAMES,
        "multiple": qwen.FRAME_FACTOR,
    }


@pytest.mark.parametrize("span", [(0.0, 10.0), (1.5, 2.25), (3.3, 77.7), (100.0, 4000.0), (12.34, 12.9)])
def test_a_span_holds_the_frames_that_qwen_vl_utils_takes_for_it_by_their_numbers_in_the_video(
    span: tuple[float, float],
) -> None:
    sampling = FrameSampling(policy="qwen_vl_utils", fps=2.0)
    compared = 0
    for total, source in videos():
        told = {"fps": 2.0, "video_start": span[0], "video_end": span[1]}
        if fails(lambda: qwen_utils(total, source, told)):  # noqa: B023
            continue
        _, _, frames = qwen.calculate_video_frame_range(told, total, source)
        ours = choose_frames(total, source, sampling, span)
        assert list(ours.indices) == qwen_utils(total, source, told), (total, source)
        assert ours.span_frames == (None if frames == total else frames)
        compared += 1
    assert compared > 100


def test_glm46v() -> None:
    library, sampling = Glm46VVideoProcessor(), FrameSampling(policy="glm46v")
    for total, source in videos(seconds=4000):
        theirs = numbers(library.sample_frames(metadata(total, source))) or [0, 0]
        assert frame_indices(total, source, sampling) == theirs, (total, source)


@pytest.mark.parametrize(("seconds", "rate"), [(30, 6), (31, 2), (300, 2), (301, 1)])
def test_glm46v_s_rate_falls_where_the_library_s_does(seconds: int, rate: int) -> None:
    chosen = frame_indices(seconds * 25, 25.0, FrameSampling(policy="glm46v"))
    assert chosen == numbers(Glm46VVideoProcessor().sample_frames(metadata(seconds * 25, 25.0)))
    assert abs(len(set(chosen)) - min(seconds * rate, 640)) <= 1


@pytest.mark.parametrize("fps", [0.5, 2.0])
def test_glm4v(fps: float) -> None:
    library, sampling = Glm4vVideoProcessor(), FrameSampling(policy="glm4v", fps=fps)
    for total, source in videos(seconds=4000):
        theirs = numbers(library.sample_frames(metadata(total, source), fps=fps))
        assert frame_indices(total, source, sampling) == theirs, (total, source)


@pytest.mark.parametrize("most", [64, 128])
def test_minicpmv4_6(most: int) -> None:
    library, sampling = MiniCPMV4_6VideoProcessor(), FrameSampling(policy="minicpmv4_6", max_frames=most)
    for total, source in videos(seconds=4000):
        theirs = numbers(library.sample_frames(metadata(total, source), max_num_frames=most, stack_frames=1))
        assert frame_indices(total, source, sampling) == theirs, (total, source)


@pytest.mark.parametrize("fps", [0.5, 2.0])
def test_internvl_by_rate(fps: float) -> None:
    library, sampling = InternVLVideoProcessor(), FrameSampling(policy="internvl", fps=fps)
    for total, source in videos():
        count = int(total / source * fps)
        if count < 1:  # which the library divides by zero for
            assert len(frame_indices(total, source, sampling)) == 1
        elif count <= min(total, 4_096):
            theirs = numbers(library.sample_frames(metadata(total, source), fps=fps))
            assert frame_indices(total, source, sampling) == theirs, (total, source)


@pytest.mark.parametrize("count", [1, 2, 8, 16, 49, 128])
def test_internvl_by_count(count: int) -> None:
    library, sampling = InternVLVideoProcessor(), FrameSampling(policy="internvl", num_frames=count)
    for total, source in videos():
        ours = choose_frames(total, source, sampling)
        if count > total:  # which the library refuses
            assert fails(lambda: library.sample_frames(metadata(total, source), num_frames=count))  # noqa: B023
            assert ours.indices == tuple(range(total)) and ours.notes
            continue
        theirs = numbers(library.sample_frames(metadata(total, source), num_frames=count))
        assert list(ours.indices) == theirs, (total, source)


@pytest.mark.parametrize(("fps", "most"), [(1.0, 64), (1.0, 8), (2.0, 50), (0.25, 16)])
def test_smolvlm(fps: float, most: int) -> None:
    library, sampling = SmolVLMVideoProcessor(), FrameSampling(policy="smolvlm", fps=fps, max_frames=most)
    for total, source in videos():
        theirs = numbers(library.sample_frames(metadata(total, source), fps=fps, num_frames=most))
        assert frame_indices(total, source, sampling) == theirs, (total, source)


def uniform_last_frame(total: int, fps: float, most: int, max_fps: float | None) -> list[int]:
    """vLLM 0.32, Molmo2ProcessingInfo._sample_frames in the mode uniform_last_frame, written from its description."""
    every = list(range(total))
    if max_fps is None or (total / fps > (most - 1) / max_fps and total > 2):
        return numbers(np.linspace(0, total - 1, num=min(most, total)).astype(int))
    if total <= 2:
        return every
    steps = [k * (fps / max_fps) for k in range(math.ceil((total - 1) / (fps / max_fps)))]
    last = [] if round(steps[-1]) == total - 1 else [total - 1]
    return [round(step) for step in steps] + last


@pytest.mark.parametrize(("max_fps", "most"), [(2.0, 384), (10.0, 64)])
def test_molmo2_is_uniform_last_frame(max_fps: float, most: int) -> None:
    sampling = FrameSampling(policy="molmo2", fps=max_fps, max_frames=most)
    for total, source in videos():
        ours = frame_indices(total, source, sampling)
        assert ours == uniform_last_frame(total, source, most, max_fps), (total, source)
        assert ours[-1] == total - 1 and len(ours) <= most


@pytest.mark.parametrize("count", [2, 8, 384])
def test_molmo2_by_count(count: int) -> None:
    for total, source in videos():
        ours = frame_indices(total, source, FrameSampling(policy="molmo2", num_frames=count))
        assert ours == uniform_last_frame(total, source, count, None), (total, source)


def test_transformers_own_molmo2_leaves_out_the_last_frame_and_is_another_sampling() -> None:
    theirs = numbers(Molmo2VideoProcessor().sample_frames(metadata(250, 25.0), num_frames=384))
    ours = frame_indices(250, 25.0, FrameSampling(policy="molmo2"))
    assert 249 not in theirs and ours[-1] == 249


def test_every_policy_of_authors_names_its_source_with_a_version() -> None:
    named = [policy.source for policy in POLICY.values() if policy.by_author]
    assert len(named) == 9
    assert all(any(part[0].isdigit() for part in source.replace(",", "").split()) for source in named)
