"""What the wording of several benchmarks shares: options a line each, lists out of a cell."""

from collections.abc import Sequence
from string import ascii_uppercase

from videval.scorers.options import literal_list

__all__ = ["LETTERS", "bracketed", "dotted", "letter_of", "literal_list"]

LETTERS = ascii_uppercase


def bracketed(options: Sequence[str]) -> str:
    """`(A) one`, `(B) two`, a line each."""
    return "\n".join(f"({letter}) {option}" for letter, option in zip(LETTERS, options, strict=False))


def dotted(options: Sequence[str]) -> str:
    """`A. one`, `B. two`, a line each."""
    return "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False))


def letter_of(number: object, column: str, options: int) -> str | None:
    """The letter of an option that is named by its number from 0, None where it is not public; else ValueError."""
    if number is None:
        return None
    whole = int(number) if isinstance(number, float) and number.is_integer() else number
    if not isinstance(whole, int) or not 0 <= whole < options:
        raise ValueError(f"{column} {number!r} is not the number of an option")
    return LETTERS[whole]
