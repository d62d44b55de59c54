"""What VLMEvalKit's rule path says of the same answers, so that old and new numbers can be compared.

Written from the behaviour recorded in tests/golden/scoring.json and from reading VLMEvalKit (Apache-2.0, as of
2026: `mvbench.py`, `videomme.py`, `mmbench_video.py`, `matching_util.py`); no judge model is asked (its
`exact_matching`). Its mistakes are kept on purpose: see the docstrings. Our own scorers are in `choice.py`.
"""

import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from videval.errors import UsageError
from videval.scorers.vlmevalkit_ratings import mmbench_video_rating, mvbench_rating, videomme_rating
from videval.types import FAIL_MSG, Sample

__all__ = [
    "RULES",
    "Rule",
    "can_infer",
    "check_ans",
    "check_ans_with_model_none",
    "extract_characters_regex",
    "extract_characters_regex_v2",
    "mmbench_video_rating",
    "mvbench_rating",
    "mvbench_score",
    "videomme_rating",
    "videomme_score",
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


def extract_characters_regex(text: str) -> str:
    """Video-MME's letter: the first of A, B, C, D anywhere, words included; "" if there is none.

    So "Failed to obtain answer via API." is A and "CUDA out of memory" is C, as there.
    """
    return _first_letter(text, _PREFIXES, "[ABCD]")


def extract_characters_regex_v2(text: str) -> str:
    """The same for Video-MME-v2, with letters A to H."""
    return _first_letter(text, _PREFIXES_V2, "[A-H]")


def _first_letter(text: str, prefixes: Sequence[str], letters: str) -> str:
    text = text.strip()
    for prefix in prefixes:
        text = text.replace(prefix, "")
    found = re.search(letters, text)
    return found[0] if found else ""


def check_ans(prediction: str, answer: str) -> bool:
    """MVBench's rule: the first word of the prediction lies in that of the answer "(B) the cup", or the other way.

    So "", ".", "(" and ")" are right. Raises IndexError, as there, when the answer has no text after its letter.
    """
    said = prediction.lower().split(" ")[0]
    option, *content = answer.lower().split(" ")
    _ = " ".join(content)[-1]
    return said.replace(".", "") in option or option in said


def check_ans_with_model_none(
    prediction: str, answer: str, candidates: Sequence[str], letter: str | None = None
) -> bool:
    """`check_ans`, else what `can_infer` reads is `letter`: how MVBench is scored when there is no judge.

    `letter` is that of the answer by default: B of "(B) the cup".
    """
    if check_ans(prediction, answer):
        return True
    options = dict(zip(string.ascii_uppercase, candidates, strict=False))
    return can_infer(prediction, options) == (answer[1:2] if letter is None else letter)


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


def mvbench_score(sample: Sample, text: str | None) -> int:
    """1 right, 0 wrong, -1 failed; None is a failed request. UsageError where VLMEvalKit itself would crash."""
    if text is None or FAIL_MSG in text:
        return -1
    answer, letter = _mvbench_answer(sample)
    try:
        return int(check_ans_with_model_none(text, answer, sample.candidates, letter))
    except IndexError:
        raise UsageError(f"sample {sample.id}: VLMEvalKit's MVBench rule has no score for an empty answer") from None


def _mvbench_answer(sample: Sample) -> tuple[str, str]:
    """The answer as "(B) the cup" and its letter; where options are the same, the last and the first, as there."""
    letter, last = sample.answer or "", "@"
    for mark, option in zip(string.ascii_uppercase, sample.candidates, strict=False):
        last = mark if option == sample.answer else last
        letter = mark if option == letter else letter
    return f"({last}) {sample.answer or ''}", letter


def videomme_score(sample: Sample, text: str | None) -> int:
    """1 right, 0 wrong; a failed request (None) is scored by its failure text, which reads as A."""
    said = FAIL_MSG if text is None else text
    letter = extract_characters_regex(said) or can_infer(said, _options_in_question(sample.question))
    return int(letter == sample.answer)


def _options_in_question(question: str) -> dict[str, str]:
    """The options that stand in the question's own lines ("A. ..."), which is where Video-MME's fallback looks."""
    options = {}
    for letter, line in zip(string.ascii_uppercase, question.split("\n")[1:], strict=False):
        _, mark, rest = line.partition(f"{letter}.")
        if mark:
            options[letter] = rest.strip(". \n")
    return options


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One of VLMEvalKit's rule paths: the score of a prediction (None: the request failed), the table of all rows."""

    score: Callable[[Sample, str | None], int]
    rating: Callable[[Sequence[Mapping[str, Any]]], Mapping[str, Any]]


RULES: Mapping[str, Rule] = {
    "mvbench": Rule(score=mvbench_score, rating=mvbench_rating),
    "videomme": Rule(score=videomme_score, rating=videomme_rating),
}
"""What a benchmark's `vlmevalkit` names."""
