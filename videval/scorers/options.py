"""The options of a choice question as texts: compared without case, punctuation and white space."""

import ast
import json
import re
import string
import unicodedata
import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from videval.errors import UsageError
from videval.types import Sample

__all__ = [
    "answer_letter",
    "letter_answer",
    "listed",
    "literal_list",
    "match_option",
    "normalised",
    "option_texts",
    "same_option",
    "without_thinking",
]

_LETTERED = re.compile(r"\s*\(?([A-Z])\s*[).:]\s*(.*)", re.DOTALL)
_LONE_LETTER = re.compile(r"\s*\(?([A-Za-z])\)?[.:]?\s*")
_THINKING = re.compile(r"<(think|thinking)>.*?(?:</\1>|$)|^.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_SHORT = 200
"""Characters of a text that is worth remembering."""
_NEGATED = re.compile(r"\b(?:not|cannot|never|none|neither|nor|unable|without|\w+n t|can t)\b")


def normalised(text: str) -> str:
    """A text as lower-case words with one space between; signs inside numbers (-3.5, 1/2, 10:30) stay."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    words = re.sub(
        r"(?<!\d)[.,:/](?=\s|$|\D)|(?<=\d)[.,:](?!\d)|[^\w\s.,:/+%°<>=*&#@$€£¥^√-]|(?<=\w)-(?=\D)|_", " ", folded
    )
    return " ".join(words.split())


_words = lru_cache(maxsize=4096)(normalised)
"""The same of what a benchmark says, where many questions have one answer; what models say is seldom said again."""


def _comparable(text: str) -> str:
    """What makes two options the same: their words or, where a text has none (an arrow, a smiley), its signs."""
    return (normalised(text) if len(text) > _SHORT else _words(text)) or text.strip()


def literal_list(cell: str) -> list[Any] | None:
    """The list that a cell says, as JSON or a Python literal; None if it says none. Nothing is executed."""
    for read in (json.loads, ast.literal_eval):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a stray backslash in a literal is no news
                found = read(cell)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list):
            return found
    return None


def listed(cell: object) -> list[str]:
    """What a cell names: each element of a list, or of a text that says one, else the text itself."""
    if isinstance(cell, list | tuple):
        return [str(name) for name in cell]
    text = str(cell)
    return [str(name) for name in (literal_list(text) or [text])] if text.startswith("[") else [text]


def without_thinking(text: str) -> str:
    """What was said without what was thought before, closed or not, or begun by the prompt itself."""
    return _THINKING.sub("", text) if "<" in text else text


def option_texts(candidates: Sequence[str]) -> tuple[str, ...]:
    """The candidates without the letters that some tables write before each ("A. the book")."""
    texts = []
    for candidate, letter in zip(candidates, string.ascii_uppercase, strict=False):
        found = _LETTERED.fullmatch(candidate)
        if found is None or found[1] != letter:
            break
        texts.append(found[2].strip())
    return tuple(texts) if len(texts) == len(candidates) else tuple(candidates)


def match_option(text: str, options: Sequence[str]) -> str | None:
    """The letter of the only option whose text was said, as the whole text or as words inside it; else None.

    The longest option is looked for first and its words are used up, so "a red car" is not also "red"; an option
    that is said elsewhere besides makes it two, and none is read. Nor is one that stands beside a "not".
    """
    said = _comparable(text)
    wanted = [(_comparable(option), letter) for option, letter in zip(options, string.ascii_uppercase, strict=False)]
    whole = [letter for words, letter in wanted if words and words == said]
    if whole:
        return whole[0]
    found = []
    for words, letter in sorted(wanted, key=lambda pair: -len(pair[0])):
        said, times = _without(said, words)
        found += [letter] if times else []
    return found[0] if len(found) == 1 and not _NEGATED.search(said) else None


def _without(text: str, words: str) -> tuple[str, int]:
    if not words:
        return text, 0
    return re.subn(rf"(?<![\w.-]){re.escape(words)}(?![\w]|[.,:/]\d)", "\0", text)


def same_option(letter: str, answer: str, options: Sequence[str]) -> bool:
    """Whether two letters name the same option; tables may hold one text twice."""
    if letter == answer or not options:
        return letter == answer
    return _comparable(_option(options, letter)) == _comparable(_option(options, answer))


def _option(options: Sequence[str], letter: str) -> str:
    return options[ord(letter) - ord("A")]


def answer_letter(sample: Sample) -> str:
    """The letter of the sample's answer, which may be the option's text, "B" or "(B) the cup".

    UsageError, naming the sample, if the answer is not among the candidates or there are more than 26.
    """
    options = option_texts(sample.candidates)
    if len(options) > len(string.ascii_uppercase):
        raise UsageError(f"sample {sample.id}: {len(options)} candidates; at most 26 can have a letter")
    answer = (sample.answer or "").strip()
    letter = _by_text(answer, sample.candidates)
    if letter is None and options != sample.candidates:
        letter = _by_text(answer, options)
    letter = letter or _by_letter(answer, options)
    if letter is None:
        raise UsageError(
            f"sample {sample.id} ({sample.video}): answer {sample.answer!r} is not among its candidates",
            hint=f"candidates: {', '.join(map(repr, sample.candidates)) or 'none'}",
        )
    return letter


def letter_answer(sample: Sample) -> str:
    """The same where answers are published as letters: "A" is the first option, whatever the texts of others are."""
    answer = (sample.answer or "").strip()
    known = string.ascii_uppercase[: len(sample.candidates) or 8]
    return answer if answer in tuple(known) else answer_letter(sample)


def _by_text(answer: str, options: Sequence[str]) -> str | None:
    for same in (str.strip, _words):
        wanted = same(answer)
        for option, letter in zip(options, string.ascii_uppercase, strict=False):
            if wanted and same(option) == wanted:
                return letter
    return None


def _by_letter(answer: str, options: Sequence[str]) -> str | None:
    """The letter of "B", "(b)", or "(B) the cup" where that is option B; any of A to H if there are no options."""
    known = string.ascii_uppercase[: len(options) or 8]
    if lone := _LONE_LETTER.fullmatch(answer):
        return lone[1].upper() if lone[1].upper() in known else None
    lettered = _LETTERED.fullmatch(answer)
    if not lettered or lettered[1] not in known:
        return None
    fits = not options or normalised(lettered[2]) == normalised(_option(options, lettered[1]))
    return lettered[1] if fits else None
