"""Reads which option of a choice question was chosen: by its letter or by its text, never by a letter inside a word."""

import re
import string
import unicodedata
from collections.abc import Sequence

from videval.scorers.heads import Heads, heads_of
from videval.scorers.mmmu import after_answer
from videval.scorers.options import (
    answer_letter,
    letter_answer,
    match_option,
    normalised,
    option_texts,
    same_option,
    without_thinking,
)
from videval.types import Sample, Score, Verdict

__all__ = ["ChoiceScorer", "FinalChoiceScorer", "LetterScorer", "WordsScorer", "answer_letter", "extract_choice"]

_SAID = r"(?:(?:is|are|was|would\s+be|should\s+be|must\s+be|could\s+be|seems\s+to\s+be|to\s+be)\b|[:=\-–—]|是|为|选)"
_FILLER = r"(?:most\s+likely|likely|probably|clearly|therefore|thus|either|option|choice|letter|answer|the)\b"
_OPEN, _CLOSE = r"[\[(<{\"'*_`$\s]{0,9}", r"[\])>}\"'*_`$]{0,9}"
_LETTER = r"(?P<open>[\[({]\s?)?(?P<letter>[A-Za-z])(?![\w'’])(?P<close>\s?[\])}])?"
_OR = rf"\s*(?:,?\s*(?:or|and|&)\b|[/,&]|或)\s*(?:option\s+)?{_OPEN}(?P<other>[A-Z])\b(?!['’])"
_NOUN = r"(?:answer|solution|response|(?:best|correct|right|final|my|chosen|appropriate)\s+(?:option|choice|one))"
_DECLARED = re.compile(
    rf"""(?: \b{_NOUN}[\s*_]*{_SAID} | (?:答案|正确选项|选项|选择|应该选|选)\s*[是为:]?
        | \b(?:option|choice)\s*:
        | \b(?:it|this|that)(?:'s|’s|\s+(?:is|must\s+be|should\s+be|would\s+be))
        | (?<!not\ )(?<!n't\ )(?<!never\ )\b(?:choose|select|pick|going\s+with|go\s+with|opt\s+for)\b
        | \b(?:therefore|thus|hence|so|conclusion)\b[\s,:]
        ) (?:\s{{0,3}}{_FILLER}){{0,4}} \s{{0,3}}:?{_OPEN} {_LETTER} {_CLOSE}""",
    re.IGNORECASE | re.VERBOSE,
)
_CALLED_RIGHT = re.compile(
    rf"(?<![\w'’]){_LETTER}{_CLOSE}\s+(?:is|seems|must\s+be|would\s+be|looks)\s+(?:to\s+be\s+)?(?:the\s+)?(?:most\s+)?"
    r"(?:likely\s+)?(?:correct|right|best|answer|accurate|appropriate|true)\b",
    re.IGNORECASE,
)
_BOXED = re.compile(r"\\boxed\s*\{\s*(?:\\(?:text|mathrm|mathbf|textbf)\s*\{)?\s*\(?([A-Za-z])\b")
_TAG = re.compile(r"<(?:answer|final_answer)>", re.IGNORECASE)
_TAG_ENDS = re.compile(r"</(?:answer|final_answer)>", re.IGNORECASE)
_ALONE = re.compile(
    rf"{_OPEN}(?:(?:option|choice|answer)\s?[:.]?{_OPEN})?([A-Za-z])\s?[.,:;!?]?{_CLOSE}[\s.,:;!?]{{0,9}}",
    re.IGNORECASE,
)
_LEADING = re.compile(rf"{_OPEN}{_LETTER}{_CLOSE}(?P<mark>[.:,;)]|\s*\n|\s+[-–—]\s|\s*$)?")
_BRACKETED = re.compile(
    r"(?<!\w)(?<!not )(?<!n't )[(\[]\s?([A-Za-z])\s?[)\]](?!\w)(?!\s(?:is|was|seems)\s(?:wrong|incorrect|not|false)\b)",
    re.IGNORECASE,
)
_LISTED = re.compile(r"^[ \t*_\-]*\(?([A-Z])[).:]", re.MULTILINE)
_ENDS_WORD = re.compile(r"\s*(?:$|[.,;:!?)\]}\"'*_`\n<]|(?:because|since|as|which|based|given|for)\b|[-–—(])")
_SPOKEN_OF = re.compile(r"\s*(?:is|was|isn't|isn’t|wasn't|can|cannot|can't|could|does|doesn't|has|shows|seems)\b")
_ARTICLES = "AI"


def extract_choice(text: str, letters: Sequence[str]) -> str | None:
    r"""The one letter of `letters` that a text chooses, or None if it chooses none or more than one.

    In this order: \boxed{B} or <answer>B</answer>; the letter alone, bracketed or not; the last "the answer is B" or
    "B is correct"; a leading "B.", "(B) ..." or "B" on a line of its own; the only bracketed letter; a last line
    that is the letter alone. A small letter counts only alone or in brackets, and A and I only where they
    cannot be words.
    """
    plain = without_thinking(unicodedata.normalize("NFKC", text)).strip()
    known = {letter.upper(): letter for letter in letters}
    if tagged := _TAG_ENDS.split(_TAG.split(plain)[-1])[0].strip():
        plain = tagged
    for read in (_boxed, _alone, _declared, _leading, _bracketed, _last_line):
        found = read(plain, known)
        if found is not None:
            return known.get(found)
    return None


_AMBIGUOUS = "?"
_Known = dict[str, str]


def _boxed(text: str, known: _Known) -> str | None:
    found = _BOXED.findall(text)
    return found[-1].upper() if found else None


def _alone(text: str, known: _Known) -> str | None:
    found = _ALONE.fullmatch(text)
    return found[1].upper() if found and found[1].upper() in known else None


