"""The real Video-LLaVA code, real processor and file layout, on random weights small enough for a CPU."""

import json
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tiny_model import CONTEXT, FRAME_TOKENS, IMAGE, VIDEO_TOKENS, tiny_model
from videval.errors import ContextExceeded, ModelFailure, OutOfMemory, ProcessDied
from videval.models import generating
from videval.models.batches import ChatInputs, batched
from videval.models.catalog import load_model, model_spec
from videval.models.video_llava import VideoLlava, prompt_text
from videval.protocols import Model
from videval.types import (
    Clip,
    Frame,
    Generation,
    GenerationSettings,
    Image,
    Part,
    Prompt,
    PromptSet,
    Sound,
    Text,
    Video,
)  # fmt: skip

SHORT = GenerationSettings(max_new_tokens=12)
QUESTIONS = ("What?", "Where is the red ring?", "How many times does the circle blink, and why?")


@pytest.fixture(scope="module")
def model() -> VideoLlava:
    loaded = load_model(model_spec(f"video_llava:{tiny_model()}"), devices=["cpu"])
    assert isinstance(loaded, VideoLlava)
    return loaded


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model(), tmp_path / "copy"))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Clip]:
    folder = tmp_path_factory.mktemp("clips")

    def make(seed: int = 0, *, frames: int = 8, height: int = 36, width: int = 48) -> Clip:
        path = folder / f"{seed}-{frames}-{height}-{width}.npy"
        rng = np.random.default_rng(seed)
        np.save(path, rng.integers(0, 256, (frames, height, width, 3), dtype=np.uint8))
        return Clip(
            path=str(path), frame_numbers=tuple(range(frames)), timestamps=tuple(map(float, range(frames))),
            total_frames=frames, fps=1.0, width=width, height=height, decoder="none", policy="stride",
        )  # fmt: skip

    return make


def ask(clip: Clip | None, question: str = "What?", system: str = "", prefix: str = "") -> Prompt:
    parts: list[Part] = [Text(text=system, role="system"), Video(), Text(text=question)]
    return Prompt(parts=(*parts, Text(text=prefix, role="assistant")), clips=(clip,) if clip else ())


def answers(
    model: Model, prompts: Sequence[Prompt], settings: GenerationSettings = SHORT, *, together: bool = True
) -> list[Generation]:
    inputs = [model.prepare(prompt, settings) for prompt in prompts]
    return model.generate(inputs) if together else [model.generate([one])[0] for one in inputs]


# What the model cannot take


@pytest.mark.parametrize("count", [1, 7, 9, 16])
def test_any_other_number_of_frames_than_eight_is_refused(
    model: VideoLlava, clips: Callable[..., Clip], count: int
) -> None:
    with pytest.raises(ModelFailure, match=f"exactly 8 frames, not {count}"):
        model.prepare(ask(clips(frames=count)), SHORT)


@pytest.mark.parametrize(
    "shown",
    [
        (),
        (Frame(position=0),),
        (Video(), Video()),
        (Video(), Image(path="a.jpg")),
        (Image(path="a.jpg"),),
        (Video(), Video(clip=1)),
        (Video(), Sound()),
    ],
)
def test_a_prompt_that_shows_anything_but_one_video_is_refused(
    model: VideoLlava, clips: Callable[..., Clip], shown: tuple[Part, ...]
) -> None:
    with pytest.raises(ModelFailure, match="exactly one video"):
        model.prepare(Prompt(parts=(*shown, Text(text="What?")), clips=(clips(),)), SHORT)


def test_a_video_part_without_a_clip_is_refused(model: VideoLlava) -> None:
    with pytest.raises(ModelFailure, match="exactly one video"):
        model.prepare(ask(None), SHORT)


def test_a_prompt_that_leaves_no_room_for_the_answer_is_refused_with_the_figures(
    model: VideoLlava, clips: Callable[..., Clip]
) -> None:
    fits = model.prepare(ask(clips()), SHORT).tokens
    model.prepare(ask(clips()), replace(SHORT, max_new_tokens=CONTEXT - fits))
    with pytest.raises(ContextExceeded, match=f"{fits} tokens .* {CONTEXT - fits + 1} new .* {CONTEXT} of"):
        model.prepare(ask(clips()), replace(SHORT, max_new_tokens=CONTEXT - fits + 1))
    with pytest.raises(ContextExceeded, match="too long"):
        model.prepare(ask(clips(), "why " * CONTEXT), SHORT)


