"""How the MMMU family reads what follows the last `Answer:`: options by letter, open answers by what they contain.

Source: MMMU's `eval_utils.py` (Yue et al., arXiv:2311.16502) as Video-MMMU, VLMEvalKit and lmms-eval apply it. A
reading is a text in lower case or a number with two decimals; an open answer is right if it stands in a text that was
read, or is the same number.
"""

import re
from collections.abc import Mapping, Sequence

__all__ = ["after_answer", "contains_answer", "read_multiple_choice", "read_open"]

Reading = str | float
_PUNCTUATION = ",.!?;:'"
_KEYS = (
    *("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ", "are ", "in total ", "total "),
    *("identify ", "recognize ", "calculated as ", "counted as ", "measured as ", "observed as ", "concluded as "),
    *("found to be ", "equals ", "determined to be ", "number of ", "value is ", "adds up to ", "have ", "has "),
)
_TRIVIAL = frozenset(":,.!?;'")
_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+"),
    re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])"),
)


def after_answer(text: str) -> str:
    """What follows the last `Answer:`, or the whole text, without white space around it."""
    return text.rpartition("Answer:")[2].strip()


def read_open(text: str) -> tuple[Reading, ...]:
    """All that an open response may say: the ends of its sentences after a key word, and the numbers in them."""
    said = _key_parts(text)
    numbers = [number for part in said for pattern in _NUMBERS for number in pattern.findall(part)]
    return tuple(dict.fromkeys(reading for part in [*said, *numbers] for reading in _normalised(part)))


def contains_answer(readings: Sequence[Reading], answers: Sequence[str]) -> bool:
    """Whether an answer lies inside a text that was read, or is a number that was read."""
    wanted = {reading for answer in answers for reading in _normalised(answer)}
    texts = [reading for reading in wanted if isinstance(reading, str)]
    return any(any(t in r for t in texts) if isinstance(r, str) else r in wanted for r in readings)


def _key_parts(text: str) -> list[str]:
    """The shortest end of each line that follows a key word; the whole text if there is none."""
    whole = text.strip().strip(".").lower()
    lines = whole.split("\n")
    keys = [(*_KEYS, "=") if last else _KEYS for last in (i == len(lines) - 1 for i in range(len(lines)))]
    ends = [_shortest_end(line, known) for line, known in zip(lines, keys, strict=True)]
    return [end for end in ends if end and end not in _TRIVIAL] or [whole]


def _shortest_end(line: str, keys: Sequence[str]) -> str:
    """What follows the last of a key word in a line, for the key word after which the least is left."""
    shortest = ""
    for end in (line.split(key)[-1].strip() for key in keys if key in line):
        if not shortest or len(end) < len(shortest):
            shortest = end
    return shortest


def _normalised(text: str) -> tuple[Reading, ...]:
    """A number with two decimals, or the text in lower case; a single letter with a blank on either side of it."""
    text = text.strip()
    try:
        return (round(float(text.replace(",", "")), 2),)
    except ValueError:
        text = text.lower()
    return (f" {text}", f"{text} ") if len(text) == 1 else (text,)


def read_multiple_choice(text: str, options: Mapping[str, str]) -> str | None:
    """The letter of `options` (letter to text) that a response names, the last of several; None if it names none.

    In this order: "B." or "B:", "(B)", "B " anywhere; in a response of more than five words, an option's text.
    """
    for mark in _PUNCTUATION:
        text = text.strip(mark)
    text = f" {text} "
    dotted, coloned = ([letter for letter in options if f"{letter}{mark}" in text] for mark in ".:")
    if dotted or coloned:
        return _last(text, [*dotted, *coloned], "{}." if dotted else "{}:")
    if bracketed := [letter for letter in options if f"({letter})" in text]:
        return _last(text, bracketed, "({})")
    if spaced := [letter for letter in options if f"{letter} " in text]:
        return _last(text, spaced, " {} ")
    folded = text.lower()
    said = [letter for letter, option in options.items() if option.lower() in folded]
    if not said or len(text.split()) <= 5:
        return None
    return max(said, key=lambda letter: folded.rfind(options[letter].lower()))


def _last(text: str, letters: Sequence[str], form: str) -> str:
    """The letter whose form stands last in the text; the first of those that do not."""
    return max(letters, key=lambda letter: text.rfind(form.format(letter)))
