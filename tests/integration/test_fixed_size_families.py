"""Families whose processor makes every frame one size: what it made of a clip, held against arithmetic written here."""

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from transformers.video_processing_utils import BaseVideoProcessor

from tests.tiny._shown import SHORT, ChatModel, MakeClip, answer, ask, seen, spec
from videval.errors import ModelFailure, ModelUnavailable
from videval.models.catalog import load_model, model_spec
from videval.models.families import FAMILIES
from videval.models.hf_chat import loading
from videval.protocols import Model

TOKENS: Mapping[str, Callable[[int], int]] = {
    "internvl": lambda frames: frames * (4 // 2) ** 2,  # 4 x 4 patches, 2 x 2 of them shuffled into one token
    "llava_next_video": lambda frames: frames * (4 * 4 // 4),  # 4 x 4 patches, averaged 2 x 2
    "llava_onevision": lambda frames: frames * (4 // 2) ** 2 + 1,  # the same by interpolation, and one at the end
    "molmo2": lambda frames: frames * ceil(4 / 3) ** 2,  # 4 x 4 patches in windows of 3 x 3, the last ones part empty
    "perception_lm": lambda frames: frames * (4 // 2) ** 2,
    "smolvlm": lambda frames: frames * (4 // 2) ** 2,
    "video_llava": lambda frames: frames * (2 * 2 + 1),  # 2 x 2 patches and the class token
}
SIDE = {family: 28 if family == "video_llava" else 56 for family in TOKENS}
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


# What goes wrong


@pytest.mark.parametrize("family", TOKENS)
@pytest.mark.parametrize("kept", [slice(1, None), slice(None, None, 2), [0, 0, 1, 2, 3, 4]])
def test_a_processor_that_drops_or_doubles_a_frame_is_an_error(
    chat_model: ChatModel, made_clip: MakeClip, monkeypatch: pytest.MonkeyPatch, family: str, kept: Any
) -> None:
    inner = BaseVideoProcessor._prepare_input_videos

    def otherwise(self: Any, videos: Any, *args: Any, **kwargs: Any) -> Any:
        return [video[kept] for video in inner(self, videos, *args, **kwargs)]

    loaded = chat_model(family)
    monkeypatch.setattr(BaseVideoProcessor, "_prepare_input_videos", otherwise)
    with pytest.raises(ModelFailure, match=r"the processor made [346] frames (of the 5|or tiles, and put 5)"):
        loaded.prepare(ask(made_clip(range(5))), SHORT)


@pytest.mark.parametrize(("family", "package"), [("smolvlm", "num2words"), ("perception_lm", "timm")])
def test_a_family_without_its_package_is_not_loaded_and_the_line_that_installs_it_is_named(
    tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, family: str, package: str
) -> None:
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    with pytest.raises(ModelUnavailable, match=package) as raised:
        load_model(spec(tiny(family)), devices=["cpu"])
    assert raised.value.hint == f"pip install {package}"


def test_the_extra_families_holds_what_every_family_needs() -> None:
    extra = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]["families"]
    assert {line.partition(">=")[0] for line in extra} == {name for f in FAMILIES.values() for name in f.needs}


# Frames, tokens and sizes


@pytest.mark.parametrize("family", TOKENS)
@pytest.mark.parametrize(
    ("frames", "size"), [(1, (40, 60)), (2, (60, 40)), (3, (300, 20)), (8, (56, 56)), (17, (33, 57)), (64, (40, 60))]
)
def test_every_frame_is_used_once_whatever_their_number_and_shape(
    chat_model: ChatModel, made_clip: MakeClip, family: str, frames: int, size: tuple[int, int]
) -> None:
    one = seen(chat_model(family), ask(made_clip(range(0, frames * 7, 7), size=size)))
    assert (one.frames, one.width, one.height) == (frames, SIDE[family], SIDE[family])
    assert one.tokens == TOKENS[family](frames)


@pytest.mark.parametrize("family", sorted(set(TOKENS) - {"smolvlm", "molmo2"}))
def test_a_family_that_is_told_no_times_has_none(chat_model: ChatModel, made_clip: MakeClip, family: str) -> None:
    question = "0.7 <frame_start> Frame from 00:01:<fake_token_around_image> of 4.2 seconds?"
    assert seen(chat_model(family), ask(made_clip(range(8)), question)).timestamps == ()


@pytest.mark.parametrize("family", sorted(set(TOKENS) - {"video_llava"}))
def test_clips_of_several_lengths_are_answered_together_as_one_by_one(
    chat_model: ChatModel, made_clip: MakeClip, family: str
) -> None:
    loaded = chat_model(family)
    prompts = [
        ask(made_clip(range(n)), question) for n, question in ((3, "What?"), (8, "Why is it so?"), (3, "Who?"), (5, ""))
    ]
    together = loaded.generate([loaded.prepare(prompt, SHORT) for prompt in prompts])
    assert together == [answer(loaded, prompt) for prompt in prompts]


def test_video_llava_says_what_it_says_by_its_own_adapter(
    tiny: Callable[[str], Path], chat_model: ChatModel, made_clip: MakeClip
) -> None:
    own = load_model(model_spec(f"video_llava:{tiny('video_llava')}"), devices=["cpu"])
    assert isinstance(own, Model)
    for question in ("What?", "Which of the two rings is the red one?"):
        prompt = ask(made_clip(range(8)), question)
        by_own, by_chat = answer(own, prompt), answer(chat_model("video_llava"), prompt)
        assert (by_own.text, by_own.prompt_tokens) == (by_chat.text, by_chat.prompt_tokens)


# Text and times


def test_internvl_counts_the_frames_from_one(chat_model: ChatModel, made_clip: MakeClip) -> None:
    said = answer(chat_model("internvl"), ask(made_clip(range(0, 300, 25)))).rendered
    assert [int(number) for number in re.findall(r"Frame(\d+): <img>", said)] == list(range(1, 13))
    assert said.startswith("<|im_start|>user\nFrame1: <img>") and "</img>\nWhat?<|im_end|>" in said


@pytest.mark.parametrize(
    ("numbers", "fps", "total"),
    [
        ((0, 7, 14, 99), 10.0, 100),
        ((0, 15, 44, 45, 46), 29.97, 2000),
        ((90_000, 90_024, 90_025, 150_000), 25.0, 200_000),
        (range(0, 60, 3), 1.0, 60),
    ],
)
def test_smolvlm_is_told_whole_seconds_and_the_length_of_the_video(
    chat_model: ChatModel, made_clip: MakeClip, numbers: Sequence[int], fps: float, total: int
) -> None:
    given = answer(chat_model("smolvlm"), ask(made_clip(numbers, fps=fps, total=total)))
    whole = [int(number / fps) for number in numbers]
    written = [f"Frame from {s // 60:02d}:{s % 60:02d}:" for s in whole]
    assert given.seen[0].timestamps == tuple(map(float, whole))
    assert re.findall(r"Frame from \d+:\d+:", given.rendered) == written
    hours, rest = divmod(int(total / fps), 3600)
    assert f" frames from a {hours}:{rest // 60:02d}:{rest % 60:02d} [H:MM:SS] video.\n" in given.rendered


def test_smolvlm_is_told_of_a_span_when_in_the_video_it_is(chat_model: ChatModel, made_clip: MakeClip) -> None:
    given = answer(chat_model("smolvlm"), ask(made_clip((3000, 3010, 3020), fps=10.0, total=36_000, span=100)))
    assert given.seen[0].timestamps == (300.0, 301.0, 302.0)
    assert "three frames from a 1:00:00 [H:MM:SS] video." in given.rendered


def test_smolvlm_shows_frames_that_its_own_sampling_would_leave_out(chat_model: ChatModel, made_clip: MakeClip) -> None:
    many = made_clip(range(20), fps=10.0, total=20)
    assert seen(chat_model("smolvlm"), ask(many)).frames == 20


@pytest.mark.parametrize(("numbers", "fps"), [((0, 7, 14, 99), 10.0), ((1, 2, 90_001), 29.97), ((3000, 3010), 25.0)])
def test_molmo2_is_told_tenths_of_seconds(
    chat_model: ChatModel, made_clip: MakeClip, numbers: Sequence[int], fps: float
) -> None:
    given = answer(chat_model("molmo2"), ask(made_clip(numbers, fps=fps, total=100_000, span=500)))
    written = [f"{number / fps:.1f}" for number in numbers]
    assert re.findall(r"(\d+\.\d) <frame_start>", given.rendered) == written
    assert given.seen[0].timestamps == tuple(map(float, written))
    assert given.seen[0].grid == (len(numbers), 4, 4)


@pytest.mark.parametrize("family", ["smolvlm", "molmo2"])
def test_a_question_that_speaks_of_times_is_not_read_as_the_processors_text(
    chat_model: ChatModel, made_clip: MakeClip, family: str
) -> None:
    loaded, two = chat_model(family), made_clip((0, 50))
    spoken = "Frame from 00:01:<fake_token_around_image>, Frame from 00:09: or 3.3 <frame_start>?"
    assert seen(loaded, ask(two, spoken)) == seen(loaded, ask(two))


@pytest.mark.parametrize(
    ("family", "text"),
    [
        ("internvl", "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n"),
        ("llava_next_video", "<s>Be brief."),
        ("llava_onevision", "<|im_start|>system \nBe brief.<|im_end|><|im_start|>user "),
        ("molmo2", "<|im_start|>user\n"),
        ("perception_lm", "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"),
        ("smolvlm", "<|im_start|>System: Be brief.<end_of_utterance>\nUser: "),
        ("video_llava", "<s>Be brief. USER: "),
    ],
)
def test_a_system_text_stands_where_the_template_has_it(
    chat_model: ChatModel, made_clip: MakeClip, family: str, text: str
) -> None:
    said = answer(chat_model(family), ask(made_clip(range(8)), system="Be brief.", prefix="It is")).rendered
    assert said.count("Be brief.") == 1 and text in said and said.endswith("It is")


@pytest.mark.parametrize(("family", "first"), [("perception_lm", "<|begin_of_text|>"), ("llava_next_video", "<s>")])
def test_a_prompt_begins_with_one_first_token(
    chat_model: ChatModel, made_clip: MakeClip, family: str, first: str
) -> None:
    said = answer(chat_model(family), ask(made_clip(range(8)))).rendered
    assert said.startswith(first) and said.count(first) == 1
