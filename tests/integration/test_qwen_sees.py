"""What Qwen's families, their omni thinkers and VideoLLaMA3 make of a clip, held against arithmetic done by hand.

The tiny models' frames are 48 x 64 or 120 x 240 pixels. A side becomes a multiple of 28 (patches of 14, merged 2 by 2)
or of 32 (patches of 16): the nearest one, or the next smaller or larger of the scaled side where a limit of pixels says
so. Two frames make one step of time, but one of VideoLLaMA3's.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.films import FPS, Film
from tests.tiny._seeing import ONE, Loaded, MakeClip, answer, clip, four, loaded, seen
from videval.errors import ModelFailure
from videval.models.catalog import load_model, model_spec
from videval.models.hf_chat.model import HfChat
from videval.types import FrameSampling, Prompt, Seen, Text, Video
from videval.video.cache import FrameCache

__all__ = ["clip", "loaded"]

TEXT_TIMES = ("qwen3_vl", "qwen3_vl_moe", "qwen3_5", "qwen3_5_moe")


@pytest.mark.parametrize(
    ("family", "size", "grid", "tokens", "times"),
    [
        ("qwen2_vl", (56, 56), (2, 4, 4), 8, ()),
        # one frame a second: two seconds for each step of time
        ("qwen2_5_vl", (56, 56), (2, 4, 4), 8, (0.0, 2.0)),
        # the middle between the two frames of a step
        *[(family, (64, 64), (2, 4, 4), 8, (0.5, 2.5)) for family in TEXT_TIMES],
        # at least 128 x 28 x 28 (or 32 x 32) pixels a frame, whatever the checkpoint says: 48 and 64 by 5.72 (or 6.53)
        ("qwen2_5_omni", (280, 392), (2, 20, 28), 280, (0.0, 2.0)),
        ("qwen3_omni_moe", (320, 448), (2, 20, 28), 280, (0.0, 2.0)),
        ("video_llama_3", (56, 56), (4, 4, 4), 16, (0.0, 1.0, 2.0, 3.0)),
    ],
)
def test_what_a_model_sees_of_four_frames_is_what_its_processor_made_of_them(
    family: str, size: tuple[int, int], grid: tuple[int, ...], tokens: int, times: tuple[float, ...],
    loaded: Loaded, clip: MakeClip,
) -> None:  # fmt: skip
    found = seen(loaded(family), four(clip))
    height, width = size
    assert found == Seen(frames=4, width=width, height=height, tokens=tokens, timestamps=times, grid=grid)


@pytest.mark.parametrize(
    ("family", "grid", "tokens", "times"),
    [
        ("qwen2_vl", (3, 4, 4), 12, ()),
        ("qwen2_5_vl", (3, 4, 4), 12, (0.0, 2.0, 4.0)),
        # the last frame is its own partner
        *[(family, (3, 4, 4), 12, (0.5, 2.5, 4.0)) for family in TEXT_TIMES],
        ("video_llama_3", (5, 4, 4), 20, (0.0, 1.0, 2.0, 3.0, 4.0)),
    ],
)
def test_the_last_of_an_odd_number_of_frames_is_shown_twice_where_two_make_a_step(
    family: str, grid: tuple[int, ...], tokens: int, times: tuple[float, ...], loaded: Loaded, clip: MakeClip
) -> None:
    found = seen(loaded(family), clip((0, 25, 50, 75, 100), total=125))
    assert (found.grid, found.tokens, found.timestamps, found.frames) == (grid, tokens, times, 5)


@pytest.mark.parametrize(
    ("family", "times"),
    [
        # four frames of ten seconds: two of them take five seconds, counted from where the clip starts
        ("qwen2_5_vl", (0.0, 5.0)),
        ("qwen2_5_omni", (0.0, 5.0)),
        ("qwen3_omni_moe", (0.0, 5.0)),
        # (30.00 + 32.48) / 2 and (35.00 + 37.48) / 2, told with one digit: seconds of the whole video
        *[(family, (31.2, 36.2)) for family in TEXT_TIMES],
        ("video_llama_3", (30.0, 32.5, 35.0, 37.5)),
    ],
)
def test_of_a_clip_from_second_30_to_40_of_a_long_video_the_true_times_are_told(
    family: str, times: tuple[float, ...], loaded: Loaded, clip: MakeClip
) -> None:
    found = seen(loaded(family), clip((750, 812, 875, 937), total=2500, span=250))
    assert found.timestamps == pytest.approx(times)


@pytest.mark.parametrize("family", TEXT_TIMES)
def test_one_frame_is_too_few_where_two_make_a_step_and_none_is_repeated(
    family: str, loaded: Loaded, clip: MakeClip
) -> None:
    with pytest.raises(ModelFailure, match=r"a clip of 1 frame\(s\), and this model takes 2 or more"):
        seen(loaded(family), clip((50,), total=100))


@pytest.mark.parametrize(
    ("family", "times"),
    [
        # ten frames of 251: 2 x 251 / 25 / 10 seconds a step
        ("qwen2_5_vl", (0.0, 2.008, 4.016, 6.024, 8.032)),
        # (750 + 778) / 2 / 25 is 30.56, and so on
        ("qwen3_vl", (30.6, 32.8, 35.0, 37.2, 39.4)),
    ],
)
def test_a_span_of_a_decoded_video_is_told_in_its_true_seconds(
    family: str, times: tuple[float, ...], loaded: Loaded, tmp_path: Path
) -> None:
    film = Film(name="long.mp4", frames=50 * FPS).write(tmp_path)
    cache = FrameCache(tmp_path / "cache", 1.0)
    sampling = FrameSampling(policy="qwen_vl_utils", fps=1.0)
    shown = cache.clip(film, sampling, (30.0, 40.0), folder_fps=3.0, max_pixels=None)
    assert shown.frame_numbers == (750, 778, 806, 833, 861, 889, 917, 944, 972, 1000)
    assert seen(loaded(family), shown).timestamps == pytest.approx(times)


@pytest.mark.parametrize("family", ["qwen2_5_omni", "qwen3_omni_moe"])
def test_a_processor_of_one_rate_refuses_two_clips_of_several_rates(
    family: str, loaded: Loaded, clip: MakeClip
) -> None:
    slow, fast = clip((0, 25, 50, 75), total=100), clip((0, 5, 10, 15), total=20)
    prompt = Prompt(parts=(Video(clip=0), Video(clip=1), Text(text="Which?")), clips=(slow, fast))
    with pytest.raises(ModelFailure, match="one rate for all clips of a question, and these have 1, 5 frames/s"):
        loaded(family).prepare(prompt, ONE)


@pytest.mark.parametrize(("family", "times"), [("qwen2_5_vl", (0.0, 8.0)), ("qwen3_vl", (1.0, 5.0))])
def test_the_same_frames_at_another_rate_are_told_in_other_seconds(
    family: str, times: tuple[float, ...], loaded: Loaded, clip: MakeClip
) -> None:
    model, shown = loaded(family), four(clip)
    faster = seen(model, shown).timestamps
    slower = seen(model, replace(shown, fps=12.5, total_frames=200)).timestamps
    assert slower == pytest.approx(times)
    assert faster != slower


@pytest.mark.parametrize("family", ["qwen2_5_vl", *TEXT_TIMES, "video_llama_3"])
def test_each_of_two_clips_has_its_own_times(family: str, loaded: Loaded, clip: MakeClip) -> None:
    slow, fast = clip((0, 25, 50, 75), total=100), clip((0, 5, 10, 15), total=20)
    prompt = Prompt(parts=(Video(clip=0), Text(text="and"), Video(clip=1), Text(text="Which?")), clips=(slow, fast))
    first, second = loaded(family).prepare(prompt, ONE).seen
    assert (first, second) == (seen(loaded(family), slow), seen(loaded(family), fast))
    assert second.timestamps != first.timestamps


@pytest.mark.parametrize(
    ("family", "name"), [("qwen2_5_vl", "second_per_grid_ts"), ("qwen2_5_omni", "video_second_per_grid")]
)
def test_seconds_reach_a_model_of_bfloat16_unrounded(
    family: str, name: str, tiny: Callable[[str], Path], clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(model_spec(f"hf_chat:{tiny(family)}"), devices=["cpu"], dtype="bfloat16")
    assert isinstance(model, HfChat)
    given: dict[str, torch.Tensor] = {}
    generate = model._model.generate

    def noted(**inputs: torch.Tensor) -> torch.Tensor:
        given.update(inputs)
        new: torch.Tensor = generate(**inputs)
        return new

    monkeypatch.setattr(model._model, "generate", noted)
    # 4 frames of 18.8 seconds: 9.4 seconds a step, which is 9.375 in bfloat16
    (told,) = answer(model, clip((0, 100, 200, 300), total=470)).seen
    assert told.timestamps == pytest.approx((0.0, 9.4))
    assert given[name].tolist() == pytest.approx([9.4])
    assert given["pixel_values_videos"].dtype == torch.bfloat16


def test_what_did_not_change_since_the_last_frame_costs_videollama3_one_token_a_frame(
    loaded: Loaded, clip: MakeClip
) -> None:
    found = seen(loaded("video_llama_3"), clip((0, 25, 50, 75), total=100, still=True))
    assert (found.tokens, found.grid) == (4 + 1 + 1 + 1, (4, 4, 4))


def test_the_marks_of_the_template_stay_around_the_frames_of_qwen3(loaded: Loaded, clip: MakeClip) -> None:
    rendered = answer(loaded("qwen3_vl"), four(clip)).rendered
    assert "<|vision_start|><0.5 seconds><|vision_start|>" in rendered
    assert "<|vision_end|>×2What?" in rendered
