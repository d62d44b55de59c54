"""Reads a .tsv, .csv or .jsonl file into lines of typed cells; guesses nothing that it could not give back.

Types in tsv and csv belong to a column: it is a number column only if each of its cells is a plain number
that reads back as it stands (`7`, `-2.5`, or all with equally many decimals); `007` anywhere makes it text,
and `nan`, `None`, `NA` are text always. An empty cell is None. jsonl keeps the types it has.
"""

import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from videval.errors import UsageError
from videval.types import Scalar

__all__ = ["SUFFIXES", "Line", "Lines", "parse_lines", "read_lines"]

SUFFIXES = (".tsv", ".csv", ".jsonl")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,20})?(?:e-[0-9]{2})?")
_EXACT_DIGITS = 15
_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")

Cell = Scalar | list[Any] | dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One row of the file: where it begins, and its cells by column."""

    number: int
    cells: dict[str, Cell]


@dataclass(frozen=True, kw_only=True, slots=True)
class Lines:
    """What was read: the columns in their order, the readable lines, what is wrong with the others."""

    columns: tuple[str, ...]
    lines: list[Line]
    problems: list[str] = field(default_factory=list)


def read_lines(path: Path) -> Lines:
    """Read the file by its suffix; UsageError if there is no such file or its suffix is another one."""
    if path.suffix.casefold() not in SUFFIXES:
        raise UsageError(f"{path}: a question table is {', '.join(SUFFIXES)}", hint="rename or convert the file")
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file", hint="--data takes a file with a column video and question")
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = raw.count(b"\n", 0, error.start) + 1
        return Lines(columns=(), lines=[], problems=[f"line {number}: not UTF-8 text ({error.reason})"])
    if not text.strip():
        return Lines(columns=(), lines=[], problems=["line 1: the file is empty"])
    return parse_lines(text, path.suffix.casefold())


def parse_lines(text: str, suffix: str) -> Lines:
    """Read the text of a file with this suffix."""
    return _READERS[suffix](text)


def _read_delimited(text: str, delimiter: str) -> Lines:
    problems: list[str] = []
    rows = list(_rows(text, delimiter, problems))
    if not rows:
        return Lines(columns=(), lines=[], problems=problems or ["line 1: the file is empty"])
    (_, columns), body = rows[0], rows[1:]
    problems += _header_problems(columns)
    whole = [(number, row) for number, row in body if len(row) == len(columns)]
    problems += [
        f"line {number}: {len(row)} cells, the header has {len(columns)}"
        for number, row in body
        if len(row) != len(columns)
    ]
    casts = [_cast_of([row[i] for _, row in whole]) for i in range(len(columns))]
    lines = [
        Line(number=number, cells={c: cast(v) for c, cast, v in zip(columns, casts, row, strict=True)})
        for number, row in whole
    ]
    return _checked(Lines(columns=tuple(columns), lines=lines, problems=problems))


def _rows(text: str, delimiter: str, problems: list[str]) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problems.append(f"line {number}: {error}; is a quote not closed?")
            return
        if row:
            yield number, row


def _header_problems(columns: list[str]) -> list[str]:
    repeated = [name for name, n in Counter(columns).items() if n > 1 and name]
    unnamed = [str(i + 1) for i, name in enumerate(columns) if not name.strip()]
    return [f"line 1: column {name!r} is there twice" for name in repeated] + [
        f"line 1: column number {i} has no name" for i in unnamed
    ]


def _cast_of(cells: Iterable[str]) -> Callable[[str], Scalar]:
    """How a column's cells are read: as numbers if each can be given back as it stands, else as text."""
    filled = [c for c in cells if c]
    if filled and all(_NUMBER.fullmatch(c) for c in filled) and _gives_back(filled):
        return lambda cell: _number(cell) if cell else None
    return lambda cell: cell or None


def _gives_back(cells: list[str]) -> bool:
    decimals = {len(c.partition(".")[2]) for c in cells}
    if len(decimals) == 1 and all(len(c) <= _EXACT_DIGITS and "e" not in c for c in cells):
        return True
    return all(str(_number(c)) == c for c in cells)


def _number(cell: str) -> int | float:
    return float(cell) if "." in cell or "e" in cell else int(cell)


def _read_jsonl(text: str) -> Lines:
    problems: list[str] = []
    lines: list[Line] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                lines.append(Line(number=number, cells=_object(line)))
            except ValueError as error:
                problems.append(f"line {number}: {error}")
    columns = tuple(dict.fromkeys(name for line in lines for name in line.cells))
    lines = [Line(number=x.number, cells={c: x.cells.get(c) for c in columns}) for x in lines]
    return _checked(Lines(columns=columns, lines=lines, problems=problems))


def _object(line: str) -> dict[str, Any]:
    def refuse(word: str) -> None:
        raise ValueError(f"{word} is not JSON")

    found = json.loads(line, object_pairs_hook=_without_repeats, parse_constant=refuse)
    if not isinstance(found, dict):
        raise ValueError(f"a {type(found).__name__}, not an object with video and question")
    return found


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    repeated = [name for name, n in Counter(name for name, _ in pairs).items() if n > 1]
    if repeated:
        raise ValueError(f"the key {repeated[0]!r} is there twice")
    return dict(pairs)


def _checked(read: Lines) -> Lines:
    """Add what no database or file can store: a NUL character, a lone surrogate, a number without an end."""
    unusable = [
        f"line {line.number}: column {name!r} holds {match[0]!r}, which is not text"
        for line in read.lines
        for name, cell in line.cells.items()
        if isinstance(cell, str) and (match := _NOT_TEXT.search(cell))
    ]
    unusable += [
        f"line {line.number}: column {name!r} holds a number that is too large"
        for line in read.lines
        for name, cell in line.cells.items()
        if isinstance(cell, float) and not math.isfinite(cell)
    ]
    return Lines(columns=read.columns, lines=read.lines, problems=read.problems + unusable)


_READERS: dict[str, Callable[[str], Lines]] = {
    ".tsv": lambda text: _read_delimited(text, "\t"),
    ".csv": lambda text: _read_delimited(text, ","),
    ".jsonl": _read_jsonl,
}
