"""Options that name themselves: "Caption A: ...", "Sentence B: ...", "Option 2: ...".

Each is read by its head ("Caption A"), its sign ("A", "2"), its bare sentence, or as a whole.
"""

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass

from videval.scorers.options import normalised

__all__ = ["Heads", "heads_of"]

_HEADED = re.compile(r"\s*([^\W\d_][\w -]*?)\s+([A-Z]|\d{1,2})\s*:\s+(.+?)\s*", re.DOTALL)
_ENDS = r"(?=\s*(?:[.,;:)\]}<*\n]|$))(?!\.\d)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Heads:
    """The heads of all options of a question: their common word, the signs in their order, the sentences."""

    word: str
    signs: tuple[str, ...]
    sentences: tuple[str, ...]

    def whole(self, text: str) -> str | None:
        """The letter of the option of which one reading was said and nothing else; None if it is none or several."""
        said = normalised(text)
        rows = zip(string.ascii_uppercase, self.signs, self.sentences, strict=False)
        found = [letter for letter, sign, sentence in rows if said and said in self._readings(sign, sentence)]
        return found[0] if len(found) == 1 else None

    def _readings(self, sign: str, sentence: str) -> set[str]:
        head = f"{self.word} {sign}"
        said = (sign, head, sentence, f"{sign}) {sentence}", f"{head}: {sentence}")
        return {normalised(reading) for reading in said}

    def as_letters(self, text: str) -> str:
        """The text with "(B)" for the second option's head, and "B" for its sign where that ends a clause.

        A letter that is a sign stands for itself.
        """
        letters = dict(zip(self.signs, string.ascii_uppercase, strict=False))
        some = "|".join(map(re.escape, self.signs))
        headed = re.sub(
            rf"\b(?i:{re.escape(self.word)})\s+[(\[*\"']{{0,3}}({some})(?![\w’'])[)\]*\"']{{0,3}}",
            lambda m: f"({letters[m[1]]})",
            text,
        )
        if not self.signs[0].isdigit():
            return headed
        return re.sub(rf"(?<![\w.,:/-])({some}){_ENDS}", lambda m: letters[m[1]], headed)


def heads_of(options: Sequence[str]) -> Heads | None:
    """The heads of the options if all have one of the same word, marked A, B, C, ... or by different numbers."""
    known = []
    for option in options:
        found = _HEADED.fullmatch(option)
        if found is None:
            return None
        known.append(found)
    signs, words = tuple(m[2] for m in known), {m[1].casefold() for m in known}
    in_order = signs == tuple(string.ascii_uppercase[: len(signs)])
    numbered = len(set(signs)) == len(signs) and all(sign.isdigit() for sign in signs)
    if len(known) < 2 or len(words) != 1 or not (in_order or numbered):
        return None
    return Heads(word=known[0][1], signs=signs, sentences=tuple(m[3] for m in known))