def test_text_that_is_not_valid_unicode_is_refused(model: VideoLlava, clips: Callable[..., Clip]) -> None:
    with pytest.raises(ModelFailure, match="not valid Unicode"):
        model.prepare(ask(clips(), "a \ud800 b"), SHORT)


# What torch raises


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), OutOfMemory),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), OutOfMemory),
        (RuntimeError("not enough memory: you tried to allocate 1 bytes"), OutOfMemory),
        (MemoryError(), OutOfMemory),
        (RuntimeError("shapes do not match"), ModelFailure),
        (torch.AcceleratorError("CUDA error: an illegal memory access"), ProcessDied),
    ],
)
def test_an_error_of_torch_becomes_the_failure_that_it_means(
    model: VideoLlava,
    clips: Callable[..., Clip],
    monkeypatch: pytest.MonkeyPatch,
    raised: Exception,
    expected: type[Exception],
) -> None:
    def broken(**_: object) -> None:
        raise raised

    monkeypatch.setattr(model._model, "generate", broken)
    with pytest.raises(expected) as caught:
        answers(model, [ask(clips()), ask(clips())])
    if expected is OutOfMemory:
        assert "2 x " in str(caught.value)


# The prompt


def test_the_prompt_has_the_model_cards_form() -> None:
    assert prompt_text(ask(None, "Why?\n")) == "USER: <video>\nWhy?\n ASSISTANT:"


def test_system_text_goes_in_front_and_the_prefix_behind() -> None:
    made = prompt_text(ask(None, "Why?", system="\nWatch.\n ", prefix="Best option:("))
    assert made == "Watch. USER: <video>\nWhy? ASSISTANT: Best option:("


def test_user_texts_are_joined_as_they_stand_wherever_the_video_is() -> None:
    parts = (Text(text="One\n"), Video(), Text(text=" two"))
    assert prompt_text(Prompt(parts=parts)) == "USER: <video>\nOne\n two ASSISTANT:"


def test_inputs_are_what_the_processor_makes_of_the_text_and_the_frames(
    model: VideoLlava, clips: Callable[..., Clip]
) -> None:
    clip = clips(height=50, width=31)
    made = model.prepare(ask(clip), SHORT)
    expected = model._processor(
        text="USER: <video>\nWhat? ASSISTANT:", videos=[np.load(clip.path)], return_tensors="pt"
    )
    assert torch.equal(made.tensors["input_ids"], expected["input_ids"])
    assert torch.equal(made.tensors["pixel_values_videos"], expected["pixel_values_videos"])
    assert made.tensors["pixel_values_videos"].shape == (1, 8, 3, IMAGE, IMAGE)
    assert made.tensors["pixel_values_videos"].dtype == torch.float32


def test_pixels_are_the_frames_scaled_and_normalised(model: VideoLlava, clips: Callable[..., Clip]) -> None:
    clip = clips(height=IMAGE, width=IMAGE)
    video = model._processor.video_processor
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (video.image_mean, video.image_std))
    frames = torch.from_numpy(np.load(clip.path)).permute(0, 3, 1, 2)
    torch.testing.assert_close(
        model.prepare(ask(clip), SHORT).tensors["pixel_values_videos"][0], (frames / 255 - mean) / std
    )


def test_a_frame_is_as_many_tokens_as_it_has_patches_and_the_class_token(
    model: VideoLlava, clips: Callable[..., Clip]
) -> None:
    ids = model.prepare(ask(clips()), SHORT).tensors["input_ids"][0].tolist()
    assert ids.count(model._processor.video_token_id) == VIDEO_TOKENS == 8 * FRAME_TOKENS
    assert ids[0] == model._tokenizer.bos_token_id


TEXTS = (
    Text(text="Watch.\n", role="system"), Video(), Text(text="Why?"), Text(text="\nSay it."),
    Text(text="Best:(", role="assistant"),
)  # fmt: skip


def test_vlmevalkits_prompts_join_all_texts_with_line_breaks_whoever_says_them() -> None:
    made = prompt_text(Prompt(parts=TEXTS, prompts=PromptSet.VLMEVALKIT))
    assert made == "USER: <video>\nWatch.\n\nWhy?\n\nSay it.\nBest:( ASSISTANT:"


def test_lmms_evals_prompts_end_in_a_question_mark() -> None:
    made = prompt_text(Prompt(parts=(Video(), Text(text="Why?\nA. so")), prompts=PromptSet.LMMS_EVAL))
    assert made == "USER: <video>Why?\nA. so? ASSISTANT:"


