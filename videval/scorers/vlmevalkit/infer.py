"""How VLMEvalKit reads an option out of a text: the first letter it meets, or what it infers without a judge.

Source: VLMEvalKit's `matching_util.py` and the `extract_characters_regex` of its video benchmarks. Its mistakes are
kept on purpose, see the docstrings. Our own readers are in `videval.scorers.choice`.
"""

import re
import string
from collections.abc import Mapping, Sequence

from videval.types import Sample
from videval.words import FAIL_MSG

__all__ = [
    "answer_among",
    "can_infer",
    "extract_characters_regex",
    "extract_characters_regex_v2",
    "lettered",
    "options_in_question",
]

_PREFIXES = (
    "The best answer is",
    "The correct answer is",
    "The answer is",
    "The answer",
    "The best option isThe correct option is",  # a comma is missing there, so these four never match
    "Best answer:Best option:",
    "Answer:",
    "Option:",
)
_PREFIXES_V2 = (
    "Final Answer:",
    "The best answer is",
    "The correct answer is",
    "The answer is",
    "The answer",
    "The best option is",
    "The correct option is",
    "Best answer:",
    "Best option:",
    "Answer:",
    "Option:",
)
_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_BLANKED = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_DECLARED = re.compile(r"(?:correct\s+)?answer\s+is\s+\**([ABCD])", re.IGNORECASE)


def extract_characters_regex(text: str, letters: str = "ABCD") -> str:
    """The first of the letters anywhere, words included; "" if there is none.

    So "Failed to obtain answer via API." is A and "CUDA out of memory" is C, as there. Video-MME and WorldSense look
    for A to D, LongVideoBench for A to E.
    """
    return _first_letter(text, _PREFIXES, letters)


def extract_characters_regex_v2(text: str) -> str:
    """The same for Video-MME-v2, with letters A to H."""
    return _first_letter(text, _PREFIXES_V2, "ABCDEFGH")


def _first_letter(text: str, prefixes: Sequence[str], letters: str) -> str:
    text = text.strip()
    for prefix in prefixes:
        text = text.replace(prefix, "")
    found = re.search(f"[{letters}]", text)
    return found[0] if found else ""


def lettered(candidates: Sequence[str]) -> dict[str, str]:
    """The candidates by the letters A, B, C, ..."""
    return dict(zip(string.ascii_uppercase, candidates, strict=False))


def options_in_question(question: str) -> dict[str, str]:
    """The options that stand in the question's own lines ("A. ..."), where its fallback looks for them."""
    options = {}
    for letter, line in zip(string.ascii_uppercase, question.split("\n")[1:], strict=False):
        _, mark, rest = line.partition(f"{letter}.")
        if mark:
            options[letter] = rest.strip(". \n")
    return options


def can_infer(text: str, choices: Mapping[str, str]) -> str | None:
    """The letter that VLMEvalKit infers without a judge: from a lone letter, else from an option's text."""
    return _infer_letter(text, choices) or _infer_text(text, choices)


def _infer_letter(text: str, choices: Mapping[str, str]) -> str | None:
    if FAIL_MSG.rstrip(".") in text:
        return None
    if any(refusal in text for refusal in _REFUSALS):
        return "Z"
    words = text.translate(_BLANKED).split()
    named = [letter for letter in choices if letter in words]
    if len(named) == 1 and words.index(named[0]) > len(words) - 5:
        return named[0]
    if not named and "Z" in words:
        return "Z"
    declared = _DECLARED.search(text)
    return declared[1].upper() if declared and declared[1].upper() in choices else None


def _infer_text(text: str, choices: Mapping[str, str]) -> str | None:
    text = text.lower()
    if len(text) > 2 * sum(len(str(option)) for option in choices.values()):
        return None
    found = [letter for letter, option in choices.items() if str(option).lower() in text]
    return found[0] if len(found) == 1 else None


def answer_among(sample: Sample) -> tuple[str, str]:
    """The answer as "(B) the cup" and its letter; where options are the same, the last and the first, as there."""
    letter, last = sample.answer or "", "@"
    for mark, option in lettered(sample.candidates).items():
        last = mark if option == sample.answer else last
        letter = mark if option == letter else letter
    return f"({last}) {sample.answer or ''}", letter
