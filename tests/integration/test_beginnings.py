"""The next question about a clip: of each family's tiny checkpoint, what is made by reading its own text only is what
the processor makes of the whole prompt, to the last value; and what is not gone on from."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tiny import TINY
from tests.tiny._shown import SHORT, MakeClip, ask, spec
from tests.tiny_model import tiny_model
from videval.errors import ContextExceeded
from videval.models.batches import ChatInputs
from videval.models.catalog import load_model, model_spec
from videval.models.families import UNKNOWN
from videval.models.hf_chat.loading import processor_of
from videval.models.hf_chat.processing import Processing
from videval.models.video_llava import VideoLlava
from videval.types import Clip, Pixels, Prompt, PromptSet, Text, Video

ONE = "qwen2_5_vl"
QUESTIONS = (
    "What?",
    "",
    " Where is it?",
    "\n\nA\nB",
    "\u0301 belongs to the letter before",
    "日本語?",
    "<video> <|video_pad|> <image> </s> are words",
    "What moves?\nA. a dog\nB. a cat\nAnswer:",
)
ProcessingOf = Callable[..., Processing]


@pytest.fixture(scope="module")
def processing_of(tiny: Callable[[str], Path]) -> ProcessingOf:
    """What asks a family's processor, without the model."""

    def make(family: str, *, is_known: bool = True, context: int | None = None) -> Processing:
        _, found, processor = processor_of(spec(tiny(family)))
        return Processing(processor, found if is_known else UNKNOWN, context=context)

    return make


@pytest.fixture(scope="module")
def video_llava() -> VideoLlava:
    model = load_model(model_spec(f"video_llava:{tiny_model()}"), devices=["cpu"])
    assert isinstance(model, VideoLlava)
    return model


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, str], list[Any]]:
    """Counts the calls of a method that makes whole prompts."""

    def count(owner: Any, name: str) -> list[Any]:
        calls: list[Any] = []
        made = getattr(owner, name)

        def noted(*given: Any) -> Any:
            calls.append(given)
            return made(*given)

        monkeypatch.setattr(owner, name, noted)
        return calls

    return count