def test_vlmevalkits_prompts_leave_an_image_beside_the_clip_out(model: VideoLlava, clips: Callable[..., Clip]) -> None:
    there = Prompt(
        parts=(Video(), Image(path="a.png"), Text(text="What?")), clips=(clips(),), prompts=PromptSet.VLMEVALKIT
    )
    assert model.prepare(there, SHORT).rendered == model.prepare(ask(clips()), SHORT).rendered


@pytest.mark.parametrize("prompts", list(PromptSet))
def test_every_set_has_one_place_for_the_video_and_special_tokens_are_words_in_it(
    model: VideoLlava, clips: Callable[..., Clip], prompts: PromptSet
) -> None:
    prompt = replace(ask(clips(), "a <video> </s>", system="b <video>", prefix="c <s>"), prompts=prompts)
    ids = model.prepare(prompt, SHORT).tensors["input_ids"][0].tolist()
    special = [i for i in ids if i in model._tokenizer.all_special_ids]
    assert special == [model._tokenizer.bos_token_id] + [model._processor.video_token_id] * VIDEO_TOKENS


@pytest.mark.parametrize("token", ["<video>", "<image>", "</s>", "<s>", "<pad>", "<<video>video>"])
@pytest.mark.parametrize("place", ["question", "system", "prefix"])
def test_special_tokens_in_a_text_are_words_and_not_placeholders(
    model: VideoLlava, clips: Callable[..., Clip], token: str, place: str
) -> None:
    made = model.prepare(ask(clips(), **{place: f"What does {token} mean?"}), SHORT)
    ids = made.tensors["input_ids"][0].tolist()
    special = [i for i in ids if i in model._tokenizer.all_special_ids]
    assert special == [model._tokenizer.bos_token_id] + [model._processor.video_token_id] * VIDEO_TOKENS
    assert token.replace("<", "").replace(">", "")[:3] in model._tokenizer.decode(ids, skip_special_tokens=True)
    assert model.generate([made])[0].new_tokens


def test_an_ordinary_text_is_left_alone(model: VideoLlava) -> None:
    text = "1 < 2 > 0, <b>bold</b>, a <videos> tag; naïve 漢字\n"
    assert model._plain(text) == text


# The answer


def test_a_batch_says_what_each_request_alone_says(model: VideoLlava, clips: Callable[..., Clip]) -> None:
    prompts = [ask(clips(seed), question) for seed in (1, 2) for question in QUESTIONS]
    assert answers(model, prompts) == answers(model, prompts, together=False)
    assert answers(model, prompts[::-1]) == answers(model, prompts)[::-1]


def test_pads_in_front_change_no_logits(model: VideoLlava, clips: Callable[..., Clip]) -> None:
    inputs = [model.prepare(ask(clips(n), question), SHORT) for n, question in enumerate(QUESTIONS)]
    torch.testing.assert_close(_scores(model, inputs), torch.cat([_scores(model, [i]) for i in inputs]))


def _scores(model: VideoLlava, batch: Sequence[ChatInputs]) -> torch.Tensor:
    """Logits of the second new token: it sees pads, prompt and the first new token."""
    made = model._model.generate(
        **batched(batch, model._pad),
        max_new_tokens=2, min_new_tokens=2, do_sample=False, pad_token_id=model._pad,
        eos_token_id=model._eos, output_logits=True, return_dict_in_generate=True,
    )  # fmt: skip
    logits: torch.Tensor = made.logits[1]
    return logits


def test_the_answer_depends_on_the_question_and_on_the_frames(model: VideoLlava, clips: Callable[..., Clip]) -> None:
    prompts = [ask(clips(seed), question) for seed in (1, 2) for question in QUESTIONS[:2]]
    assert len({generation.text for generation in answers(model, prompts)}) == 4
    assert answers(model, prompts) == answers(model, prompts)


def test_an_answer_that_reaches_the_limit_is_marked_truncated(model: VideoLlava, clips: Callable[..., Clip]) -> None:
    prompt = ask(clips())
    (cut,) = answers(model, [prompt], replace(SHORT, max_new_tokens=3))
    assert (cut.new_tokens, cut.truncated) == (3, True)
    assert cut.prompt_tokens == model.prepare(prompt, SHORT).tokens


