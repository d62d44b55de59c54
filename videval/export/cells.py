"""What a cell of each format can hold exactly, the mark for what it cannot, and the companion with the whole text.

A marked cell ends with a line number of the companion and a check of that line: it finds its whole text however the
file is sorted, and never that of another export. A text that ends like a mark is itself marked, so reading back
takes neither for the other.
"""

import hashlib
import json
import math
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from videval.types import Scalar

_TAIL = " of the .full.jsonl beside this file]"
MARK = re.compile(
    r"\[(?:cut from \d+ characters|altered); whole text: line (\d+) ([0-9a-f]{6})" + re.escape(_TAIL) + r"\Z"
)
_SPLIT_PAIR = "[\ud800-\udbff][\udc00-\udfff]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a format can hold: `unsafe` characters it cannot, `units` the longest text in UTF-16 code units.

    `finite`: only finite numbers; `whole`: the largest whole number that stays exact.
    """

    unsafe: re.Pattern[str]
    units: int | None = None
    finite: bool = False
    whole: int | None = None


XLSX = Limits(unsafe=re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]"), units=32767, finite=True, whole=2**53)
TSV = Limits(unsafe=re.compile("[\x00\ud800-\udfff]"))
JSON = Limits(unsafe=re.compile(_SPLIT_PAIR), finite=True)
PARQUET = Limits(unsafe=re.compile("[\ud800-\udfff]"))


class Companion:
    """The file with the whole text of each marked cell: one JSON object a line, created with the first of them."""

    def __init__(self, path: Path, run: str) -> None:
        self.path = path
        self.lines = 0
        self._run = run
        self._file: TextIO | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def add(self, record: dict[str, object], value: Scalar) -> str:
        """Store a cell's whole value after its place; returns how a mark names the line: "3 1f00a7"."""
        if self._file is None:
            self._file = self._stack.enter_context(self.path.open("x", encoding="ascii"))
        line = json.dumps({"videval_run": self._run, **record, **stored(value)})
        self._file.write(line + "\n")
        self.lines += 1
        return f"{self.lines} {line_check(line)}"


def line_check(line: str) -> str:
    """The check of a companion's line that a mark carries: six hexadecimal digits."""
    return hashlib.sha256(line.encode("ascii")).hexdigest()[:6]


def stored(value: Scalar) -> dict[str, object]:
    """A value as the companion keeps it: `text`, and what is needed to have it back exactly."""
    if isinstance(value, str):
        split = re.search(_SPLIT_PAIR, value)
        return {"text": value, "code_points": [ord(c) for c in value]} if split else {"text": value}
    return {"text": repr(value), "type": type(value).__name__}


def restored(record: dict[str, object]) -> Scalar:
    """The value that `stored` was given."""
    points = record.get("code_points")
    if isinstance(points, list):
        return "".join(map(chr, points))
    kind, text = record.get("type"), str(record["text"])
    if kind == "float":
        return float(text)
    if kind == "bool":
        return text == "True"
    return int(text) if kind == "int" else text


class CellKeeper:
    """Turns the values of one sheet into what its format can hold, and counts what had to be marked."""

    def __init__(self, limits: Limits, companion: Companion, sheet: str, columns: Sequence[str]) -> None:
        self.limits = limits
        self.cut = 0
        self.altered = 0
        self._companion = companion
        self._sheet = sheet
        self._columns = columns
        self._index = columns.index("index") if "index" in columns else None
        self._short = math.inf if limits.units is None else limits.units // 2

    def hold(self, row: int, values: Sequence[Scalar]) -> list[Scalar]:
        """A row's values, exact or marked; `row` counts from 1, the header is row 0."""
        return [
            value
            if value is None or (value.__class__ is str and self._is_plain(value)) or self._fits(value)
            else self._mark(row, column, values)
            for column, value in enumerate(values)
        ]

    def header(self) -> list[str]:
        """The column names, exact or marked."""
        return [str(name) for name in self.hold(0, self._columns)]

    def aside(self, row: int, column: int, values: Sequence[Scalar]) -> None:
        """Keep a value in the companion by its place alone, for a cell that shows it without a mark."""
        self._companion.add({**self._place(row, column, values), "in_place": True}, values[column])

    def _is_plain(self, text: str) -> bool:
        """Whether every format holds this text: decided at C speed, for nearly all cells."""
        return len(text) <= self._short and text.isprintable() and not text.endswith(_TAIL)

    def _fits(self, value: Scalar) -> bool:
        if isinstance(value, str):
            return not (self._too_long(value) or self.limits.unsafe.search(value) or MARK.search(value))
        if isinstance(value, float):
            return not self.limits.finite or math.isfinite(value)
        if isinstance(value, int):
            return self.limits.whole is None or abs(value) <= self.limits.whole
        raise TypeError(f"a cell is text, a number, a truth value or None, not {type(value).__name__}")

    def _too_long(self, text: str) -> bool:
        return len(text) > self._short and _units(text) > (self.limits.units or 0)

    def _mark(self, row: int, column: int, values: Sequence[Scalar]) -> str:
        value = values[column]
        text = value if isinstance(value, str) else str(value)
        line = self._companion.add(self._place(row, column, values), value)
        end = f"whole text: line {line}{_TAIL}"
        if self._too_long(text):
            self.cut += 1
            return self._cut(text, f" [cut from {len(text)} characters; {end}")
        self.altered += 1
        shown = f"{self._visible(text)} [altered; {end}"
        return self._cut(text, f" [altered; {end}") if self._too_long(shown) else shown

    def _cut(self, text: str, mark: str) -> str:
        room = 2 * ((self.limits.units or 0) - len(mark))
        return self._visible(text).encode("utf-16-le")[:room].decode("utf-16-le", "ignore") + mark

    def _visible(self, text: str) -> str:
        """The text with what the format cannot hold shown as a picture: a control sign, or U+FFFD."""
        safe = self.limits.unsafe.sub(_picture, text)
        return re.sub("[\ud800-\udfff]", "\ufffd", safe)

    def _place(self, row: int, column: int, values: Sequence[Scalar]) -> dict[str, object]:
        index = values[self._index] if self._index is not None and row else None
        return {"sheet": self._sheet, "row": row, "index": index, "column": self._columns[column]}


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0][0])
    return chr(0x2400 + code) if code < 0x20 else "\ufffd" * len(found[0])


def _units(text: str) -> int:
    """The length as Excel counts it: UTF-16 code units."""
    return len(text) + sum(c > "\uffff" for c in text)
