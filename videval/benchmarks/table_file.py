"""Reads the text of a .tsv, .csv or .jsonl file as lines of cells.

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
from pathlib import Path
from typing import Any

from videval.benchmarks.table_json import JsonText, as_written, read_objects
from videval.benchmarks.table_text import SUFFIXES, read_text
from videval.types import Scalar

__all__ = ["SUFFIXES", "Cell", "JsonText", "Line", "Lines", "parse_lines", "read_cells", "read_lines"]

LONGEST_CELL = 10_000_000
"""In characters: the subtitles of a day are a tenth of it, and a quote that is never closed is soon found."""

_SEPARATORS = {".tsv": "\t", ".csv": ","}
_SAID_BY_EXCEL = re.compile(r"sep=(.)(?=\r|\n)", re.IGNORECASE)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,20})?(?:e-[0-9]{2})?")
_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")

Cell = Scalar | list[Any] | dict[str, Any]
_Rows = list[tuple[int, list[str]]]


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


def read_cells(path: Path) -> Lines:
    """Read a file of questions by its suffix, its cells as they stand; raises what `read_text` raises."""
    text, suffix = read_text(path), path.suffix.casefold()
    return _checked(_read_json_lines(text, as_written) if suffix == ".jsonl" else _read_delimited(text, suffix))


def read_lines(path: Path) -> Lines:
    """Read a published table by its suffix, with typed cells; raises what `read_text` raises."""
    return parse_lines(read_text(path), path.suffix.casefold())


def parse_lines(text: str, suffix: str) -> Lines:
    """Read the text of a published table with this suffix, with typed cells."""
    if suffix == ".jsonl":
        return _checked(_read_json_lines(text, lambda _, cells: cells))
    return _checked(_with_numbers(_read_delimited(text, suffix)))


def _empty() -> Lines:
    return Lines(columns=(), lines=[], problems=["line 1: the file is empty"])


def _read_delimited(text: str, suffix: str) -> Lines:
    csv.field_size_limit(LONGEST_CELL)
    if not text.strip():
        return _empty()
    said = _SAID_BY_EXCEL.match(text)
    lines = io.StringIO(text[said.end() :] if said else text, newline="").readlines()
    problems: list[str] = []
    rows = list(_rows(lines, said[1] if said else _separator(lines, _SEPARATORS[suffix]), problems))
    if not rows:
        return replace(_empty(), problems=problems) if problems else _empty()
    (_, columns), *body = _trimmed(rows)
    names = [name.strip(" \t\ufeff") for name in columns]
    whole = [(number, row) for number, row in body if len(row) == len(names)]
    odd = [f"line {n}: {len(row)} cells, the header has {len(names)}" for n, row in body if len(row) != len(names)]
    read = [Line(number=n, cells={c: v or None for c, v in zip(names, row, strict=True)}) for n, row in whole]
    return Lines(columns=tuple(names), lines=read, problems=[*problems, *_header_problems(names), *odd])


def _separator(lines: Sequence[str], own: str) -> str:
    """What separates the cells: as the suffix says, unless only another one makes a header that can be used."""

    def fits(each: str) -> tuple[bool, bool, int]:
        names = _header(lines, each)
        return {"video", "question"} <= names, each == own and len(names) != 1, len(names)

    separators: list[str] = [own, *",;\t|"]
    return max(separators, key=fits)


def _header(lines: Sequence[str], separator: str) -> set[str]:
    _, names = next(_rows(lines, separator, []), (1, []))
    return {name.strip(" \t\ufeff").casefold() for name in names}


def _rows(lines: Sequence[str], separator: str, problems: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Each row that holds anything, with the number of its first line; behind a broken one it goes on a line later,
    behind a broken header not at all."""
    start, has_header = 0, False
    while start < len(lines):
        rest = map(lines.__getitem__, range(start, len(lines)))
        reader = csv.reader(rest, delimiter=separator, strict=True)
        at = start
        try:
            for row in reader:
                if not _is_blank(row):
                    has_header = True
                    yield at + 1, row
                at = start + reader.line_num
            return
        except csv.Error as error:
            problems.append(f"line {at + 1}: {_quote_problem(lines[at], separator, error)}")
            start = at + 1 if has_header else len(lines)


def _quote_problem(line: str, separator: str, error: csv.Error) -> str:
    if "field limit" in str(error):
        return f"a cell of more than {LONGEST_CELL:,} characters; is a quote not closed?"
    stray = re.search(rf'(?:^|{re.escape(separator)})("(?:[^"]|"")*(?:"[^"\r\n{separator}]|\Z).*)', line)
    begun = stray[1].strip()[:30] if stray else '"'
    return f'a cell begins {begun!r}; is a quote not closed? A cell with quotes in it is written """Halt!"" he said"'


def _is_blank(cells: Sequence[str]) -> bool:
    return not any(cells) or not any(map(str.strip, cells))


def _trimmed(rows: _Rows) -> _Rows:
    """The rows without what a spreadsheet leaves behind their last column: cells without a name and a content."""
    header = rows[0][1]
    named = max((i for i, name in enumerate(header, start=1) if name.strip()), default=0)
    width = named if all(_is_blank(row[named : len(header)]) for _, row in rows[1:]) else len(header)
    return [(number, row[:width] if _is_blank(row[width:]) else row) for number, row in rows]


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


def _read_json_lines(text: str, cells_of: Callable[[str, dict[str, Any]], dict[str, Cell]]) -> Lines:
    if not text.strip():
        return _empty()
    problems: list[str] = []
    lines = [Line(number=number, cells=cells_of(line, found)) for number, line, found in read_objects(text, problems)]
    columns = tuple(dict.fromkeys(name for line in lines for name in line.cells))
    lines = [Line(number=x.number, cells={c: x.cells.get(c) for c in columns}) for x in lines]
    return Lines(columns=columns, lines=lines, problems=problems)


def _checked(read: Lines) -> Lines:
    """Add what no database or file can store: a NUL character, a lone surrogate, a number or a cell without an end."""
    unusable = [
        f"line {line.number}: column {name!r} holds {problem}"
        for line in read.lines
        for name, cell in line.cells.items()
        if cell.__class__ is not int and (problem := _unusable(cell))
    ]
    return replace(read, problems=read.problems + unusable)


def _unusable(cell: Cell) -> str:
    if isinstance(cell, float) and not math.isfinite(cell):
        return "a number that is too large"
    if not isinstance(cell, str):
        return ""
    if len(cell) > LONGEST_CELL:
        return f"{len(cell):,} characters, {LONGEST_CELL:,} are the most"
    found = None if cell.isprintable() else _NOT_TEXT.search(cell)
    return f"{found[0]!r}, which is not text" if found else ""