@pytest.mark.parametrize(
    ("new", "text", "count", "truncated"),
    [
        (" two dogs </s><pad><pad>", " two dogs ", 11, False),
        ("\n\n\tB\n</s>", "\n\n\tB\n", 6, False),
        (" </s>", " ", 2, False),
        ("two</s>dogs", "two", 4, False),
        ("two dogs", "two dogs", 8, True),
        ("</s>", "", 1, False),
        ("<image>two<video></s>", "two", 6, False),
    ],
)
def test_an_answer_ends_at_its_first_end_token(
    model: VideoLlava, new: str, text: str, count: int, truncated: bool
) -> None:
    ids = model._tokenizer(new, add_special_tokens=False)["input_ids"]
    read = generating.read_answer(model._tokenizer, ids, generating.Ends(eos=model._eos), prompt_tokens=5)
    assert read == Generation(text=text, prompt_tokens=5, new_tokens=count, truncated=truncated)


@pytest.mark.parametrize("said", [" B", "\n\nB.\n", "\t", "B"])
def test_what_the_model_says_comes_back_to_the_character(
    model: VideoLlava, clips: Callable[..., Clip], monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    new = model._tokenizer(f"{said}</s>", add_special_tokens=False, return_tensors="pt")["input_ids"]
    monkeypatch.setattr(model._model, "generate", lambda **given: torch.cat([given["input_ids"], new], dim=1))
    (answer,) = answers(model, [ask(clips())])
    assert (answer.text, answer.truncated) == (said, False)


def test_requests_of_other_settings_in_one_batch_keep_their_own(model: VideoLlava, clips: Callable[..., Clip]) -> None:
    inputs = [
        model.prepare(ask(clips(n), QUESTIONS[n]), replace(SHORT, max_new_tokens=tokens))
        for n, tokens in enumerate((12, 3, 12))
    ]
    together = model.generate(inputs)
    assert together == [model.generate([one])[0] for one in inputs]
    assert together[1].new_tokens == 3


def test_a_sampled_answer_depends_on_its_seed_and_not_on_its_company(
    model: VideoLlava, clips: Callable[..., Clip]
) -> None:
    prompts = [ask(clips(n), question) for n, question in enumerate(QUESTIONS)]
    hot = replace(SHORT, temperature=5.0, seed=1)
    assert answers(model, prompts, hot) == answers(model, prompts, hot, together=False)
    assert answers(model, prompts, hot) != answers(model, prompts, replace(hot, seed=2))
    assert answers(model, prompts, hot) != answers(model, prompts)


def test_the_checkpoints_own_sampling_defaults_do_not_leak_into_a_greedy_run(
    model: VideoLlava, checkpoint: Path, clips: Callable[..., Clip]
) -> None:
    defaults = {"do_sample": True, "temperature": 9.0, "suppress_tokens": list(range(6, 200)), "eos_token_id": 2}
    (checkpoint / "generation_config.json").write_text(json.dumps(defaults))
    other = load_model(model_spec(f"video_llava:{checkpoint}"), devices=["cpu"])
    assert isinstance(other, VideoLlava)
    assert answers(other, [ask(clips())]) == answers(model, [ask(clips())])


def test_requests_are_prepared_in_several_threads_at_once(model: VideoLlava, clips: Callable[..., Clip]) -> None:
    prompts = [ask(clips(n % 3), QUESTIONS[n % 3]) for n in range(24)]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda prompt: model.prepare(prompt, SHORT), prompts))
    for prompt, inputs in zip(prompts[:3], made[-3:], strict=True):
        assert inputs.rendered == model.prepare(prompt, SHORT).rendered
    assert threading.active_count() < 10


def test_bfloat16_is_used_when_it_is_asked_for(clips: Callable[..., Clip]) -> None:
    half = load_model(model_spec(f"video_llava:{tiny_model()}"), devices=["cpu"], dtype="bfloat16")
    assert isinstance(half, VideoLlava) and half.describe()["dtype"] == "bfloat16"
    assert answers(half, [ask(clips())])[0].new_tokens


def test_the_model_says_what_its_answers_depend_on(model: VideoLlava) -> None:
    about = model.describe()
    assert isinstance(model, Model)
    assert (about["dtype"], about["device"], about["checkpoint"]) == ("float32", "cpu", str(tiny_model()))
    assert about["torch"] == torch.__version__.partition("+")[0]
    assert {"transformers", "torchvision", "tokenizers"} <= set(about)
