"""Reads a .tsv, .csv or .jsonl file as lines of cells, one after the other: no file is ever whole in memory.

`read_cells` gives the cells as they stand, for people's own files: in tsv and csv each is a text and an empty one
None; in jsonl a number that Python would write otherwise (1.50) is a text, and so are lists and objects.

`read_lines` gives typed cells, for published tables. Types in tsv and csv belong to a column: it is a number column
only if each of its cells is a plain number that reads back as it stands (`7`, `-2.5`); `007` or `1.50` anywhere makes
it text, and `nan`, `None`, `NA` are text always. jsonl keeps the types it has.
"""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from videval.benchmarks.table_json import JsonText, Text, as_written, read_objects
from videval.benchmarks.table_text import SUFFIXES, text_of
from videval.types import Scalar

__all__ = ["SUFFIXES", "Cell", "Cells", "JsonText", "Line", "Lines", "parse_lines", "read_cells", "read_lines"]

LONGEST_CELL = 10_000_000
"""In characters: the subtitles of a day are a tenth of it, and a quote that is never closed is soon found."""

_SEPARATORS = {".tsv": "\t", ".csv": ","}
_SAID_BY_EXCEL = re.compile(r"sep=(.)(?=\r|\n)", re.IGNORECASE)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,20})?(?:e-[0-9]{2})?")
_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")

