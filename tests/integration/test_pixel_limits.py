"""Limits of pixels give the sizes of frames that qwen-vl-utils gives, which Qwen's published numbers are made with."""

import random
from collections.abc import Iterator

import pytest
import torch
from qwen_vl_utils import vision_process
from transformers.models.qwen2_vl.video_processing_qwen2_vl import smart_resize
from transformers.models.qwen3_vl.video_processing_qwen3_vl import smart_resize as smart_resize_clip

from videval.errors import ModelFailure
from videval.models.sizes import size_told
from videval.types import Pixels

OWN = {"shortest_edge": 128 * 28 * 28, "longest_edge": 768 * 28 * 28}
Case = tuple[int, int, int, int, int, int]


def theirs(case: Case, patch: int, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """The size that qwen-vl-utils resizes the frames of a video to."""
    frames, height, width, least, most, total = case
    said: list[tuple[int, int]] = []

    def resized(video: torch.Tensor, size: list[int], **_: object) -> torch.Tensor:
        said.append((size[0], size[1]))
        return video

    def read(_: object) -> tuple[torch.Tensor, dict[str, object], float]:
        return torch.zeros(1).expand(frames, 3, height, width), {}, 2.0

    monkeypatch.setitem(vision_process.VIDEO_READER_BACKENDS, "made up", read)
    monkeypatch.setattr(vision_process, "get_video_reader_backend", lambda: "made up")
    monkeypatch.setattr(vision_process.transforms.functional, "resize", resized)
    asked = {"video": "a.mp4", "min_pixels": least, "max_pixels": most, "total_pixels": total}
    vision_process.fetch_video(asked, image_patch_size=patch)
    return said[0]


def cases(factor: int) -> Iterator[Case]:
    """Even numbers of frames up to 768, sides from 100 to 2000 pixels, limits as qwen-vl-utils takes them."""
    rng = random.Random(0)
    for _ in range(200):
        least, most = sorted(rng.randint(4, 768) * factor**2 for _ in range(2))
        total = rng.choice([2048, 16384, 24576, 115200]) * factor**2
        yield rng.randint(2, 384) * 2, rng.randint(100, 2000), rng.randint(100, 2000), least, most, total


def test_sizes_by_limits_of_a_frame_are_those_of_qwen_vl_utils(monkeypatch: pytest.MonkeyPatch) -> None:
    for case in cases(28):
        frames, height, width, least, most, total = case
        limits = Pixels(min_pixels=least, max_pixels=most, total_pixels=total)
        told = size_told("frame", [limits], [frames], OWN, step=2)
        assert told is not None
        found = smart_resize(height, width, 28, told["shortest_edge"], told["longest_edge"])
        assert found == theirs(case, 14, monkeypatch), (case, told)


def test_sizes_by_limits_of_a_clip_are_those_of_qwen_vl_utils(monkeypatch: pytest.MonkeyPatch) -> None:
    for frames, height, width, least, most, _ in cases(32):
        told = size_told("clip", [Pixels(min_pixels=least, max_pixels=most)], [frames], OWN, step=2)
        assert told is not None
        found = smart_resize_clip(frames, height, width, 2, 32, told["shortest_edge"], told["longest_edge"])
        plenty = 768 * frames * 32 * 32
        assert found == theirs((frames, height, width, least, most, plenty), 16, monkeypatch)


def test_what_is_not_told_is_as_the_processor_has_it() -> None:
    assert size_told("frame", [Pixels()], [4], OWN) is None
    assert size_told("frame", [Pixels(max_pixels=200_000)], [4], OWN) == {
        "shortest_edge": 128 * 28 * 28,
        "longest_edge": 200_000,
    }
    # what is told counts where the two contradict
    assert size_told("frame", [Pixels(max_pixels=5000)], [4], OWN) == {"shortest_edge": 5000, "longest_edge": 5000}
    assert size_told("clip", [Pixels(min_pixels=10**6)], [4], OWN) == {
        "shortest_edge": 4 * 10**6,
        "longest_edge": 4 * 10**6,
    }


def test_clips_of_one_question_are_told_one_size_or_none() -> None:
    limit = Pixels(total_pixels=10**6)
    with pytest.raises(ModelFailure, match="the clips of one question cannot have several limits in pixels"):
        size_told("frame", [limit, limit], [4, 8], OWN)
    with pytest.raises(ModelFailure, match="takes no limits in pixels"):
        size_told("", [limit], [4], OWN)
