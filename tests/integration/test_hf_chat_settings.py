"""What a run asks of a model of `hf_chat` is kept: settings in company as alone, limits, a clip made pixels once."""

import json
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pictures

from videval.errors import ContextExceeded, ErrorKind, ModelFailure, OutOfMemory, VideoFailure
from videval.models.catalog import load_model
from videval.models.hf_chat.model import HfChat
from videval.types import (
    Clip,
    Frame,
    Generation,
    GenerationSettings,
    Image,
    ModelSpec,
    Part,
    Pixels,
    Prompt,
    Text,
    Video,
)

SHORT = GenerationSettings(max_new_tokens=12)
QUESTIONS = ("What?", "Where is the red ring?", "How many times does it blink, and why?")
ClipOf = Callable[..., Clip]


def load(folder: Path, **values: Any) -> HfChat:
    spec = ModelSpec(name="it", adapter="hf_chat", checkpoint=str(folder), revision="", **values)
    model = load_model(spec, devices=["cpu"])
    assert isinstance(model, HfChat)
    return model


@pytest.fixture(scope="module")
def model(tiny: Callable[[str], Path]) -> HfChat:
    return load(tiny("qwen2_5_vl"))


@pytest.fixture(scope="module")
def clip_of(tmp_path_factory: pytest.TempPathFactory) -> ClipOf:
    folder = tmp_path_factory.mktemp("clips")

    def make(seed: int = 0, *, frames: int = 4, height: int = 40, width: int = 60) -> Clip:
        path = folder / f"{seed}-{frames}-{height}-{width}.npy"
        np.save(path, np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), dtype=np.uint8))
        return Clip(
            path=str(path), frame_numbers=tuple(range(frames)), timestamps=tuple(map(float, range(frames))),
            total_frames=frames, fps=1.0, width=width, height=height, decoder="none", policy="stride",
        )  # fmt: skip

    return make


def ask(clip: Clip, question: str = "What?", **values: Any) -> Prompt:
    return Prompt(parts=(Video(), Text(text=question)), clips=(clip,), **values)


def answers(model: HfChat, prompts: Sequence[Prompt], settings: GenerationSettings = SHORT) -> list[Generation]:
    return model.generate([model.prepare(prompt, settings) for prompt in prompts])


# Failures


def test_a_prompt_that_leaves_no_room_for_its_answer_is_a_failure_of_kind_context_with_the_figures(
    tiny: Callable[[str], Path], model: HfChat, clip_of: ClipOf
) -> None:
    tokens = model.prepare(ask(clip_of()), SHORT).tokens
    load(tiny("qwen2_5_vl"), context=tokens + 12).prepare(ask(clip_of()), SHORT)
    with pytest.raises(ContextExceeded, match=rf"{tokens} tokens \+ 12 new ones .* {tokens + 11} of") as caught:
        load(tiny("qwen2_5_vl"), context=tokens + 11).prepare(ask(clip_of()), SHORT)
    assert (caught.value.kind, caught.value.permanent) == (ErrorKind.CONTEXT, True)


def test_an_image_that_cannot_be_read_is_a_failure_of_its_request(
    model: HfChat, clip_of: ClipOf, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_text("no image")
    prompt = Prompt(parts=(Video(), Image(path=str(tmp_path / "a.png")), Text(text="What?")), clips=(clip_of(),))
    with pytest.raises(VideoFailure, match=r"a\.png: the image cannot be read"):
        model.prepare(prompt, SHORT)


def test_thinking_is_refused_of_a_model_that_has_none(model: HfChat, clip_of: ClipOf) -> None:
    with pytest.raises(ModelFailure, match="no thinking"):
        model.prepare(ask(clip_of()), replace(SHORT, thinking=True))
    model.prepare(ask(clip_of()), replace(SHORT, thinking=False))


def test_limits_in_pixels_are_refused_of_a_processor_that_takes_none(
    tiny: Callable[[str], Path], clip_of: ClipOf
) -> None:
    with pytest.raises(ModelFailure, match="no limits in pixels"):
        load(tiny("gemma3")).prepare(ask(clip_of(), pixels=(Pixels(max_pixels=100),)), SHORT)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [(torch.OutOfMemoryError("CUDA out of memory"), OutOfMemory), (RuntimeError("shapes"), ModelFailure)],
)
def test_what_torch_raises_names_the_batch(
    model: HfChat, clip_of: ClipOf, monkeypatch: pytest.MonkeyPatch, raised: Exception, expected: type[Exception]
) -> None:
    def broken(**_: object) -> None:
        raise raised

    monkeypatch.setattr(model._model, "generate", broken)
    with pytest.raises(expected, match="a batch of 2 x"):
        answers(model, [ask(clip_of()), ask(clip_of(1))])


# Settings


