"""What Qwen's families, their omni thinkers and VideoLLaMA3 make of a clip, held against arithmetic done by hand.

The tiny models' frames are 48 x 64 or 120 x 240 pixels. A side becomes a multiple of 28 (patches of 14, merged 2 by 2)
or of 32 (patches of 16): the nearest one, or the next smaller or larger of the scaled side where a limit of pixels says
so. Two frames make one step of time, but one of VideoLLaMA3's.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from tests.films import FPS, Film
from videval.errors import ModelFailure
from videval.models.catalog import load_model, model_spec
from videval.models.hf_chat.model import HfChat
from videval.protocols import Model
from videval.types import Clip, Frame, FrameSampling, Generation, GenerationSettings, Pixels, Prompt, Seen, Text, Video
from videval.video.cache import FrameCache

SMALL, WIDE = (48, 64), (120, 240)
TEXT_TIMES = ("qwen3_vl", "qwen3_vl_moe", "qwen3_5", "qwen3_5_moe")
ONE = GenerationSettings(max_new_tokens=1)

Loaded = Callable[[str], Model]
MakeClip = Callable[..., Clip]


@pytest.fixture(scope="module")
def loaded(tiny: Callable[[str], Path]) -> Loaded:
    @cache
    def load(family: str) -> Model:
        model = load_model(model_spec(f"hf_chat:{tiny(family)}"), devices=["cpu"])
        assert isinstance(model, Model)
        return model

    return load


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> MakeClip:
    folder = tmp_path_factory.mktemp("clips")

    def make(
        numbers: tuple[int, ...],
        size: tuple[int, int] = SMALL,
        *,
        total: int,
        span: int | None = None,
        still: bool = False,
    ) -> Clip:
        path = folder / f"{numbers}-{size[0]}-{total}-{span}-{still}.npy"
        shape = (1 if still else len(numbers), *size, 3)
        frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        np.save(path, np.repeat(frames, len(numbers) if still else 1, axis=0))
        return Clip(
            path=str(path), frame_numbers=numbers, timestamps=tuple(n / 25 for n in numbers), total_frames=total,
            fps=25.0, width=size[1], height=size[0], decoder="none", policy="uniform", span_frames=span,
        )  # fmt: skip

    return make


def answer(model: Model, shown: Clip, pixels: Pixels | None = None, settings: GenerationSettings = ONE) -> Generation:
    prompt = Prompt(parts=(Video(), Text(text="What?")), clips=(shown,), pixels=(pixels,) if pixels else ())
    return model.generate([model.prepare(prompt, settings)])[0]


def seen(model: Model, shown: Clip, pixels: Pixels | None = None) -> Seen:
    (one,) = answer(model, shown, pixels).seen
    return one


def four(clip: MakeClip, size: tuple[int, int] = SMALL) -> Clip:
    """Frames at 0, 1, 2 and 3 seconds of 4 seconds."""
    return clip((0, 25, 50, 75), size, total=100)


# Frames and times


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


# Pixels


@pytest.mark.parametrize(
    ("family", "size", "tokens"),
    [
        # at most 4 x 28 x 28 a frame: 120 and 240 over 3.03
        ("qwen2_vl", (28, 56), 2 * 2),
        ("qwen2_5_vl", (28, 56), 2 * 2),
        # at most 48 x 32 x 32 in all: 120 and 240 over 1.53
        *[(family, (64, 128), 2 * 8) for family in TEXT_TIMES],
    ],
)
def test_without_limits_of_the_run_the_checkpoints_own_count(
    family: str, size: tuple[int, int], tokens: int, loaded: Loaded, clip: MakeClip
) -> None:
    found = seen(loaded(family), four(clip, WIDE))
    assert ((found.height, found.width), found.tokens) == (size, tokens)


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "video_llama_3"])
@pytest.mark.parametrize("limit", ["of each", "of all together", "the smaller one counts"])
def test_at_most_so_many_pixels_of_a_frame_or_of_all_by_patches_of_14(
    family: str, limit: str, loaded: Loaded, clip: MakeClip
) -> None:
    steps = 4 if family == "video_llama_3" else 2
    # the two frames of a step count once, as in qwen-vl-utils
    total = steps * 6 * 28 * 28
    pixels = {
        "of each": Pixels(max_pixels=6 * 28 * 28),
        "of all together": Pixels(max_pixels=9999, total_pixels=total),
        "the smaller one counts": Pixels(max_pixels=6 * 28 * 28, total_pixels=2 * total),
    }[limit]
    found = seen(loaded(family), four(clip, WIDE), pixels)
    # sqrt(120 x 240 / 4704) is 2.474: 48.5 and 97.0, down to multiples of 28
    assert ((found.height, found.width), found.grid, found.tokens) == ((28, 84), (steps, 2, 6), steps * 3)


def test_however_long_the_video_a_frame_has_a_little_more_than_the_least_of_pixels(
    loaded: Loaded, clip: MakeClip
) -> None:
    pixels = Pixels(min_pixels=4480, max_pixels=9999, total_pixels=2 * 28 * 28)
    found = seen(loaded("qwen2_5_vl"), four(clip, WIDE), pixels)
    # 1.05 x 4480 is 4704
    assert (found.height, found.width) == (28, 84)


@pytest.mark.parametrize(
    "pixels",
    [
        Pixels(max_pixels=5 * 32 * 32),
        Pixels(total_pixels=4 * 5 * 32 * 32),
        Pixels(max_pixels=9999, total_pixels=20480),
    ],
    ids=["of each", "of all together", "the smaller one counts"],
)
@pytest.mark.parametrize("family", TEXT_TIMES)
def test_at_most_so_many_pixels_of_a_frame_or_of_all_by_patches_of_16(
    family: str, pixels: Pixels, loaded: Loaded, clip: MakeClip
) -> None:
    found = seen(loaded(family), four(clip, WIDE), pixels)
    # sqrt(4 x 120 x 240 / 20480) is 2.372: 50.6 and 101.2, down to multiples of 32
    assert ((found.height, found.width), found.grid, found.tokens) == ((32, 96), (2, 2, 6), 2 * 3)


@pytest.mark.parametrize(
    ("family", "pixels", "size"),
    [
        # sqrt(12544 / (48 x 64)) is 2.02: 97 and 129, up to multiples of 28
        ("qwen2_vl", Pixels(min_pixels=16 * 28 * 28, max_pixels=20_000), (112, 140)),
        ("qwen2_5_vl", Pixels(min_pixels=16 * 28 * 28, max_pixels=20_000), (112, 140)),
        ("video_llama_3", Pixels(min_pixels=16 * 28 * 28, max_pixels=20_000), (112, 140)),
        # sqrt(20480 / (48 x 64)) is 2.58: 124 and 165, up to multiples of 32
        *[(family, Pixels(min_pixels=20 * 32 * 32, max_pixels=30_000), (128, 192)) for family in TEXT_TIMES],
        # the checkpoint's own least is more than the run's most: the run's counts
        ("qwen2_vl", Pixels(max_pixels=28 * 28 - 1), (28, 28)),
        ("qwen3_omni_moe", Pixels(max_pixels=4 * 32 * 32), (64, 64)),
        ("qwen2_5_omni", Pixels(min_pixels=28 * 28, max_pixels=4 * 28 * 28), (56, 56)),
        ("qwen3_omni_moe", Pixels(min_pixels=32 * 32, max_pixels=4 * 32 * 32), (64, 64)),
    ],
)
def test_at_least_so_many_pixels_of_a_frame(
    family: str, pixels: Pixels, size: tuple[int, int], loaded: Loaded, clip: MakeClip
) -> None:
    found = seen(loaded(family), four(clip), pixels)
    assert (found.height, found.width) == size


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_limits_of_frames_that_are_shown_as_images_are_of_each(family: str, loaded: Loaded, clip: MakeClip) -> None:
    shown, factor = four(clip, WIDE), 28 if family == "qwen2_5_vl" else 32
    frames = tuple(Frame(position=n) for n in range(4))
    limit = Pixels(max_pixels=6 * factor * factor)
    prompt = Prompt(parts=(*frames, Text(text="What?")), clips=(shown,), pixels=(limit,))
    (found,) = loaded(family).prepare(prompt, ONE).seen
    assert (found.height, found.width, found.tokens) == (factor, 3 * factor, 4 * 3)


# Thinking


def test_qwen3_5_thinks_or_not_as_it_is_told(loaded: Loaded, clip: MakeClip) -> None:
    def rendered(thinking: bool | None) -> str:
        settings = GenerationSettings(max_new_tokens=1, thinking=thinking)
        return answer(loaded("qwen3_5"), four(clip), settings=settings).rendered

    assert rendered(None).endswith("assistant\n<think>\n")
    assert rendered(True).endswith("assistant\n<think>\n")
    assert rendered(False).endswith("assistant\n<think>\n\n</think>\n\n")


def test_an_answer_that_is_cut_in_its_thinking_is_none(loaded: Loaded, clip: MakeClip) -> None:
    said = answer(loaded("qwen3_5"), four(clip), settings=GenerationSettings(max_new_tokens=3, thinking=True))
    assert said.cut_thinking
    assert (said.text, said.truncated) == ("", True)
    assert said.thinking


def test_thinking_ends_at_its_budget_and_the_answer_follows(loaded: Loaded, clip: MakeClip) -> None:
    bound = GenerationSettings(max_new_tokens=300, thinking=True, thinking_budget=5)
    said = answer(loaded("qwen3_5"), four(clip), settings=bound)
    thought, sentence, after = (said.thinking or "").partition("\n\nConsidering the limited time by the user, ")
    assert sentence and after == "I have to give the solution based on the thinking directly now."
    assert 0 < len(thought) <= 5
    assert said.text and not said.cut_thinking


def test_the_marks_of_thinking_in_a_question_reach_the_model_as_published_prompts_have_them(
    tiny: Callable[[str], Path], loaded: Loaded, clip: MakeClip
) -> None:
    def ids(question: str) -> list[int]:
        prompt = Prompt(parts=(Video(), Text(text=question)), clips=(four(clip),))
        found: list[int] = loaded("qwen3_5").prepare(prompt, ONE).tensors["input_ids"][0].tolist()
        return found

    words = AutoTokenizer.from_pretrained(tiny("qwen3_5")).convert_tokens_to_ids(["<think>", "</think>"])
    plain, marked = ids("What?"), ids("What is <think> no </think>?")
    assert [plain.count(token) for token in words] == [1, 0]
    assert [marked.count(token) for token in words] == [2, 1]


def test_with_thinking_off_what_is_said_is_the_answer(loaded: Loaded, clip: MakeClip) -> None:
    said = answer(loaded("qwen3_5"), four(clip), settings=GenerationSettings(max_new_tokens=1, thinking=False))
    assert said.thinking is None
    assert said.text


# What transformers does, which is otherwise in other versions and engines (docs/families.md)


def test_the_marks_of_the_template_stay_around_the_frames_of_qwen3(loaded: Loaded, clip: MakeClip) -> None:
    rendered = answer(loaded("qwen3_vl"), four(clip)).rendered
    assert "<|vision_start|><0.5 seconds><|vision_start|>" in rendered
    assert "<|vision_end|>×2What?" in rendered