def _declared(text: str, known: _Known) -> str | None:
    """The letter of the last statement that says which is right; ambiguous if it names two."""
    found = [m for m in (*_DECLARED.finditer(text), *_CALLED_RIGHT.finditer(text)) if _is_letter(m, text, known)]
    if not found:
        return None
    last = max(found, key=lambda m: m.start("letter"))
    return _AMBIGUOUS if _names_another(text, last, known) else last["letter"].upper()


def _leading(text: str, known: _Known) -> str | None:
    """A letter that begins the text, set off from what follows; ambiguous if other options are listed after it."""
    found = _LEADING.match(text)
    if not found or not _is_letter(found, text, known):
        return None
    if not (found["mark"] or found["close"]):
        return _AMBIGUOUS if _names_another(text, found, known) else None
    if _SPOKEN_OF.match(text, found.end()):
        return None
    others = {letter for letter in _LISTED.findall(text) if letter in known} - {found["letter"].upper()}
    return _AMBIGUOUS if others or _names_another(text, found, known) else found["letter"].upper()


def _bracketed(text: str, known: _Known) -> str | None:
    found = {letter.upper() for letter in _BRACKETED.findall(text)} & set(known)
    return found.pop() if len(found) == 1 else None


def _last_line(text: str, known: _Known) -> str | None:
    *before, last = text.split("\n") if text else [""]
    return _alone(last.strip(), known) if before else None


def _is_letter(found: re.Match[str], text: str, known: _Known) -> bool:
    """Whether the letter found is an option's and cannot be a word or the start of one."""
    letter = found["letter"]
    bracketed = bool(found["open"] and found["close"])
    if letter.upper() not in known or (letter.islower() and not bracketed and not found["close"]):
        return False
    if found.re is _DECLARED and _SPOKEN_OF.match(text, found.end()):
        return False
    if bracketed or found["close"] or letter not in _ARTICLES or found.re is _LEADING:
        return True
    return found.re is _CALLED_RIGHT or bool(_ENDS_WORD.match(text, found.end("letter")))


def _names_another(text: str, found: re.Match[str], known: _Known) -> bool:
    end = found.end("close") if found["close"] else found.end("letter")
    rest = re.match(_CLOSE, text[end:])
    other = re.match(_OR, text[end + (rest.end() if rest else 0) :], re.IGNORECASE)
    return bool(other and other["other"].isupper() and other["other"] in known)


class ChoiceScorer:
    """Choice questions: the option chosen by letter, else by its text; right if it is the answer's.

    `read` is the letter. A letter that was said counts before any text that stands beside it. Options with heads
    ("Caption A: ...", "Option 2: ...") are also read by head, sign ("A", "2") and bare sentence.
    """

    name = "choice"
    version = 1
    _answer = staticmethod(answer_letter)

    def score(self, sample: Sample, text: str) -> Score:
        """Score what was said; UsageError if the sample's answer is not among its candidates."""
        answer, options = self._answer(sample), option_texts(sample.candidates)
        heads = heads_of(options)
        if heads:
            said, options = _headed_option(text, heads), heads.sentences
        else:
            said = _option(text, options)
        return _verdict(said, said is not None and same_option(said, answer, options))


class LetterScorer(ChoiceScorer):
    """Choice questions whose answers are published as letters: "A" is the first option, even if another says "A".

    `read` is the letter.
    """

    name = "letter"
    version = 1
    _answer = staticmethod(letter_answer)


class FinalChoiceScorer(LetterScorer):
    """Choice questions whose response ends with `Answer: ...`: the option chosen there, or in the whole if it is bare.

    `read` is the letter.
    """

    name = "final_choice"
    version = 1

    def score(self, sample: Sample, text: str) -> Score:
        """Score what was said; UsageError if the sample's answer is not among its candidates."""
        said = without_thinking(text)
        return super().score(sample, after_answer(said) or said)


class WordsScorer:
    """Questions that list their options as words without letters: the only option whose text was said.

    Without candidates, what was said must be the answer itself. `read` is the option's text.
    """

    name = "words"
    version = 1

    def score(self, sample: Sample, text: str) -> Score:
        """Score what was said; UsageError if the sample's answer is not among its candidates."""
        if not sample.candidates:
            said = normalised(text)
            return _verdict(said or None, said == normalised(sample.answer or ""))
        answer, options = answer_letter(sample), option_texts(sample.candidates)
        letter = match_option(text, options)
        if letter is None:
            return _verdict(None, False)
        return _verdict(options[ord(letter) - ord("A")], same_option(letter, answer, options))


def _option(text: str, options: Sequence[str]) -> str | None:
    letters = string.ascii_uppercase[: len(options) or 8]
    return extract_choice(text, letters) or _letter_before_its_text(text, options) or match_option(text, options)


def _headed_option(text: str, heads: Heads) -> str | None:
    said = without_thinking(text)
    letters = string.ascii_uppercase[: len(heads.signs)]
    chosen = heads.whole(said) or extract_choice(heads.as_letters(said), letters)
    return chosen or match_option(said, heads.sentences)


def _letter_before_its_text(text: str, options: Sequence[str]) -> str | None:
    """B of "B the cup", where the text of option B follows its bare letter."""
    letter, _, rest = text.strip().partition(" ")
    index = ord(letter) - ord("A") if len(letter) == 1 else -1
    if 0 <= index < len(options) and normalised(rest) and normalised(rest) == normalised(options[index]):
        return letter
    return None


def _verdict(read: str | None, right: bool) -> Score:
    if read is None:
        return Score(verdict=Verdict.UNPARSED, value=None)
    return Score(verdict=Verdict.RIGHT if right else Verdict.WRONG, value=float(right), read=read)