@contextmanager
def forgetting(owner: Any) -> Iterator[None]:
    """Every prompt is made whole."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner._beginnings, "learn", lambda *given: None)
        yield


def same(one: ChatInputs, other: ChatInputs) -> bool:
    """Whether both are the same, field for field and value for value."""
    own = [field.name for field in fields(ChatInputs) if field.name != "tensors"]
    return (
        all(getattr(one, name) == getattr(other, name) for name in own)
        and one.tensors.keys() == other.tensors.keys()
        and all(value.dtype == other.tensors[name].dtype for name, value in one.tensors.items())
        and all(torch.equal(value, other.tensors[name]) for name, value in one.tensors.items())
    )


def about(clip: Clip, **more: str) -> list[Prompt]:
    return [ask(clip, question, **more) for question in QUESTIONS]


# What is made


@pytest.mark.parametrize("family", TINY)
def test_a_family_s_next_question_is_what_its_processor_makes_of_the_whole(
    family: str, processing_of: ProcessingOf, made_clip: MakeClip, counted: Callable[[Any, str], list[Any]]
) -> None:
    clip = made_clip(range(0, 80, 10), seed=1)
    prompts = [*about(clip), *about(clip, system="Watch well.", prefix="The answer is (")]
    processing, whole = processing_of(family), processing_of(family)
    made = counted(processing, "_made")
    found = [processing.prepare(prompt, SHORT) for prompt in prompts]
    assert len(made) <= 2  # a template may put the system text behind the clip
    with forgetting(whole):
        assert all(same(one, whole.prepare(prompt, SHORT)) for one, prompt in zip(found, prompts, strict=True))


@pytest.mark.parametrize("prompts", PromptSet)
def test_video_llava_s_next_question_is_what_its_processor_makes_of_the_whole(
    prompts: PromptSet, video_llava: VideoLlava, made_clip: MakeClip, counted: Callable[[Any, str], list[Any]]
) -> None:
    clip = made_clip(range(8))
    asked = [replace(prompt, prompts=prompts) for prompt in about(clip, system="Watch.")]
    with forgetting(video_llava):
        expected = [video_llava.prepare(prompt, SHORT) for prompt in asked]
    made = counted(video_llava, "_whole")
    assert all(same(video_llava.prepare(one, SHORT), whole) for one, whole in zip(asked, expected, strict=True))
    assert len(made) == 1


# What is not gone on from


def test_what_is_shown_or_said_otherwise_is_made_whole(
    processing_of: ProcessingOf, made_clip: MakeClip, counted: Callable[[Any, str], list[Any]]
) -> None:
    clip = made_clip(range(0, 40, 10), seed=1)
    base = ask(clip, system="Watch well.")
    others = [
        ask(clip, system="Watch it."),
        ask(clip),
        replace(base, pixels=(Pixels(max_pixels=28 * 28),)),
        replace(base, clips=(made_clip(range(0, 40, 10), seed=2),)),
        replace(base, clips=(replace(clip, fps=5.0),)),
        replace(base, clips=(replace(clip, frame_numbers=(0, 1, 2, 3)),)),
        replace(base, parts=(Text(text="First."), *base.parts)),
        replace(base, parts=(*base.parts, Video(clip=1), Text(text="?")), clips=(clip, made_clip(range(4), seed=3))),
    ]
    processing, whole = processing_of(ONE), processing_of(ONE)
    made = counted(processing, "_made")
    with forgetting(whole):
        for number, other in enumerate(others, start=1):
            processing.prepare(base, SHORT)
            assert same(processing.prepare(other, SHORT), whole.prepare(other, SHORT))
            assert len(made) == 2 * number


def test_a_question_before_the_clip_or_without_one_is_made_whole(
    processing_of: ProcessingOf, made_clip: MakeClip, counted: Callable[[Any, str], list[Any]]
) -> None:
    processing, clip = processing_of(ONE), made_clip(range(4))
    made = counted(processing, "_made")
    for question in QUESTIONS[:2]:
        processing.prepare(Prompt(parts=(Text(text=f"{question} Look:"), Video()), clips=(clip,)), SHORT)
        processing.prepare(Prompt(parts=(Text(text=question),)), SHORT)
    assert len(made) == 4


def test_of_a_family_that_nobody_knows_every_prompt_is_made_whole(
    processing_of: ProcessingOf, made_clip: MakeClip, counted: Callable[[Any, str], list[Any]]
) -> None:
    processing = processing_of(ONE, is_known=False)
    made = counted(processing, "_made")
    for prompt in about(made_clip(range(4))):
        processing.prepare(prompt, SHORT)
    assert len(made) == len(QUESTIONS)


def test_a_question_that_is_too_long_is_refused_also_where_its_clip_is_known(
    processing_of: ProcessingOf, made_clip: MakeClip
) -> None:
    clip = made_clip(range(4))
    processing = processing_of(ONE, context=200)
    processing.prepare(ask(clip), SHORT)
    with pytest.raises(ContextExceeded):
        processing.prepare(ask(clip, "What? " * 50), SHORT)
    assert processing.prepare(ask(clip), SHORT).tokens < 200


def test_the_last_prompt_is_what_is_gone_on_from_and_no_other_waits_in_memory(
    processing_of: ProcessingOf, made_clip: MakeClip, counted: Callable[[Any, str], list[Any]]
) -> None:
    processing, clips = processing_of(ONE), [made_clip(range(4), seed=seed) for seed in (1, 2)]
    made = counted(processing, "_made")
    for _ in range(2):
        for clip in clips:
            for prompt in about(clip)[:2]:
                processing.prepare(prompt, SHORT)
    assert len(made) == 4
