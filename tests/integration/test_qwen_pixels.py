"""How large Qwen's families, their omni thinkers and VideoLLaMA3 make frames, held against arithmetic done by hand.

The tiny models' frames are 48 x 64 or 120 x 240 pixels. A side becomes a multiple of 28 (patches of 14, merged 2 by 2)
or of 32 (patches of 16): the nearest one, or the next smaller or larger of the scaled side where a limit of pixels says
so. Two frames make one step of time, but one of VideoLLaMA3's.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tiny._seeing import ONE, WIDE, Loaded, MakeClip, clip, four, loaded, seen
from videval.models.catalog import load_model, model_spec
from videval.protocols import Model
from videval.types import Frame, Pixels, Prompt, Text

__all__ = ["clip", "loaded"]

TEXT_TIMES = ("qwen3_vl", "qwen3_vl_moe", "qwen3_5", "qwen3_5_moe")


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


@pytest.mark.parametrize(
    ("family", "tokens", "size"),
    [
        # an even share of 0.9 x 4 x 28 x 28 for each two frames: sqrt(120 x 240 / 1411) is 4.52
        ("qwen2_5_vl", 4, (28, 28)),
        # at most 5 x 32 x 32 of each frame: sqrt(120 x 240 / 5120) is 2.37
        ("qwen3_vl", 5, (32, 96)),
    ],
)
def test_a_cap_of_each_frame_that_a_checkpoint_asks_for_is_kept(
    family: str, tokens: int, size: tuple[int, int], tiny: Callable[[str], Path], clip: MakeClip, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny(family), tmp_path / "capped"))
    config = json.loads((folder / "processor_config.json").read_text())
    config["video_processor"] |= {"cap_pixels_per_frame": True, "max_video_tokens": tokens}
    (folder / "processor_config.json").write_text(json.dumps(config))
    model = load_model(model_spec(f"hf_chat:{folder}"), devices=["cpu"])
    assert isinstance(model, Model)
    found = seen(model, four(clip, WIDE))
    assert (found.height, found.width) == size
