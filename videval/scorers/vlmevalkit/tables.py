"""The forms that VLMEvalKit's rating tables have, from rows with the benchmark's own columns and `score`."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from videval.errors import UsageError
from videval.scorers.options import listed

__all__ = [
    "Row",
    "check_names",
    "mean",
    "means_by_duration",
    "number",
    "percent_table",
    "rounded_table",
    "valid",
]

Row = Mapping[str, object]


def percent_table(rows: Sequence[Row], column: str) -> dict[str, list[int | str]]:
    """Value of the column -> [correct, total, percent], and `overall`; every score but 0 counts as correct."""
    counts: dict[str, list[int]] = {}
    for row in rows:
        count = counts.setdefault(str(row[column]), [0, 0])
        count[0] += row["score"] is None or bool(row["score"])
        count[1] += 1
    counts["overall"] = [sum(c[0] for c in counts.values()), sum(c[1] for c in counts.values())]
    return {name: [right, total, _percent(right, total)] for name, (right, total) in counts.items()}


def _percent(right: int, total: int) -> str:
    return f"{right / total * 100:.2f}%" if total else "nan%"


def rounded_table(rows: Sequence[Row], columns: Sequence[str], *, decimals: int) -> dict[str, list[float]]:
    """Values of the columns, joined by ". " -> [sum of the scores, rows, percent]."""
    counts: dict[str, list[int]] = {}
    for row in rows:
        count = counts.setdefault(". ".join(str(row[column]) for column in columns), [0, 0])
        count[0] += int(number(row["score"]))
        count[1] += 1
    return {name: [right, total, round(right / total * 100, decimals)] for name, (right, total) in counts.items()}


def means_by_duration(
    rows: Sequence[Row], column: str, durations: Sequence[str], groups: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, object]]:
    """Duration or "overall" -> overall, and column -> group -> mean with 3 decimals ("nan" of none).

    Negative and missing scores are left out. A cell that says a list counts in each of its groups. UsageError for a
    name that is not the benchmark's.
    """
    split = [{**row, column: _name(row[column]), **{c: listed(row[c]) for c in groups}} for row in rows]
    for row in split:
        check_names(row, {column: durations, **groups})
    table = {d: _part([r for r in split if r[column] == d], groups) for d in durations}
    return {**table, "overall": _part(split, groups)}


def _name(cell: object) -> str:
    return f"{cell:g}" if isinstance(cell, float) else str(cell)


def _part(rows: Sequence[Row], groups: Mapping[str, Sequence[str]]) -> dict[str, object]:
    part: dict[str, object] = {"overall": mean(valid(number(r["score"]) for r in rows), 3)}
    for column, names in groups.items():
        found: dict[str, list[float]] = {name: [] for name in names}
        for row in rows:
            for name in listed(row[column]):
                found[name].append(number(row["score"]))
        part[column] = {name: mean(valid(scores), 3) for name, scores in found.items()}
    return part


def check_names(row: Row, known: Mapping[str, Sequence[str]]) -> None:
    """Raise UsageError if a column of the row names what the benchmark does not know."""
    for column, names in known.items():
        for name in listed(row[column]):
            if name not in names:
                raise UsageError(f"{column} {name!r} is not one of this benchmark's: {', '.join(names)}")


def number(score: object) -> float:
    """A score as a number; NaN if it is missing."""
    return float(score) if isinstance(score, int | float | np.number) else math.nan


def valid(scores: Iterable[float]) -> list[float]:
    """The scores that are neither negative (failed) nor missing."""
    return [score for score in scores if score >= 0]


def mean(scores: Sequence[float], decimals: int) -> str:
    """The mean as text; "nan" of none."""
    return f"{np.mean(scores):.{decimals}f}" if scores else "nan"
