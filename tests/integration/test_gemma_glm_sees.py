"""What Gemma, GLM-V, MiniCPM-V, ERNIE-VL and EXAONE make of a clip, held against arithmetic done by hand.

The tiny models' frames are 48 x 64 or 120 x 240 pixels, their patches 4 x 4 (EXAONE's 14 x 14, Gemma 3's 7 x 7).
"""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from transformers import AutoProcessor

from tests.tiny._seeing import ONE, Loaded, MakeClip, answer, clip, four, loaded, seen
from videval.errors import ModelFailure
from videval.models.hf_chat.model import HfChat
from videval.types import Clip, Frame, Pixels, Prompt, Seen, Text, Video
from videval.types import Image as Picture

__all__ = ["clip", "loaded"]

WIDE = (120, 240)
GEMMA4 = ("gemma4", "gemma4_unified")
GLM = ("glm4v", "glm4v_flash", "glm4v_moe", "glm46v", "glmga")
WHOLE_SECONDS = ("glm4v", "glm4v_moe")
TENTHS = ("glm4v_flash", "glm46v", "glmga")
MINICPM = ("minicpmv4_6", "minicpmv4_7")


# Frames, sizes, tokens and times


@pytest.mark.parametrize(
    ("family", "size", "grid", "tokens", "times"),
    [
        # a square of 28 x 28 for each frame, pooled to 4 tokens
        ("gemma3", (28, 28), (), 16, ()),
        # 70 tokens of 12 x 12 pixels fit a frame of 84 x 108: 7 x 9
        *[(family, (84, 108), (4, 21, 27), 4 * 63, (0.0, 1.0, 2.0, 3.0)) for family in GEMMA4],
        # two frames are one step; 48 and 64 are multiples of 8
        *[(family, (48, 64), (2, 12, 16), 2 * 48, (0.0, 2.0)) for family in GLM],
        # int(32 / sqrt(4 / 3)) is 27, 27 * 4 / 3 is 36, both nearest to 2 x 16: 2 x 2 tokens
        *[(family, (32, 32), (4, 8, 8), 4 * 4, ()) for family in MINICPM],
        # the grid counts frames, and two of them become one step of tokens
        ("ernie4_5_vl_moe", (48, 64), (4, 12, 16), 2 * 48, (0.0, 1.0, 2.0, 3.0)),
        ("exaone4_5", (56, 56), (2, 4, 4), 2 * 4, ()),
    ],
)
def test_what_a_model_sees_of_four_frames_is_what_its_processor_made_of_them(
    family: str, size: tuple[int, int], grid: tuple[int, ...], tokens: int, times: tuple[float, ...],
    loaded: Loaded, clip: MakeClip,
) -> None:  # fmt: skip
    height, width = size
    expected = Seen(frames=4, width=width, height=height, tokens=tokens, timestamps=times, grid=grid)
    assert seen(loaded(family), four(clip)) == expected


@pytest.mark.parametrize(
    ("family", "steps", "tokens", "times"),
    [
        ("gemma3", None, 20, ()),
        *[(family, 5, 5 * 63, (0.0, 1.0, 2.0, 3.0, 4.0)) for family in GEMMA4],
        *[(family, 3, 3 * 48, (0.0, 2.0, 4.0)) for family in GLM],
        *[(family, 5, 5 * 4, ()) for family in MINICPM],
        # the fifth is shown twice, and its time is in both
        ("ernie4_5_vl_moe", 6, 3 * 48, (0.0, 1.0, 2.0, 3.0, 4.0)),
        ("exaone4_5", 3, 3 * 4, ()),
    ],
)
def test_the_last_of_an_odd_number_of_frames_is_shown_twice_where_two_make_a_step(
    family: str, steps: int | None, tokens: int, times: tuple[float, ...], loaded: Loaded, clip: MakeClip
) -> None:
    found = seen(loaded(family), clip((0, 25, 50, 75, 100), total=125))
    assert (found.frames, found.tokens, found.timestamps) == (5, tokens, times)
    assert found.grid[:1] == (() if steps is None else (steps,))


