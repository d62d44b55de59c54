"""What the wording of several benchmarks shares: options a line each, lists out of a cell."""

from collections.abc import Sequence
from string import ascii_uppercase

from videval.scorers.options import literal_list

__all__ = ["LETTERS", "bracketed", "dotted", "literal_list"]

LETTERS = ascii_uppercase


def bracketed(options: Sequence[str]) -> str:
    """`(A) one`, `(B) two`, a line each."""
    return "\n".join(f"({letter}) {option}" for letter, option in zip(LETTERS, options, strict=False))


def dotted(options: Sequence[str]) -> str:
    """`A. one`, `B. two`, a line each."""
    return "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False))