@pytest.mark.parametrize(
    "settings",
    [
        replace(SHORT, repetition_penalty=1.6),
        replace(SHORT, presence_penalty=4.0),
        replace(SHORT, repetition_penalty=1.3, presence_penalty=2.0),
    ],
)
def test_penalties_change_an_answer_and_are_the_same_in_company_as_alone(
    model: HfChat, clip_of: ClipOf, settings: GenerationSettings
) -> None:
    prompts = [ask(clip_of(seed), question) for seed in (1, 2) for question in QUESTIONS]
    alone = [answers(model, [prompt], settings)[0] for prompt in prompts]
    assert answers(model, prompts, settings) == alone
    assert alone != answers(model, prompts)


def test_an_answer_ends_before_its_stop_text_and_others_go_on(model: HfChat, clip_of: ClipOf) -> None:
    prompts = [ask(clip_of(seed), question) for seed in (1, 2) for question in QUESTIONS]
    free = answers(model, prompts)
    stop = next(letter for a in free for letter in a.text[2:] if "!" < letter < "~")
    stopped = answers(model, prompts, replace(SHORT, stop=(stop,)))
    assert [a.text for a in stopped] == [a.text.partition(stop)[0] for a in free]
    cut = [(s, f) for s, f in zip(stopped, free, strict=True) if stop in f.text]
    assert cut and all(not s.truncated and (s.new_tokens or 0) <= (f.new_tokens or 0) for s, f in cut)


def test_the_checkpoints_own_sampling_defaults_do_not_leak_into_a_greedy_run(
    tiny: Callable[[str], Path], model: HfChat, clip_of: ClipOf, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny("qwen2_5_vl"), tmp_path / "copy"))
    defaults = {"do_sample": True, "temperature": 9.0, "repetition_penalty": 1.5, "eos_token_id": [2, 0]}
    (folder / "generation_config.json").write_text(json.dumps(defaults))
    assert answers(load(folder), [ask(clip_of())]) == answers(model, [ask(clip_of())])


# What is shown


def test_the_frames_of_a_clip_become_pixels_once_for_all_its_questions(
    tiny: Callable[[str], Path], clip_of: ClipOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, made = load(tiny("qwen2_5_vl")), []
    videos = model._processing._processor.video_processor._processor
    preprocess = videos._preprocess

    def counted(*given: Any, **told: Any) -> Any:
        made.append(1)
        return preprocess(*given, **told)

    monkeypatch.setattr(videos, "_preprocess", counted)
    for number, (clip, pixels) in enumerate(
        [(clip_of(1), ()), (clip_of(2), ()), (clip_of(2), (Pixels(max_pixels=1600),)), (clip_of(1), ())], 1
    ):
        inputs = [model.prepare(ask(clip, question, pixels=pixels), SHORT) for question in QUESTIONS]
        assert len(made) == number
        first, *others = (i.tensors["pixel_values_videos"] for i in inputs)
        assert all(other.data_ptr() == first.data_ptr() for other in others), "no copies"
    assert answers(model, [ask(clip_of(1))]) == answers(load(tiny("qwen2_5_vl")), [ask(clip_of(1))])


def test_an_odd_number_of_frames_is_told_the_same_times_whenever_it_is_asked_about(
    model: HfChat, clip_of: ClipOf
) -> None:
    first, again = (model.prepare(ask(clip_of(3, frames=5)), SHORT) for _ in range(2))
    assert first.seen == again.seen and first.seen[0].frames == 5
    assert all(torch.equal(value, again.tensors[name]) for name, value in first.tensors.items())


def test_several_clips_images_and_frames_are_each_seen_in_their_place(
    model: HfChat, clip_of: ClipOf, tmp_path: Path
) -> None:
    Pictures.new("RGB", (56, 28), "red").save(tmp_path / "a.png")
    parts: list[Part] = [
        Text(text="One "), Video(), Text(text=" two "), Image(path=str(tmp_path / "a.png")), Text(text=" three "),
        Frame(position=1, clip=1), Frame(position=0, clip=1), Text(text=" what?"),
    ]  # fmt: skip
    inputs = model.prepare(Prompt(parts=tuple(parts), clips=(clip_of(1), clip_of(2))), SHORT)
    first, second = inputs.seen
    assert (first.frames, second.frames) == (4, 2)
    words = [inputs.rendered.index(word) for word in ("One ", "video_pad", " two ", "image_pad", " three ", " what?")]
    assert words == sorted(words)
    assert model.generate([inputs])[0].new_tokens


def test_the_prompt_is_kept_as_the_model_got_it_with_repeated_tokens_counted(model: HfChat, clip_of: ClipOf) -> None:
    inputs = model.prepare(ask(clip_of()), SHORT)
    assert f"<|vision_start|><|video_pad|>×{inputs.seen[0].tokens}<|vision_end|>What?<|im_end|>" in inputs.rendered


def test_requests_are_prepared_in_several_threads_at_once(model: HfChat, clip_of: ClipOf) -> None:
    prompts = [ask(clip_of(n % 3), QUESTIONS[n % 3]) for n in range(12)]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda prompt: model.prepare(prompt, SHORT), prompts))
    for prompt, inputs in zip(prompts, made, strict=True):
        assert model.generate([inputs]) == answers(model, [prompt])
