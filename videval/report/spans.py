"""Ids in pieces: what could be a million rows is read piece by piece."""

from collections.abc import Iterator

__all__ = ["spans"]

SPAN = 20_000
"""Row ids that one query looks at: a fraction of a second, so that no reader stays open for long."""


def spans(low: int, high: int, size: int = SPAN) -> Iterator[tuple[int, int]]:
    """low..high cut into pieces of `size`, both ends included."""
    for start in range(low, high + 1, size):
        yield start, min(start + size - 1, high)
