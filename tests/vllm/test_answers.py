"""vLLM in the engine process answers as hf_chat does about the same frames, and never from another clip's cache."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.servers import wait_for
from tests.tiny._shown import MakeClip, ask
from tests.vllm.engines import PAIR, Asker, on_vllm
from videval.errors import ContextExceeded, ProcessDied, Released
from videval.models.catalog import load_model, model_spec
from videval.protocols import Model
from videval.types import Clip, Generation, GenerationSettings, Image, Prompt, Stage, Text

BEFORE = 64
"""Tokens that stand before a clip, which any two questions share, at most."""
SETTINGS = GenerationSettings(max_new_tokens=12)
QUESTIONS = ("What happens?", "Who is there, and why?", "When?", "Where does it all end?")


@pytest.fixture(scope="module")
def model(wide: Callable[[str], Path]) -> Path:
    """A Qwen2.5-VL."""
    return wide("qwen2_5_vl")


@pytest.fixture(scope="module")
def vllm(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    """That model on vLLM, in blocks of 32 tokens, so that a tiny clip fills some."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDEVAL_VLLM_ARGS", '{"block_size": 32}')
        with on_vllm(tmp_path_factory.mktemp("engine"), model) as asker:
            yield asker


@pytest.fixture(scope="module")
def chat(model: Path) -> Model:
    """The same model on transformers."""
    loaded = load_model(model_spec(f"hf_chat:{model}"), devices=["cpu"], dtype="float32")
    assert isinstance(loaded, Model)
    return loaded


@pytest.fixture(scope="module")
def short(made_clip: MakeClip) -> Callable[[int], Clip]:
    """Clips that are no longer in steps of time than they are wide: behind a longer one transformers 5.19 lets the
    text begin within the clip's own positions, and vLLM after them, as the paper has it (docs/families/qwen.md)."""
    return lambda frames: made_clip(range(frames), total=frames, size=(64, 64))


def by_chat(chat: Model, prompt: Prompt) -> Generation:
    return chat.generate([chat.prepare(prompt, SETTINGS)])[0]


def without_cache(generation: Generation) -> Generation:
    return replace(generation, cached_tokens=None)


def test_each_answer_is_hf_chat_s_token_for_token_with_what_was_seen(
    vllm: Asker, chat: Model, short: Callable[[int], Clip]
) -> None:
    prompts = [ask(short(frames), question) for frames in (4, 6) for question in QUESTIONS]
    answers = [answer.generation for answer in vllm.answers(prompts, SETTINGS)]
    assert [without_cache(answer) for answer in answers] == [by_chat(chat, prompt) for prompt in prompts]
    assert len({answer.text for answer in answers}) > 4, "answers that differ from question to question"


def test_a_system_text_an_answer_s_first_words_and_images_are_asked_as_hf_chat_asks_them(
    vllm: Asker, chat: Model, short: Callable[[int], Clip], made_image: Image
) -> None:
    clip = short(4)
    about_both = Prompt(parts=(*ask(clip).parts, made_image, Text(text="And this?")), clips=(clip,))
    prompts = [ask(clip, system="Be brief.", prefix="Best: ("), about_both, Prompt(parts=(Text(text="Nothing shown"),))]
    answers = [answer.generation for answer in vllm.answers(prompts, SETTINGS)]
    assert [without_cache(answer) for answer in answers] == [by_chat(chat, prompt) for prompt in prompts]


def test_the_prefix_of_a_clip_is_computed_once_for_all_its_questions(vllm: Asker, made_clip: MakeClip) -> None:
    clip = made_clip(range(80), total=80, size=(64, 64))
    first, *others = (a.generation for a in vllm.answers([ask(clip, text) for text in QUESTIONS], SETTINGS))
    assert (first.cached_tokens or 0) <= BEFORE
    assert all((other.cached_tokens or 0) > 0.6 * (other.prompt_tokens or 0) for other in others)


def test_other_frames_times_or_pixels_under_one_path_are_never_answered_from_the_cache(
    vllm: Asker, chat: Model, short: Callable[[int], Clip]
) -> None:
    clip = short(6)
    later = replace(clip, total_frames=3)
    before = [vllm.ask(ask(c), SETTINGS).result(120).generation for c in (clip, later)]
    assert [without_cache(answer) for answer in before] == [by_chat(chat, ask(c)) for c in (clip, later)]
    np.save(clip.path, 255 - np.load(clip.path))
    after = vllm.ask(ask(clip), SETTINGS).result(120).generation
    assert without_cache(after) == by_chat(chat, ask(clip))
    assert before[0].text != after.text and before[0].seen != before[1].seen
    assert (after.cached_tokens or 0) <= BEFORE


