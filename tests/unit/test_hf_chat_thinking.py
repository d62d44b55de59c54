"""Thinking is kept apart from the answer, turned on and off where a model can, and ended when its budget is spent."""

from collections.abc import Sequence

import pytest
import torch

from videval.errors import ModelFailure
from videval.models.families import Thinking
from videval.models.hf_chat.thinking import Budget, check_unswitched, is_opened, parted, switches

MARKS = Thinking(ended="!</think>")
SPECIAL = ["<end>", "<think>", "</think>", "<|channel>", "<channel|>"]


class Letters:
    """A tokenizer of special tokens and letters."""

    def encode(self, text: str, **_: object) -> list[int]:
        ids = []
        while text:
            token = next((t for t in SPECIAL if text.startswith(t)), text[0])
            ids.append(SPECIAL.index(token) if token in SPECIAL else 100 + ord(token))
            text = text[len(token) :]
        return ids

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False, **_: object) -> str:
        return "".join(chr(i - 100) if i >= 100 else "" if skip_special_tokens else SPECIAL[i] for i in ids)


class Pieces(Letters):
    """One to which marks are texts like any other."""

    def encode(self, text: str, **_: object) -> list[int]:
        return [100 + ord(letter) for letter in text]


@pytest.mark.parametrize("tokenizer", [Letters(), Pieces()])
@pytest.mark.parametrize(
    ("said", "opened", "thinking", "text"),
    [
        ("<think>\nhm\n</think>\n\nB", False, "hm", "B"),
        ("hm</think>B", True, "hm", "B"),
        ("hm</think>B", False, "hm", "B"),
        ("</think>B", True, "", "B"),
        ("hm, still", True, "hm, still", ""),
        ("<think>hm, still", False, "hm, still", ""),
        ("B", False, None, "B"),
        ("", True, "", ""),
        ("", False, None, ""),
        ("hm</think>a</think>b", True, "hm", None),
    ],
)
def test_what_stands_before_the_closing_mark_is_thinking(
    tokenizer: Letters, said: str, opened: bool, thinking: str | None, text: str | None
) -> None:
    found, answer = parted(tokenizer, tokenizer.encode(said), MARKS, opened=opened)
    assert found == thinking
    assert text is None or answer == text


def test_a_model_without_marks_says_all_as_its_answer() -> None:
    assert parted(Letters(), Letters().encode(" <think>hm"), None, opened=False) == (None, " hm")


def test_the_words_of_an_opening_mark_are_no_thought() -> None:
    marks = Thinking(open="<|channel>thought\n", close="<channel|>")
    said = Letters().encode("<|channel>thought\nhm<channel|>B")
    assert parted(Letters(), said, marks, opened=False) == ("hm", "B")


def test_a_switch_is_told_only_to_a_template_that_has_it() -> None:
    marks = Thinking(switch="enable_thinking")
    template = "{% if enable_thinking %}<think>{% endif %}"
    assert switches(marks, template, True) == {"enable_thinking": True}
    assert switches(marks, template, None) == switches(marks, "", True) == switches(None, template, True) == {}


@pytest.mark.parametrize(
    ("marks", "prompt", "wanted"), [(None, "A:", True), (MARKS, "A:", True), (MARKS, "A:<think>\n", False)]
)
def test_what_a_template_cannot_do_is_refused(marks: Thinking | None, prompt: str, wanted: bool) -> None:
    with pytest.raises(ModelFailure, match=r"always thinks|has no thinking"):
        check_unswitched(marks, prompt, wanted)


def test_what_a_template_does_anyway_may_be_asked_for() -> None:
    check_unswitched(MARKS, "A:<think>\n", True)
    check_unswitched(MARKS, "A:", False)
    check_unswitched(None, "A:", False)
    check_unswitched(MARKS, "A:", None, 100)


def test_a_budget_for_thinking_is_refused_by_a_model_that_has_none() -> None:
    with pytest.raises(ModelFailure, match="this model has no thinking"):
        check_unswitched(None, "A:", None, 100)


def test_a_prompt_opens_thinking_at_its_end_only() -> None:
    assert is_opened(MARKS, "A: <think>\n") and not is_opened(MARKS, "<think> A:") and not is_opened(None, "<think>")


def run(budget: Budget, answers: Sequence[str], prompt: int, steps: int) -> list[str]:
    """What rows say when a model would say `answers`, for so many tokens."""
    rows: list[list[int]] = [[200] * prompt for _ in answers]
    for step in range(steps):
        scores = torch.zeros(len(answers), 400)
        for row, answer in enumerate(answers):
            scores[row, (Letters().encode(answer) + [0] * steps)[step]] = 9.0
        made = budget(torch.tensor(rows), scores)
        for row, token in enumerate(made.argmax(dim=1).tolist()):
            rows[row].append(int(token))
    return [Letters().decode(row[prompt:]) for row in rows]


def test_thinking_is_ended_after_its_budget_in_the_rows_that_still_think() -> None:
    answers = ["abcdefghij", "ab</think>xyzuv", "<think>abcdefg", "no thought"]
    budget = Budget(Letters(), MARKS, 4, opened=[True, True, False, False], prompt=3)
    said = run(budget, answers, 3, 8)
    assert said == ["abcd!</think>gh", "ab</think>xyzuv", "<think>abc!</think>fg", "no thoug"]


def test_a_budget_of_nothing_ends_it_at_once() -> None:
    assert run(Budget(Letters(), MARKS, 0, opened=[True], prompt=2), ["abcd"], 2, 4) == ["!</think>cd"]