Cell = Scalar | list[Any] | dict[str, Any]
_Row = tuple[int, list[str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One row of the file: where it begins, and its cells by column."""

    number: int
    cells: dict[str, Cell]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cells:
    """A file as it is gone through: the columns in their order, and what is wrong with these. `read` gives the readable
    lines, from the first one on whenever it is called, and adds what is wrong with the others to its list."""

    columns: tuple[str, ...]
    read: Callable[[list[str]], Iterator[Line]]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Lines:
    """What was read: the columns in their order, the readable lines, what is wrong with the others."""

    columns: tuple[str, ...]
    lines: list[Line]
    problems: list[str] = field(default_factory=list)


def read_cells(path: Path) -> Cells:
    """Go through a file of questions by its suffix, its cells as they stand; raises what `text_of` raises."""
    return _cells(text_of(path).lines, path.suffix.casefold(), as_written)


def read_lines(path: Path) -> Lines:
    """Read a published table by its suffix, with typed cells; raises what `text_of` raises."""
    return _typed(text_of(path).lines, path.suffix.casefold())


def parse_lines(text: str, suffix: str) -> Lines:
    """Read the text of a published table with this suffix, with typed cells."""
    return _typed(lambda: iter(io.StringIO(text, newline="")), suffix)


def _typed(text: Text, suffix: str) -> Lines:
    cells = _cells(text, suffix, lambda _, found: found)
    problems = list(cells.problems)
    read = Lines(columns=cells.columns, lines=list(cells.read(problems)), problems=problems)
    return read if suffix == ".jsonl" else _with_numbers(read)


def _cells(text: Text, suffix: str, cells_of: Callable[[str, dict[str, Any]], dict[str, Cell]]) -> Cells:
    if not any(line.strip() for line in text()):
        return _nothing(["line 1: the file is empty"])
    return _checked(_json_lines(text, cells_of) if suffix == ".jsonl" else _delimited(text, suffix))


def _nothing(problems: Sequence[str]) -> Cells:
    return Cells(columns=(), read=lambda _: iter(()), problems=tuple(problems))


def _delimited(text: Text, suffix: str) -> Cells:
    csv.field_size_limit(LONGEST_CELL)
    said = _SAID_BY_EXCEL.match(next(text()))
    lines = _behind(text, said.end()) if said else text
    separator = said[1] if said else _separator(lines, _SEPARATORS[suffix])
    problems: list[str] = []
    header = next(_rows(lines(), separator, problems), None)
    if header is None:
        return _nothing(problems or ["line 1: the file is empty"])
    width = _width(header[1], _body(lines, separator, []))
    names = [name.strip(" \t\ufeff") for name in header[1][:width]]

    def read(problems: list[str]) -> Iterator[Line]:
        for number, cells in _body(lines, separator, problems):
            row = cells[:width] if _is_blank(cells[width:]) else cells
            if len(row) == len(names):
                yield Line(number=number, cells={c: v or None for c, v in zip(names, row, strict=True)})
            else:
                problems.append(f"line {number}: {len(row)} cells, the header has {len(names)}")

    return Cells(columns=tuple(names), read=read, problems=tuple(_header_problems(names)))


def _behind(text: Text, end: int) -> Text:
    """The text without the beginning of its first line."""

    def lines() -> Iterator[str]:
        rest = text()
        yield from (first[end:] for first in islice(rest, 1))
        yield from rest

    return lines


def _separator(lines: Text, own: str) -> str:
    """What separates the cells: as the suffix says, unless only another one makes a header that can be used."""

    def fits(each: str) -> tuple[bool, bool, int]:
        names = _header(lines, each)
        return {"video", "question"} <= names, each == own and len(names) != 1, len(names)

    separators: list[str] = [own, *",;\t|"]
    return max(separators, key=fits)


def _header(lines: Text, separator: str) -> set[str]:
    _, names = next(_rows(lines(), separator, []), (1, []))
    return {name.strip(" \t\ufeff").casefold() for name in names}


def _body(lines: Text, separator: str, problems: list[str]) -> Iterator[_Row]:
    """The rows behind the header."""
    return islice(_rows(lines(), separator, problems), 1, None)


class _Again(Iterator[str]):
    """Lines one by one, of which those of the row that is being read can be had again."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.row: list[str] = []

    def __next__(self) -> str:
        line = next(self._lines)
        self.row.append(line)
        return line

    def from_second(self) -> None:
        """Go on with the row's second line."""
        self._lines = chain(self.row[1:], self._lines)
        self.row.clear()


def _rows(lines: Iterator[str], separator: str, problems: list[str]) -> Iterator[_Row]:
    """Each row that holds anything, with the number of its first line; behind a broken one it goes on a line later,
    behind a broken header not at all."""
    given, at, has_header = _Again(lines), 0, False
    while True:
        try:
            for row in csv.reader(given, delimiter=separator, strict=True):
                if not _is_blank(row):
                    has_header = True
                    yield at + 1, row
                at += len(given.row)
                given.row.clear()
            return
        except csv.Error as error:
            problems.append(f"line {at + 1}: {_quote_problem(given.row[0], separator, error)}")
            if not has_header:
                return
            at += 1
            given.from_second()


def _quote_problem(line: str, separator: str, error: csv.Error) -> str:
    if "field limit" in str(error):
        return f"a cell of more than {LONGEST_CELL:,} characters; is a quote not closed?"
    stray = re.search(rf'(?:^|{re.escape(separator)})("(?:[^"]|"")*(?:"[^"\r\n{separator}]|\Z).*)', line)
    begun = stray[1].strip()[:30] if stray else '"'
    return f'a cell begins {begun!r}; is a quote not closed? A cell with quotes in it is written """Halt!"" he said"'


def _is_blank(cells: Sequence[str]) -> bool:
    return not any(cells) or not any(map(str.strip, cells))


def _width(header: Sequence[str], body: Iterator[_Row]) -> int:
    """How many columns there are, without what a spreadsheet leaves behind the last one: cells without a name and a
    content."""
    named = max((i for i, name in enumerate(header, start=1) if name.strip()), default=0)
    is_left = named < len(header) and all(_is_blank(row[named : len(header)]) for _, row in body)
    return named if is_left else len(header)


def _header_problems(columns: list[str]) -> list[str]:
    repeated = [name for name, n in Counter(columns).items() if n > 1 and name]
    unnamed = [i for i, name in enumerate(columns, start=1) if not name]
    return [f"line 1: column {name!r} is there twice" for name in repeated] + [
        f"line 1: column number {i} has no name" + "; if it counts the rows, name it index" * (i == 1) for i in unnamed
    ]


def _with_numbers(read: Lines) -> Lines:
    casts = {name: _cast_of(str(line.cells[name] or "") for line in read.lines) for name in read.columns}
    lines = [Line(number=x.number, cells={c: casts[c](str(v or "")) for c, v in x.cells.items()}) for x in read.lines]
    return replace(read, lines=lines)


def _cast_of(cells: Iterable[str]) -> Callable[[str], Scalar]:
    """How a column's cells are read: as numbers if each can be given back as it stands, else as text."""
    filled = [c for c in cells if c]
    if filled and all(_NUMBER.fullmatch(c) and str(_number(c)) == c for c in filled):
        return lambda cell: _number(cell) if cell else None
    return lambda cell: cell or None


def _number(cell: str) -> int | float:
    return float(cell) if "." in cell or "e" in cell else int(cell)


def _json_lines(text: Text, cells_of: Callable[[str, dict[str, Any]], dict[str, Cell]]) -> Cells:
    columns = tuple(dict.fromkeys(name for _, _, found in read_objects(text, []) for name in found))

    def read(problems: list[str]) -> Iterator[Line]:
        for number, line, found in read_objects(text, problems):
            cells = cells_of(line, found)
            yield Line(number=number, cells={c: cells.get(c) for c in columns})

    return Cells(columns=columns, read=read)


def _checked(cells: Cells) -> Cells:
    """Find what no database or file can store: a NUL character, a lone surrogate, a number or a cell without an end."""

    def read(problems: list[str]) -> Iterator[Line]:
        for line in cells.read(problems):
            for name, cell in line.cells.items():
                if cell.__class__ is not int and (problem := _unusable(cell)):
                    problems.append(f"line {line.number}: column {name!r} holds {problem}")
            yield line

    return replace(cells, read=read)


def _unusable(cell: Cell) -> str:
    if isinstance(cell, float) and not math.isfinite(cell):
        return "a number that is too large"
    if not isinstance(cell, str):
        return ""
    if len(cell) > LONGEST_CELL:
        return f"{len(cell):,} characters, {LONGEST_CELL:,} are the most"
    found = None if cell.isprintable() else _NOT_TEXT.search(cell)
    return f"{found[0]!r}, which is not text" if found else ""