@pytest.mark.parametrize(
    ("family", "times"),
    [
        # whole seconds of the whole video, cut off and not rounded
        *[(family, (30.0, 32.0, 35.0, 37.0)) for family in GEMMA4],
        *[(family, (30.0, 35.0)) for family in WHOLE_SECONDS],
        *[(family, (30.1, 35.2)) for family in TENTHS],
        ("ernie4_5_vl_moe", (30.08, 32.48, 35.2, 37.48)),
    ],
)
def test_of_a_clip_from_second_30_to_40_of_a_long_video_the_true_times_are_told(
    family: str, times: tuple[float, ...], loaded: Loaded, clip: MakeClip
) -> None:
    found = seen(loaded(family), clip((752, 812, 880, 937), total=2500, span=250))
    assert found.timestamps == times


@pytest.mark.parametrize(
    ("family", "told", "times"),
    [
        ("gemma4", "75:03 <|image>", (4503.0, 4504.0)),
        ("glm4v", "<|end_of_image|>4503<", (4503.0,)),
        ("glm46v", "<|end_of_image|>4503.5 seconds", (4503.5,)),
        ("ernie4_5_vl_moe", "<|VIDEO_START|>", (4503.48, 4504.48)),
    ],
)
def test_times_past_an_hour_are_read_as_they_are_written(
    family: str, told: str, times: tuple[float, ...], loaded: Loaded, clip: MakeClip
) -> None:
    made = answer(loaded(family), clip((112587, 112612), total=200000))
    assert told in made.rendered
    assert made.seen[0].timestamps == times


def test_times_are_told_where_each_family_tells_them(loaded: Loaded, clip: MakeClip) -> None:
    shown = four(clip)
    assert answer(loaded("gemma4"), shown).rendered.startswith(
        "<bos><|turn>user\n00:00 <|image><|video|>×63<image|> 00:01 <|image><|video|>×63<image|> "
    )
    frame = "<|begin_of_image|><|image|>×48<|end_of_image|>"
    assert f"<|begin_of_video|>{frame}0{frame}2<|end_of_video|>What?" in answer(loaded("glm4v"), shown).rendered
    told = f"<|begin_of_video|>{frame}0.0 seconds{frame}2.0 seconds<|end_of_video|>What?"
    assert told in answer(loaded("glm46v"), shown).rendered
    minicpm = answer(loaded("minicpmv4_6"), shown).rendered
    assert minicpm.startswith("<|im_start|>user\n" + "<image><|video_pad|>×4</image>" * 4 + "\nWhat?")


@pytest.mark.parametrize("family", GLM)
def test_glm_cannot_be_shown_one_frame(family: str, loaded: Loaded, clip: MakeClip) -> None:
    with pytest.raises(ModelFailure, match="a clip of 1 frame"):
        loaded(family).prepare(Prompt(parts=(Video(),), clips=(clip((0,), total=100),)), ONE)


# ERNIE draws times into the frames


