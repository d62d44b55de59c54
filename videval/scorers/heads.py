"""Options that name themselves: "Caption A: ...", "Sentence B: ...", "Option 2: ...".

Each is read by its head ("Caption A"), its mark ("A", "2"), its bare sentence, or as a whole.
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
    """The heads of all options of a question: their common word, the marks in their order, the sentences."""

    word: str
    marks: tuple[str, ...]
    sentences: tuple[str, ...]

    def whole(self, text: str) -> str | None:
        """The letter of the option of which one reading was said and nothing else; None if it is none or several."""
        said = normalised(text)
        found = {letter for letter, readings in self._readings() if said and said in readings}
        return found.pop() if len(found) == 1 else None

    def _readings(self) -> list[tuple[str, set[str]]]:
        rows = zip(string.ascii_uppercase, self.marks, self.sentences, strict=False)
        return [
            (
                letter,
                {normalised(r) for r in (mark, f"{self.word} {mark}", sentence, f"{self.word} {mark}: {sentence}")},
            )
            for letter, mark, sentence in rows
        ]

    def as_letters(self, text: str) -> str:
        """The text with "(B)" for the second option's head, and "B" for its mark where that ends a clause.

        A letter that is a mark stands for itself.
        """
        letters = dict(zip(self.marks, string.ascii_uppercase, strict=False))
        some = "|".join(map(re.escape, self.marks))
        headed = re.sub(
            rf"\b(?i:{re.escape(self.word)})\s+[(\[*\"']{{0,3}}({some})(?![\w’'])[)\]*\"']{{0,3}}",
            lambda m: f"({letters[m[1]]})",
            text,
        )
        if not self.marks[0].isdigit():
            return headed
        return re.sub(rf"(?<![\w.,:/-])({some}){_ENDS}", lambda m: letters[m[1]], headed)


def heads_of(options: Sequence[str]) -> Heads | None:
    """The heads of the options if all have one of the same word, marked A, B, C, ... or by different numbers."""
    found = [_HEADED.fullmatch(option) for option in options]
    known = [m for m in found if m]
    marks, words = tuple(m[2] for m in known), {m[1].casefold() for m in known}
    in_order = marks == tuple(string.ascii_uppercase[: len(marks)])
    numbered = len(set(marks)) == len(marks) and all(mark.isdigit() for mark in marks)
    if len(known) < 2 or len(known) != len(found) or len(words) != 1 or not (in_order or numbered):
        return None
    return Heads(word=known[0][1], marks=marks, sentences=tuple(m[3] for m in known))
