"""The thinking of a reasoning model: kept apart from its answer, and ended when its budget is spent."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from videval.errors import ModelFailure
from videval.models.families import Thinking

__all__ = ["Budget", "check_unswitched", "is_opened", "parted", "switches"]


def switches(marks: Thinking | None, template: str, wanted: bool | None) -> Mapping[str, bool]:
    """What a chat template is told to turn thinking on or off; nothing if it has no switch for it."""
    if wanted is None or marks is None or not marks.switch or marks.switch not in template:
        return {}
    return {marks.switch: wanted}


def check_unswitched(marks: Thinking | None, prompt: str, wanted: bool | None, budget: int | None = None) -> None:
    """Raise ModelFailure if a model whose template has no switch does not think as it is wanted to, or not at all and
    has a budget for it."""
    wanted = True if marks is None and budget is not None else wanted
    thinks = marks is not None and _thinks_after(marks, prompt)
    if wanted is not None and wanted != thinks:
        state = "always thinks" if thinks else "has no thinking"
        raise ModelFailure(f"this model {state}: its chat template has no switch", hint="leave the thinking option out")


def _thinks_after(marks: Thinking, prompt: str) -> bool:
    closed = prompt.rstrip().endswith(marks.close)
    return not closed and (marks.unasked or is_opened(marks, prompt))


def is_opened(marks: Thinking | None, prompt: str) -> bool:
    """Whether a chat template's prompt ends inside thinking."""
    return marks is not None and prompt.rstrip().endswith(marks.open.rstrip())


def parted(tokenizer: Any, said: Sequence[int], marks: Thinking | None, *, opened: bool) -> tuple[str | None, str]:
    """The thinking, and the answer behind it, of the tokens that a model said; no thinking is None.

    Without the closing mark all of it is thinking, if the prompt `opened` it or the answer begins with the opening one.
    """
    if marks is None:
        return None, _text(tokenizer, said)
    close = _ids(tokenizer, marks.close)
    at = _find(said, close)
    if at is not None:
        return _thought(tokenizer, said[:at], marks), _text(tokenizer, said[at + len(close) :]).lstrip()
    text = _text(tokenizer, said)
    before, mark, after = text.partition(marks.close)
    if mark:
        return _without_open(tokenizer, before, marks), after.lstrip()
    if opened or _begins(tokenizer, said, marks):
        return _thought(tokenizer, said, marks), ""
    return None, text


class Budget:
    """A logits processor that, after `budget` new tokens, makes a model that still thinks say the end of it.

    `opened`: for each row, whether its prompt ends inside thinking; `prompt`: how many tokens prompts have.
    """

    def __init__(self, tokenizer: Any, marks: Thinking, budget: int, *, opened: Sequence[bool], prompt: int) -> None:
        self._tokenizer, self._marks, self._opened = tokenizer, marks, opened
        self._start = prompt + budget
        self._prompt = prompt
        self._ended = _ids(tokenizer, marks.ended)
        self._rows: list[int] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        place = input_ids.shape[1] - self._start
        if place == 0:
            said = input_ids[:, self._prompt :].tolist()
            self._rows = [row for row, opened in enumerate(self._opened) if self._thinks(said[row], opened)]
        if 0 <= place < len(self._ended) and self._rows:
            scores[self._rows] = -torch.inf
            scores[self._rows, self._ended[place]] = 0.0
        return scores

    def _thinks(self, said: Sequence[int], opened: bool) -> bool:
        thinking, answer = parted(self._tokenizer, said, self._marks, opened=opened)
        closed = self._marks.close in self._tokenizer.decode(said, skip_special_tokens=False)
        return thinking is not None and not answer and not closed


def _begins(tokenizer: Any, said: Sequence[int], marks: Thinking) -> bool:
    """Whether an answer begins with the opening mark, blanks before it aside."""
    text = tokenizer.decode(said, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return str(text).lstrip().startswith(marks.open.rstrip())


def _thought(tokenizer: Any, said: Sequence[int], marks: Thinking) -> str:
    return _without_open(tokenizer, _text(tokenizer, said), marks)


def _without_open(tokenizer: Any, text: str, marks: Thinking) -> str:
    """A thought without the mark before it, of which decoding leaves what is no special token."""
    left = _text(tokenizer, _ids(tokenizer, marks.open)).strip()
    return text.strip().removeprefix(left).strip()


def _text(tokenizer: Any, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _ids(tokenizer: Any, text: str) -> list[int]:
    return [int(token) for token in tokenizer.encode(text, add_special_tokens=False)]


def _find(ids: Sequence[int], part: Sequence[int]) -> int | None:
    """Where a run of tokens begins in others; None if it is not there."""
    starts = range(len(ids) - len(part) + 1)
    return next((start for start in starts if list(ids[start : start + len(part)]) == list(part)), None)
