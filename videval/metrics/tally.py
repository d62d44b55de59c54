"""What adds up of scores, group by group: counts, totals, and how these go together from video to video.

As large as there are groups, however many questions were counted; so a run's scores are kept as a Tally that grows.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from videval.metrics.intervals import Codes, Estimate, Floats, interval

__all__ = ["Cell", "Mask", "Slopes", "Tally", "estimate", "tally_of"]

Mask = npt.NDArray[np.bool_]
Slopes = Mapping[str, tuple[float, float]]
"""By group: how a number changes with the group's n, and with its total."""

_Key = TypeVar("_Key", bound=Hashable)
_ZEROS = (0, 0, 0, 0, 0.0, 0.0, 0, 0, 0)
_TINY = 1e-12
"""What is left of a variance, beside the squares it is the rest of, where nothing varies."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One group: `n` scored questions, how many right, wrong, unparsed, truncated, refused; the sum of their values in
    0..1 and of the values' squares; about how many videos they are."""

    n: int
    right: int
    wrong: int
    unparsed: int
    total: float
    squares: float
    videos: int
    truncated: int = 0  # these last, as they are stored: sums of before them end without
    refused: int = 0


_NAMES = tuple(Cell.__dataclass_fields__)
_Pair = tuple[float, float, float, float]
"""Sums over videos of n n', n total', total n', total total' of two groups in one video."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """The groups of a column as cells, which two meet in videos as pairs, and in how many videos any of them is.

    Tallies of different videos add up; what became of a video is a tally after minus a tally before.
    """

    cells: Mapping[str, Cell] = field(default_factory=dict)
    pairs: Mapping[tuple[str, str], _Pair] = field(default_factory=dict)
    videos: int = 0

    def plus(self, other: "Tally", sign: int = 1) -> "Tally":
        """Both together; `sign` -1 takes the other away."""
        mine, others = ({name: astuple(cell) for name, cell in t.cells.items()} for t in (self, other))
        cells = {name: _cell(numbers) for name, numbers in _added(mine, others, sign)}
        pairs = {names: (nn, nt, tn, tt) for names, (nn, nt, tn, tt) in _added(self.pairs, other.pairs, sign)}
        return Tally(cells=cells, pairs=pairs, videos=self.videos + sign * other.videos)

    def to_json(self) -> dict[str, Any]:
        """As it is stored."""
        place = {name: at for at, name in enumerate(self.cells)}
        return {
            "videos": self.videos,
            "cells": [[name, *astuple(cell)] for name, cell in self.cells.items()],
            "pairs": [[place[a], place[b], *found] for (a, b), found in self.pairs.items()],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Tally":
        """As `to_json` made it."""
        names = [name for name, *_ in data["cells"]]
        cells = {name: _cell(found) for name, *found in data["cells"]}
        pairs = {(names[a], names[b]): (nn, nt, tn, tt) for a, b, nn, nt, tn, tt in data["pairs"]}
        return cls(cells=cells, pairs=pairs, videos=data["videos"])


def _cell(numbers: Sequence[Any]) -> Cell:
    return Cell(**dict(zip(_NAMES, numbers, strict=False)))


def _added(
    a: Mapping[_Key, Sequence[float]], b: Mapping[_Key, Sequence[float]], sign: int
) -> Iterator[tuple[_Key, list[float]]]:
    """The numbers of both, place by place; without those whose first, a count, has come to nothing."""
    for key in dict.fromkeys([*a, *b]):
        numbers = [x + sign * y for x, y in zip(a.get(key, _ZEROS), b.get(key, _ZEROS), strict=False)]
        if numbers[0]:
            yield key, numbers


def tally_of(values: Floats, codes: npt.NDArray[Any], videos: Codes, groups: Sequence[tuple[str, Mask]]) -> Tally:
    """Count questions: their values in 0..1, verdict codes (0 right, 1 wrong, 2 unparsed, 3 truncated, 4 refused),
    videos by number, and which of them are in each group."""
    groups = sorted((group for group in groups if group[1].any()), key=lambda group: group[0])
    parts = [_by_video(number, values[mask], videos[mask]) for number, (_, mask) in enumerate(groups)]
    cells = {
        name: _counted(values[mask], codes[mask], videos=part.shape[1])
        for (name, mask), part in zip(groups, parts, strict=True)
    }
    table = np.concatenate([np.zeros((4, 0)), *parts], axis=1)
    table = table[:, np.lexsort(table[1::-1])]
    pairs = dict(_pairs(table, tuple(cells)))
    return Tally(cells=cells, pairs=pairs, videos=len(np.unique(table[0])))


def _counted(values: Floats, codes: npt.NDArray[Any], *, videos: int) -> Cell:
    right, wrong, unparsed, truncated, refused = map(int, np.bincount(codes, minlength=5)[:5])
    return Cell(
        n=len(values),
        right=right,
        wrong=wrong,
        unparsed=unparsed,
        total=float(values.sum()),
        squares=float(values @ values),
        videos=videos,
        truncated=truncated,
        refused=refused,
    )


def _by_video(group: int, values: Floats, videos: Codes) -> Floats:
    """[4, videos of the group]: video, group, n and total of each."""
    known, place = np.unique(videos, return_inverse=True)
    n, total = np.bincount(place), np.bincount(place, weights=values)
    return np.stack([known.astype(np.float64), np.full(len(known), float(group)), n.astype(np.float64), total])


def _pairs(table: Floats, names: Sequence[str]) -> Iterator[tuple[tuple[str, str], _Pair]]:
    """Each two groups that meet in a video, a group with itself included, from the sorted table."""
    first, second = (np.concatenate(column) for column in zip(*_meetings(table[0], len(names)), strict=True))
    one, other = table[:, first], table[:, second]
    keys, place = np.unique(one[1] * len(names) + other[1], return_inverse=True)
    sums = [np.bincount(place, one[a] * other[b], len(keys)).tolist() for a in (2, 3) for b in (2, 3)]
    for key, *pair in zip(keys.astype(int).tolist(), *sums, strict=True):
        a, b = divmod(key, len(names))
        yield (names[a], names[b]), (pair[0], pair[1], pair[2], pair[3])


def _meetings(videos: Floats, most: int) -> Iterator[tuple[Codes, Codes]]:
    """The places of rows of one video: each with itself, with the next one, and so on; sorted by video."""
    rows = np.arange(len(videos))
    for step in range(max(most, 1)):
        first, second = rows[: len(rows) - step], rows[step:]
        same = videos[first] == videos[second]
        if step and not same.any():
            return
        yield first[same], second[same]


def estimate(tally: Tally, value: float, slopes: Slopes) -> Estimate:
    """A number that rests on some groups of a tally, with its interval by the delta method, clustered by video.

    `slopes` are its derivatives. The variance is that of the sum over videos of slope times what is counted there
    (Binder 1983; a ratio's terms add up to nothing, so that no mean is taken away).
    """
    found = {group: tally.cells[group] for group in slopes if group in tally.cells}
    n = sum(cell.n for cell in found.values())
    videos = min(tally.videos, sum(cell.videos for cell in found.values()))
    independent, squares = _independent(found, slopes)
    varies = n > 1 and independent > _TINY * squares
    return interval(
        value,
        clustered=videos / max(videos - 1, 1) * max(0.0, _clustered(tally, slopes)),
        independent=n / (n - 1) * independent if varies else 0.0,
        n=n,
        clusters=videos,
    )


def _independent(cells: Mapping[str, Cell], slopes: Slopes) -> tuple[float, float]:
    """The variance if each question were a video of its own, and the squares that it is the rest of."""
    total = squares = 0.0
    for group, cell in cells.items():
        by_n, by_total = slopes[group]
        plain = by_n**2 * cell.n + by_total**2 * cell.squares
        squares += plain
        total += plain + 2 * by_n * by_total * cell.total
    return total, squares


def _clustered(tally: Tally, slopes: Slopes) -> float:
    total = 0.0
    for (a, b), (nn, nt, tn, tt) in tally.pairs.items():
        if a in slopes and b in slopes:
            (a_n, a_t), (b_n, b_t) = slopes[a], slopes[b]
            total += (1 if a == b else 2) * (a_n * (b_n * nn + b_t * nt) + a_t * (b_n * tn + b_t * tt))
    return total
