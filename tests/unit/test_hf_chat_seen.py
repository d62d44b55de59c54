"""What a processor made of a clip is read back, and a difference from what was shown is a failure with its figures."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from videval.errors import ModelFailure
from videval.models.families import Family
from videval.models.hf_chat.messages import Visual
from videval.models.hf_chat.seen import read_back, shapes_of
from videval.types import Clip, Seen

CLIP = Clip(
    path="c.npy", frame_numbers=(0, 10, 20, 30), timestamps=(0.0, 1.0, 2.0, 3.0), total_frames=40, fps=10.0, width=64,
    height=32, decoder="none", policy="stride",
)  # fmt: skip
ODD = replace(CLIP, frame_numbers=(0, 10, 20), timestamps=(0.0, 1.0, 2.0))
VIDEO = Visual(kind="video", clip=0)
DEFAULT = Family()
MARKED = Family(time_mark=r"<(?P<s>\d+\.\d) seconds>")


class Words:
    """A tokenizer that knows two tokens."""

    def convert_tokens_to_ids(self, token: str) -> int:
        return {"<v>": 1, "<i>": 2}[token]


PROCESSOR = SimpleNamespace(
    video_token="<v>", image_token="<i>", tokenizer=Words(),
    video_processor=SimpleNamespace(patch_size=8, temporal_patch_size=2), image_processor=SimpleNamespace(patch_size=8),
)  # fmt: skip


def made(text: str = "<v>" * 16, *, kind: str = "video", **outputs: Any) -> dict[str, Any]:
    """What a processor gives: the text in the place of the clip, tokens to fit, and outputs."""
    count = text.count("<v>")
    return {
        "input_ids": torch.tensor([[5, *[1] * count, *[2] * text.count("<i>"), 5]]),
        "text_replacement_offsets": [[{"type": kind, "replacement": text}]],
        **{name: torch.tensor(value) for name, value in outputs.items()},
    }


def seen(outputs: dict[str, Any], clip: Clip = CLIP, family: Family = DEFAULT) -> Seen:
    (one,) = read_back(outputs, PROCESSOR, family, [clip], [VIDEO], shapes_of(outputs, PROCESSOR, [VIDEO]))
    return one


def test_frames_pixels_and_tokens_are_read_from_the_grid() -> None:
    assert seen(made(video_grid_thw=[[2, 4, 8]])) == Seen(frames=4, width=64, height=32, tokens=16, grid=(2, 4, 8))


def test_the_last_frame_may_be_repeated_to_fill_a_step_and_is_counted_once() -> None:
    assert seen(made(video_grid_thw=[[2, 4, 8]]), ODD).frames == 3


@pytest.mark.parametrize("steps", [1, 3])
def test_a_processor_that_samples_or_duplicates_is_found_out(steps: int) -> None:
    with pytest.raises(ModelFailure, match=f"{2 * steps} frames of the 4"):
        seen(made(video_grid_thw=[[steps, 4, 8]]))


def test_frames_are_read_from_pixels_where_there_is_no_grid() -> None:
    outputs = made(pixel_values_videos=torch.zeros(1, 4, 3, 6, 10).tolist())
    assert seen(outputs) == Seen(frames=4, width=10, height=6, tokens=16)
    with pytest.raises(ModelFailure, match="4 frames of the 3"):
        seen(outputs, ODD)


def test_outputs_that_nobody_can_read_are_said() -> None:
    with pytest.raises(ModelFailure, match=r"read back from input_ids \[1, 18\]"):
        seen(made())


def test_tokens_that_were_cut_from_the_prompt_are_missed() -> None:
    outputs = made(video_grid_thw=[[2, 4, 8]])
    with pytest.raises(ModelFailure, match=r"15 tokens .* made 16"):
        seen(outputs | {"input_ids": torch.tensor([[5, *[1] * 15]])})


def test_a_placeholder_that_was_not_filled_is_missed() -> None:
    with pytest.raises(ModelFailure, match="0 video"):
        seen(made(video_grid_thw=[[2, 4, 8]]) | {"text_replacement_offsets": [[]]})


def test_times_in_the_prompt_are_read_for_each_step() -> None:
    text = "<0.5 seconds>" + "<v>" * 8 + "<2.5 seconds>" + "<v>" * 8
    assert seen(made(text, video_grid_thw=[[2, 4, 8]]), family=MARKED).timestamps == (0.5, 2.5)


@pytest.mark.parametrize(
    ("times", "why"),
    [((0.5,), "1 times of 2 steps"), ((0.5, 5.0), "5.0 s of frames that are at 2.00 to 3.00"), ((), "0 times")],
)
def test_times_that_are_not_the_frames_are_a_failure(times: tuple[float, ...], why: str) -> None:
    text = "<v>" * 16 + "".join(f"<{time} seconds>" for time in times)
    with pytest.raises(ModelFailure, match=why):
        seen(made(text, video_grid_thw=[[2, 4, 8]]), family=MARKED)


def test_times_in_minutes_and_whole_seconds_are_read_as_exactly_as_they_are_written() -> None:
    clip = replace(CLIP, frame_numbers=(0, 619, 1200, 36050), total_frames=40000)
    family = Family(time_mark=r"(?:(?P<h>\d+):)?(?P<m>\d\d):(?P<s>\d\d) ")
    text = "00:00 <v>01:01 <v>02:00 <v>1:00:05 <v>"
    outputs = made(text, pixel_values_videos=torch.zeros(1, 4, 3, 6, 10).tolist())
    assert seen(outputs, clip, family).timestamps == (0.0, 61.0, 120.0, 3605.0)
    with pytest.raises(ModelFailure, match=r"61\.0 s of frames that are at 63\.90"):
        seen(outputs, replace(clip, frame_numbers=(0, 639, 1200, 36050)), family)


def test_times_by_position_are_those_of_evenly_spread_frames() -> None:
    told = made(video_grid_thw=[[2, 4, 8]], second_per_grid_ts=[2.0])
    assert seen(told).timestamps == (0.0, 2.0)
    with pytest.raises(ModelFailure, match=r"told 0\.083 s a step of time, and the frames have 2\.000 s"):
        seen(made(video_grid_thw=[[2, 4, 8]], second_per_grid_ts=[2 / 24]))


def test_of_a_span_the_step_is_that_of_its_own_length() -> None:
    span = replace(CLIP, total_frames=4000, span_frames=40)
    assert seen(made(video_grid_thw=[[2, 4, 8]], second_per_grid_ts=[2.0]), span).timestamps == (0.0, 2.0)


def test_frames_as_images_are_counted_with_all_their_tokens() -> None:
    shown = [Visual(kind="image", clip=0, position=n) for n in range(4)]
    outputs: dict[str, Any] = {
        "input_ids": torch.tensor([[2] * 12]),
        "text_replacement_offsets": [[{"type": "image", "replacement": "<i>" * 3}] * 4],
        "pixel_values": torch.zeros(4, 3, 6, 10),
    }
    family = Family(form="frames", frame_mark="{time} ")
    marked = [replace(visual, mark="x") for visual in shown]
    expected = Seen(frames=4, width=10, height=6, tokens=12, timestamps=CLIP.timestamps)
    assert read_back(outputs, PROCESSOR, family, [CLIP], marked, shapes_of(outputs, PROCESSOR, marked)) == (expected,)
    with pytest.raises(ModelFailure, match="cannot be read back"):
        shapes_of(outputs, PROCESSOR, [*shown, shown[0]])


def test_each_of_several_clips_has_its_own_tokens_and_times() -> None:
    shown = [VIDEO, Visual(kind="image", path="a.png"), Visual(kind="video", clip=1)]
    put = [
        {"type": "video", "replacement": "<v>" * 16},
        {"type": "image", "replacement": "<i>" * 5},
        {"type": "video", "replacement": "<v>" * 8},
    ]
    outputs: dict[str, Any] = {
        "input_ids": torch.tensor([[1] * 16 + [2] * 5 + [1] * 8]),
        "text_replacement_offsets": [put],
        "video_grid_thw": torch.tensor([[2, 4, 8], [2, 4, 4]]),
        "image_grid_thw": torch.tensor([[1, 4, 4]]),
        "second_per_grid_ts": torch.tensor([2.0, 8 / 3]),
    }
    first, second = read_back(
        outputs, PROCESSOR, Family(), [CLIP, ODD], shown, shapes_of(outputs, PROCESSOR, shown)
    )  # fmt: skip
    assert (first.tokens, first.width, first.timestamps) == (16, 64, (0.0, 2.0))
    assert (second.tokens, second.width) == (8, 32) and second.timestamps == pytest.approx((0.0, 8 / 3))