def test_what_is_sampled_comes_again_by_its_seed(vllm: Asker, made_clip: MakeClip) -> None:
    clip = made_clip(range(4))
    warm = GenerationSettings(max_new_tokens=12, temperature=1.5, top_p=0.95, top_k=50, seed=1)
    one, again, other = (
        vllm.ask(ask(clip), replace(warm, seed=seed)).result(120).generation.text for seed in (1, 1, 2)
    )
    assert one == again != other


def test_an_answer_ends_at_a_stop_text_and_is_cut_at_its_longest(
    vllm: Asker, chat: Model, short: Callable[[int], Clip]
) -> None:
    prompts = [ask(short(4), question) for question in QUESTIONS]
    long, whole = next((p, said) for p in prompts if (said := by_chat(chat, p)).truncated)
    settings = replace(SETTINGS, stop=(whole.text[3],))
    stopped = vllm.ask(long, settings).result(120).generation
    assert stopped.text == chat.generate([chat.prepare(long, settings)])[0].text
    assert not stopped.truncated and vllm.ask(long, SETTINGS).result(120).generation.truncated


def test_who_is_alone_gets_the_same_answer(vllm: Asker, chat: Model, short: Callable[[int], Clip]) -> None:
    clip = short(6)
    alone = vllm.ask(ask(clip), SETTINGS, alone=True)
    mates = [vllm.ask(ask(clip, question), SETTINGS) for question in QUESTIONS]
    assert without_cache(alone.result(120).generation) == by_chat(chat, ask(clip))
    assert all(mate.result(120) for mate in mates)


def test_a_prompt_that_is_too_long_fails_by_itself(vllm: Asker, made_clip: MakeClip) -> None:
    error = vllm.ask(ask(made_clip(range(4)), "why? " * 1000), SETTINGS).exception(120)
    assert isinstance(error, ContextExceeded) and "too long" in str(error)
    assert vllm.ask(ask(made_clip(range(4))), SETTINGS).result(120)


def test_the_card_says_all_that_changes_answers(vllm: Asker) -> None:
    about = vllm.loaded.about
    assert about["adapter"] == "vllm" and about["vllm"].startswith("0.") and about["dtype"] == "float32"
    for name in ("attention", "max_model_len", "batch_invariant", "kv_cache_dtype", "enforce_eager", "transformers"):
        assert about[name], name
    assert about["prefix"] == "shared" and about["vllm_args"] == '{"block_size": 32}'
    assert vllm.loaded.slots > 1


def test_what_is_given_back_is_let_go_of_and_a_killed_core_is_noticed_at_once(vllm: Asker, made_clip: MakeClip) -> None:
    """The last test of this engine: it is loaded again afterwards."""
    long = replace(SETTINGS, max_new_tokens=3000, repetition_penalty=1.5)
    stages: list[Stage] = []
    first = vllm.ask(ask(made_clip(range(4))), long, alone=True, stages=stages)
    wait_for("it to be generated", lambda: stages[-1:] == [Stage.GENERATE])
    waiting: list[Stage] = []
    second = vllm.ask(ask(made_clip(range(6))), SETTINGS, stages=waiting)
    wait_for("the other one to wait", lambda: waiting[-1:] == [Stage.WAIT])
    assert vllm.engine.give_back() == 1 and isinstance(second.exception(60), Released)
    assert vllm.engine.pid is not None
    os.kill(vllm.engine.pid, signal.SIGKILL)
    assert isinstance(first.exception(60), ProcessDied)
    assert vllm.ask(ask(made_clip(range(4))), SETTINGS).result(120).generation.new_tokens == 12


def children(asker: Asker) -> list[psutil.Process]:
    """The processes of the engine's session that vLLM started as its workers."""
    assert asker.engine.pid is not None
    found = psutil.Process(asker.engine.pid).children(recursive=True)
    return [child for child in found if "resource_tracker" not in " ".join(child.cmdline())]


def test_over_two_devices_it_answers_the_same_and_a_dead_worker_of_it_ends_them_all(
    model: Path, chat: Model, short: Callable[[int], Clip], tmp_path: Path
) -> None:
    clip = short(4)
    with on_vllm(tmp_path, model, PAIR) as asker:
        assert asker.loaded.about["tensor_parallel"] == "2"
        assert without_cache(asker.ask(ask(clip), SETTINGS).result(120).generation) == by_chat(chat, ask(clip))
        workers, engine = children(asker), asker.engine.pid
        assert len(workers) == 2
        workers[1].kill()
        wait_for("another engine", lambda: asker.engine.pid not in (engine, None))
        wait_for("its workers to be gone", lambda: not any(worker.is_running() for worker in workers))
    wait_for("nothing to be left", lambda: not any(worker.is_running() for worker in workers))
