"""Which question a key of a pack answer means, now that the questions are known."""

import re
from collections.abc import Mapping, Sequence

from videval.packs.tolerant import Entries, KeyStyle, is_answer, plain_key, read_entries
from videval.types import Prediction, PredictionState
from videval.words import FAIL_MSG

__all__ = ["read_pack"]

_NUMBER = r"\d{1,9}"


def read_pack(raw: str | None, sample_ids: Sequence[str]) -> tuple[Prediction, ...]:
    """One prediction for each question of a pack, in order; `how` says how it was read, or why not.

    A key is the question's own id if it can be; I1, I2, ... and numbered lists may also count the questions from
    one, and a list gives them in order. What could mean two questions is given to neither: it is ABSENT, as is a
    question that was left out, and UNPARSABLE is a response in which no answers can be told apart.
    """
    if raw is None or not raw.strip():
        return _nothing(sample_ids, "no response" if raw is None else "empty response")
    if raw.strip() == FAIL_MSG:
        return _nothing(sample_ids, "failure message")
    entries = read_entries(raw)
    if entries is None or (entries.style is KeyStyle.PLAIN and len(sample_ids) > 1):
        return _nothing(sample_ids, "not readable")
    found, how = _assigned(raw, entries, sample_ids)
    missing = "cut off" if entries.cut else f"not in the answer ({how})"
    return tuple(_prediction(i, found.get(i), how, missing) for i in sample_ids)


def _nothing(sample_ids: Sequence[str], how: str) -> tuple[Prediction, ...]:
    state = PredictionState.UNPARSABLE
    return tuple(Prediction(sample_id=i, state=state, text=None, how=how) for i in sample_ids)


def _prediction(sample_id: str, text: str | None, how: str, missing: str) -> Prediction:
    if text is None or not is_answer(text):
        return Prediction(sample_id=sample_id, state=PredictionState.ABSENT, text=None, how=missing)
    return Prediction(sample_id=sample_id, state=PredictionState.ANSWERED, text=text, how=how)


def _assigned(raw: str, entries: Entries, sample_ids: Sequence[str]) -> tuple[Mapping[str, str], str]:
    """Answers by sample id, and how they were read."""
    how = entries.form if entries.style is not KeyStyle.PREFIXED else f"{entries.form}, I-keys"
    own = {i: entries.answers[i] for i in sample_ids if i in entries.answers}
    if own and entries.style in (KeyStyle.KEY, KeyStyle.PREFIXED) and len(own) == len(entries.answers):
        return own, how
    if len(sample_ids) == 1 and (answer := _only_answer(entries, raw)) is not None:
        return {sample_ids[0]: answer}, f"{how}, single"
    if entries.style is KeyStyle.POSITION:
        return _listed(entries, sample_ids), how
    answers = {_number_of(key): text for key, text in entries.answers.items()}
    first = _counted_from(answers, entries.style, sample_ids)
    if first is None:
        return {i: answers[_number_of(i)] for i in sample_ids if _number_of(i) in answers}, how
    if first < 0:
        return {}, f"{how}, ambiguous"
    by_position = {str(n): i for n, i in enumerate(sample_ids, start=first)}
    placed = {by_position[key]: text for key, text in answers.items() if key in by_position}
    return placed, f"{how}, by position"


def _number_of(key: str) -> str:
    plain = plain_key(key)
    return str(int(plain)) if re.fullmatch(_NUMBER, plain) else plain


def _only_answer(entries: Entries, raw: str) -> str | None:
    """The answer to the only question; what looks like several answers to it is one answer in several lines."""
    keys = list(entries.answers)
    counts = entries.form == "lines" and entries.style is not KeyStyle.PREFIXED and keys not in (["0"], ["1"])
    if counts or (entries.style is KeyStyle.POSITION and len(keys) > 1):
        return raw.strip()
    if len(keys) == 1:
        return entries.answers[keys[0]]
    return next((text for key, text in entries.answers.items() if key.strip().casefold() == "answer"), None)


def _listed(entries: Entries, sample_ids: Sequence[str]) -> Mapping[str, str]:
    """A list in order; a whole list of another length than the questions could mean any of them."""
    given = len(entries.answers)
    if given > len(sample_ids) or (given < len(sample_ids) and not entries.cut):
        return {}
    return {i: entries.answers[str(n)] for n, i in enumerate(sample_ids) if str(n) in entries.answers}


def _counted_from(answers: Mapping[str, str], style: KeyStyle, sample_ids: Sequence[str]) -> int | None:
    """Whether keys count the questions from 1 or 0; None: they are the questions' ids; -1: it cannot be told."""
    numbers = {int(key) for key in answers if re.fullmatch(_NUMBER, key)}
    ids = {_number_of(i) for i in sample_ids}
    ordinal = bool(numbers) and numbers <= set(range(1, len(sample_ids) + 1))
    if numbers and {str(n) for n in numbers} <= ids:
        same = all(_number_of(sample_ids[n - 1]) == str(n) for n in numbers) if ordinal else True
        if same or style is KeyStyle.KEY or not ordinal:
            return None
        return 1 if numbers == set(range(1, len(numbers) + 1)) else -1
    if ordinal and 1 in numbers:
        return 1
    if 0 in numbers and numbers <= set(range(len(sample_ids))):
        return 0
    return None
