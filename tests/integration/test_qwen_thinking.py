"""Thinking of Qwen3.5 on, off, cut off and ended at its budget."""

from collections.abc import Callable
from pathlib import Path

from transformers import AutoTokenizer

from tests.tiny._seeing import ONE, Loaded, MakeClip, answer, clip, four, loaded
from videval.types import GenerationSettings, Prompt, Text, Video

__all__ = ["clip", "loaded"]


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


def test_the_first_words_of_an_answer_are_not_put_into_the_thinking_before_it(loaded: Loaded, clip: MakeClip) -> None:
    parts = (Video(), Text(text="What?"), Text(text="Best option:(", role="assistant"))
    prompt = Prompt(parts=parts, clips=(four(clip),))

    def rendered(thinking: bool) -> str:
        settings = GenerationSettings(max_new_tokens=1, thinking=thinking)
        return str(loaded("qwen3_5").prepare(prompt, settings).rendered)

    assert rendered(True).endswith("<think>\n")
    assert rendered(False).endswith("</think>\n\nBest option:(")