def drawn(shown: Clip, font: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The frames with their times in the corner, as ERNIE's processor writes them: black, with a white border."""
    pictures = [Image.fromarray(frame) for frame in np.load(shown.path)]
    size = int(min(pictures[0].size) * 0.1)
    for picture, time in zip(pictures, shown.timestamps, strict=True):
        text = f"time: {int(time // 3600):02d}:{int(time % 3600 // 60):02d}:{time % 60:05.2f}"
        ImageDraw.Draw(picture).text(
            (0, 0), text, font=ImageFont.truetype(font, size), fill=(0, 0, 0), stroke_width=int(size * 0.1),
            stroke_fill=(255, 255, 255),
        )  # fmt: skip
    return np.stack([np.asarray(picture) for picture in pictures])


def test_ernies_frames_bear_their_true_times_and_the_cached_clip_does_not(loaded: Loaded, clip: MakeClip) -> None:
    shown = clip((752, 812, 880, 93750), WIDE, total=100000)
    before = np.load(shown.path)
    model = loaded("ernie4_5_vl_moe")
    assert isinstance(model, HfChat)
    inputs = model.prepare(Prompt(parts=(Video(), Text(text="What?")), clips=(shown,)), ONE)
    processor = AutoProcessor.from_pretrained(model.describe()["checkpoint"])
    made = processor.video_processor(
        [drawn(shown, processor.video_processor.font)],
        draw_on_frames=False,
        do_sample_frames=False,
        return_tensors="pt",
    )
    assert np.array_equal(inputs.tensors["pixel_values_videos"], made["pixel_values_videos"])
    assert inputs.seen[0].timestamps[-1] == 3750.0
    assert np.array_equal(np.load(shown.path), before)


# Limits of pixels


@pytest.mark.parametrize("family", GLM)
@pytest.mark.parametrize(
    ("pixels", "size"),
    [
        # the checkpoint's own 25,600 for 4 frames: sqrt(4 x 28,800 / 25,600) is 2.12: 56.6 and 113.1
        (Pixels(), (56, 112)),
        # sqrt(4 x 28,800 / 6,144) is 4.33: 27.7 and 55.4
        (Pixels(max_pixels=1536), (24, 48)),
        (Pixels(total_pixels=6144), (24, 48)),
        (Pixels(max_pixels=9999, total_pixels=6144), (24, 48)),
    ],
)
def test_limits_of_glm_are_of_all_frames_together(
    family: str, pixels: Pixels, size: tuple[int, int], loaded: Loaded, clip: MakeClip
) -> None:
    found = seen(loaded(family), four(clip, WIDE), pixels)
    assert (found.height, found.width) == size
    assert found.tokens == 2 * (size[0] // 8) * (size[1] // 8)


@pytest.mark.parametrize(
    ("pixels", "size"),
    [
        # the checkpoint's own 12,800 of a frame: sqrt(28,800 / 12,800) is 1.5
        (Pixels(), (80, 160)),
        # sqrt(28,800 / 1,536) is 4.33
        (Pixels(max_pixels=1536), (24, 48)),
        # sqrt(51,200 / 28,800) is 1.33, up to multiples of 8
        (Pixels(min_pixels=51_200, max_pixels=60_000), (160, 320)),
    ],
)
def test_limits_of_ernie_are_of_each_frame(
    pixels: Pixels, size: tuple[int, int], loaded: Loaded, clip: MakeClip
) -> None:
    found = seen(loaded("ernie4_5_vl_moe"), four(clip, WIDE), pixels)
    assert (found.height, found.width) == size
    assert found.tokens == 2 * (size[0] // 8) * (size[1] // 8)


@pytest.mark.parametrize("family", GEMMA4)
@pytest.mark.parametrize(
    ("pixels", "size", "tokens"),
    [
        # 70 tokens of 12 x 12 pixels: 10,080 at 1 to 2 is 71.0 x 142.0, down to multiples of 12
        (Pixels(), (60, 132), 5 * 11),
        # 280 tokens: 40,320 is 142.0 x 284.0
        (Pixels(max_pixels=40_320), (132, 276), 11 * 23),
        # 140 tokens are the most within it: 20,160 is 100.4 x 200.8
        (Pixels(max_pixels=40_319), (96, 192), 8 * 16),
        (Pixels(total_pixels=4 * 20_160), (96, 192), 8 * 16),
        (Pixels(max_pixels=40_320, total_pixels=4 * 20_160), (96, 192), 8 * 16),
    ],
)
def test_limits_of_gemma_4_are_its_numbers_of_tokens(
    family: str, pixels: Pixels, size: tuple[int, int], tokens: int, loaded: Loaded, clip: MakeClip
) -> None:
    found = seen(loaded(family), four(clip, WIDE), pixels)
    assert ((found.height, found.width), found.tokens) == (size, 4 * tokens)


@pytest.mark.parametrize("pixels", [Pixels(max_pixels=10_079), Pixels(min_pixels=1, max_pixels=20_160)])
def test_gemma_4_refuses_what_no_number_of_tokens_keeps(pixels: Pixels, loaded: Loaded, clip: MakeClip) -> None:
    with pytest.raises(ModelFailure, match="at most 10080, 20160, 40320, 80640, 161280 pixels"):
        seen(loaded("gemma4"), four(clip), pixels)


@pytest.mark.parametrize("family", ["gemma3", *MINICPM])
def test_families_that_resize_by_themselves_refuse_limits(family: str, loaded: Loaded, clip: MakeClip) -> None:
    with pytest.raises(ModelFailure, match="takes no limits in pixels"):
        seen(loaded(family), four(clip), Pixels(max_pixels=9999))


# Several clips


@pytest.mark.parametrize("family", [*GEMMA4, *GLM, *MINICPM, "ernie4_5_vl_moe", "gemma3"])
def test_each_of_two_clips_is_read_back_by_itself(family: str, loaded: Loaded, clip: MakeClip) -> None:
    model, slow, fast = loaded(family), four(clip), clip((0, 50, 100, 150, 200, 250), WIDE, total=300)
    parts = (Video(clip=0), Text(text="and"), Video(clip=1), Text(text="Which?"))
    both = model.prepare(Prompt(parts=parts, clips=(slow, fast)), ONE)
    assert both.seen == (seen(model, slow), seen(model, fast))


# Images


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Picture:
    path = tmp_path_factory.mktemp("pictures") / "noise.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 80, 3), dtype=np.uint8)).save(path)
    return Picture(path=str(path))


@pytest.mark.parametrize("family", GLM)
def test_glm_takes_no_images_beside_a_video(family: str, loaded: Loaded, clip: MakeClip, picture: Picture) -> None:
    with pytest.raises(ModelFailure, match="video or images with a question, not both"):
        loaded(family).prepare(Prompt(parts=(Video(), picture), clips=(four(clip),)), ONE)


@pytest.mark.parametrize("family", [*GEMMA4, *MINICPM, "ernie4_5_vl_moe", "exaone4_5", "gemma3"])
def test_an_image_beside_a_clip_is_no_part_of_what_is_seen_of_the_clip(
    family: str, loaded: Loaded, clip: MakeClip, picture: Picture
) -> None:
    model, shown = loaded(family), four(clip)
    inputs = model.prepare(Prompt(parts=(picture, Video(), Text(text="What?")), clips=(shown,)), ONE)
    assert inputs.seen == (seen(model, shown),)
    assert len(model.generate([inputs, inputs])) == 2


@pytest.mark.parametrize(
    ("family", "size", "tokens"),
    [
        *[(family, (84, 108), 63) for family in GEMMA4],
        *[(family, (48, 64), 48) for family in GLM],
        # an image is shown whole and in 2 x 2 slices of 32 x 32 again, 4 tokens each
        *[(family, (32, 32), 20) for family in MINICPM],
        ("ernie4_5_vl_moe", (48, 64), 48),
    ],
)
def test_frames_that_are_shown_as_images_are_counted_as_such(
    family: str, size: tuple[int, int], tokens: int, loaded: Loaded, clip: MakeClip
) -> None:
    frames = tuple(Frame(position=n) for n in (0, 2, 3))
    (found,) = loaded(family).prepare(Prompt(parts=(*frames, Text(text="What?")), clips=(four(clip),)), ONE).seen
    assert (found.frames, (found.height, found.width), found.tokens) == (3, size, 3 * tokens)
    assert found.timestamps == ()
