"""Scorers for answers that are a word or a number: yes or no, the same words, how close a number is."""

import re

from videval.errors import UsageError
from videval.scorers.options import normalised, without_thinking
from videval.types import Sample, Score, Verdict

__all__ = ["ExactScorer", "NumberScorer", "YesNoScorer", "mean_relative_accuracy", "read_number", "read_yes_no"]

_YES_NO = {
    **dict.fromkeys(("yes", "y", "yeah", "yep", "true", "1"), "yes"),
    **dict.fromkeys(("no", "n", "nope", "false", "0"), "no"),
}
_SAID = "yes|yeah|yep|no|nope|true|false"
_YES_NO_WORD = re.compile(rf"\b({_SAID})\b", re.IGNORECASE)
_DECLARED = re.compile(rf"\banswer\b\W{{0,4}}(?:is|would be|:)?[\s:*\"'(]{{0,6}}({_SAID})\b", re.IGNORECASE)
_LEADING = re.compile(rf"\W{{0,6}}({_SAID})\b(?!\s+(?:one|longer|more|doubt|way|idea)\b)", re.IGNORECASE)
_BOTH = re.compile(r"\W*(?:yes\W+(?:or|and)\W+no|yes\W*/\W*no|no\W+(?:or|and)\W+yes)\b", re.IGNORECASE)

_NUMBER = r"[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,3})?|[-+−]?\.\d+"
_ANY_NUMBER = re.compile(rf"(?<![\w.,])(?<!\d[:/])({_NUMBER})(?![\d:/]|[.,]\d)")
_DECLARED_NUMBER = re.compile(
    rf"(?:\banswer\b\W{{0,4}}(?:is|would be|:)?|\\boxed\{{)[^\d\w.+−-]{{0,6}}({_NUMBER})(?![\d:/])", re.IGNORECASE
)
_WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_ANY_WORD = re.compile(rf"\b({'|'.join(_WORDS)})\b", re.IGNORECASE)


def read_yes_no(text: str) -> str | None:
    """ "yes" or "no": as stated ("the answer is no"), else the first word, else the only one said; None if neither."""
    text = without_thinking(text).strip()
    if _BOTH.match(text):
        return None
    if stated := _DECLARED.findall(text):
        return _YES_NO[stated[-1].lower()]
    if first := _LEADING.match(text):
        return _YES_NO[first[1].lower()]
    said = {_YES_NO[word.lower()] for word in _YES_NO_WORD.findall(text)}
    return said.pop() if len(said) == 1 and "yes" in said else None


class YesNoScorer:
    """Yes/no questions; true and false count as yes and no. `read` is "yes" or "no"."""

    name = "yes_no"
    version = 1

    def score(self, sample: Sample, text: str) -> Score:
        """Score what was said; UsageError if the sample's answer is neither yes nor no."""
        answer = _YES_NO.get(normalised(sample.answer or ""))
        if answer is None:
            raise UsageError(f"sample {sample.id} ({sample.video}): answer {sample.answer!r} is neither yes nor no")
        said = read_yes_no(text)
        if said is None:
            return Score(verdict=Verdict.UNPARSED, value=None)
        right = said == answer
        return Score(verdict=Verdict.RIGHT if right else Verdict.WRONG, value=float(right), read=said)


class ExactScorer:
    """Right if the same words were said as the answer's, without case, punctuation and white space.

    An answer without words, an arrow or a smiley, is compared as it stands.
    """

    name = "exact"
    version = 1

    def score(self, sample: Sample, text: str) -> Score:
        """Score what was said; UsageError if the sample has no answer. A text without words is unparsed, unless
        the answer has none."""
        read = normalised if normalised(sample.answer or "") else str.strip
        answer, said = read(sample.answer or ""), read(without_thinking(text))
        if not answer:
            raise UsageError(f"sample {sample.id} ({sample.video}): it has no answer to compare with")
        if not said:
            return Score(verdict=Verdict.UNPARSED, value=None)
        right = said == answer
        return Score(verdict=Verdict.RIGHT if right else Verdict.WRONG, value=float(right), read=said)


def read_number(text: str) -> float | None:
    """The number a text states: the last "the answer is 3" or boxed one, else the only one in it; None if unclear.

    1,200 is a number, 10:30 and 1/2 are not; words count up to twenty.
    """
    text = without_thinking(text)
    if stated := _DECLARED_NUMBER.findall(text):
        return _float(stated[-1])
    found = {_float(number) for number in _ANY_NUMBER.findall(text)}
    if not found:
        found = {float(_WORDS.index(word.lower())) for word in _ANY_WORD.findall(text)}
    return found.pop() if len(found) == 1 else None


def _float(number: str) -> float:
    return float(number.replace(",", "").replace("−", "-"))


def mean_relative_accuracy(said: float, answer: float) -> float:
    """The part of the thresholds 0.5, 0.55, ..., 0.95 at which |said - answer| / |answer| is at most 1 - threshold.

    Source: VSI-Bench (Yang et al., Thinking in Space, arXiv:2412.14171), with "at most" as in its published code.
    An answer of 0 has no relative error: 1.0 if 0 was said, else 0.0.
    """
    if answer == 0:
        return float(said == 0)
    error = abs(said - answer) / abs(answer)
    return sum(error <= (20 - k) / 20 + 1e-9 for k in range(10, 20)) / 10


class NumberScorer:
    """Numbers by mean relative accuracy (MRA); `value` is what is averaged, in tenths.

    The verdict only sorts answers into classes: right means within half of the thresholds or more (an error of at
    most 30 %, MRA 0.5). `read` is the number.
    """

    name = "number"
    version = 1

    def score(self, sample: Sample, text: str) -> Score:
        """Score what was said; UsageError if the sample's answer is not a number."""
        answer = read_number(sample.answer or "")
        if answer is None:
            raise UsageError(f"sample {sample.id} ({sample.video}): answer {sample.answer!r} is not a number")
        said = read_number(text)
        if said is None:
            return Score(verdict=Verdict.UNPARSED, value=None)
        value = mean_relative_accuracy(said, answer)
        return Score(verdict=Verdict.RIGHT if value >= 0.5 else Verdict.WRONG, value=value, read=f"{said:g}")
