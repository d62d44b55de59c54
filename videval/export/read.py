"""Reading an export back: exactly what was said, with the companion's whole texts in place of the marks."""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

from videval.errors import DataMissing, UsageError
from videval.export.cells import MARK, line_check, restored
from videval.export.files import CARD, FULL, PREDICTIONS, TORN_ZIP, beside
from videval.types import Scalar

Grid = Iterator[list[Scalar]]
MOST_ROWS = 1 << 20
"""Of a sheet, as spreadsheets have it; a damaged one may number its rows without end."""
_BROKEN = (ValueError, TypeError, LookupError, OSError, SyntaxError, StopIteration, *TORN_ZIP)
_TSV_CELL = re.compile(r'(?:"([^"]*(?:""[^"]*)*)"|([^\t\n"]*))([\t\n]|\Z)')


def read_export(path: Path) -> list[dict[str, Scalar]]:
    """The rows of an export of any format, None where a value is missing.

    UsageError if it is no export of ours, DataMissing if a cell is marked and the companion has not its text.
    """
    read = _READERS.get(path.suffix)
    if read is None:
        raise UsageError(f"{path}: not an export", hint=f"its name ends in {', '.join(_READERS)}")
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    try:
        grid = read(path)
        whole = _Whole(beside(path, FULL))
        names = [str(whole.of(0, "", name)) for name in next(grid)]
        return [
            {n: whole.of(row, n, v) for n, v in zip(names, values, strict=True)} for row, values in enumerate(grid, 1)
        ]
    except _BROKEN as error:
        raise UsageError(f"{path}: not an export that can be read: {error}") from error


class _Whole:
    """The companion's records, asked cell by cell."""

    def __init__(self, path: Path) -> None:
        self._path = path
        text = path.read_text(encoding="ascii") if path.exists() else ""
        self._lines = text.splitlines()
        beside_marks = (json.loads(line) for line in self._lines if '"in_place": true' in line)
        self._in_place = {(r["row"], r["column"]): r for r in beside_marks if r.get("in_place")}

    def of(self, row: int, column: str, value: Scalar) -> Scalar:
        """What was said in a cell that now holds `value`."""
        if isinstance(value, str) and (found := MARK.search(value)):
            return restored(self._record(int(found[1]), found[2]))
        if self._in_place and (row, column) in self._in_place:
            return restored(self._in_place[row, column])
        return value

    def _record(self, number: int, check: str) -> dict[str, Any]:
        line = self._lines[number - 1] if 0 < number <= len(self._lines) else ""
        if line_check(line) != check:
            raise DataMissing(
                f"{self._path}: line {number} with the whole text of a marked cell is missing",
                hint="keep the file beside its export, or export again",
            )
        record: dict[str, Any] = json.loads(line)
        return record


class NoSheet(LookupError):
    """A workbook has no sheet of that name."""


def sheet_rows(path: Path, sheet: int | str = 0) -> Iterator[list[Scalar]]:
    """The rows of a workbook's sheet, by its place or name; raises what openpyxl and zipfile raise, NoSheet where there
    is none of that name, and ValueError for one with more rows than a sheet has."""
    from openpyxl import load_workbook

    book = load_workbook(path, read_only=True)
    try:
        if isinstance(sheet, str) and sheet not in book.sheetnames:
            raise NoSheet(sheet)
        found = book[sheet] if isinstance(sheet, str) else book.worksheets[sheet]
        for number, row in enumerate(found.iter_rows(values_only=True), 1):
            if number > MOST_ROWS:
                raise ValueError(f"more than {MOST_ROWS:,} rows")
            yield list(row)
    finally:
        book.close()


def table_rows(path: Path) -> Iterator[list[Scalar]]:
    """The rows of a workbook's table, which goes on in further sheets where the first one is full; raises what
    `sheet_rows` does."""
    number = 0
    for row in sheet_rows(path):
        number += 1
        yield row
    with contextlib.suppress(NoSheet):
        for sheet in count(2) if number == MOST_ROWS else ():
            yield from islice(sheet_rows(path, f"{PREDICTIONS} {sheet}"), 1, None)


def _read_xlsx(path: Path) -> Grid:
    rows = list(table_rows(path))
    return iter([row + [None] * (len(rows[0]) - len(row)) for row in rows])


def _read_tsv(path: Path) -> Grid:
    with path.open(encoding="utf-8", newline="") as file:
        text = file.read()
    row: list[Scalar] = []
    end = 0
    while end < len(text):
        found = _TSV_CELL.match(text, end)
        if found is None:
            raise ValueError(f"a quote stands open at character {end}")
        quoted, bare, stop = found.groups()
        row.append(_bare(bare) if quoted is None else quoted.replace('""', '"'))
        end = found.end()
        if stop != "\t":
            yield row
            row = []


def _bare(text: str) -> Scalar:
    if text in ("", "True", "False"):
        return None if not text else text == "True"
    return int(text) if re.fullmatch(r"-?\d+", text) else float(text)


def _read_records(records: list[dict[str, Scalar]], path: Path) -> Grid:
    card = beside(path, CARD)
    names = list(records[0]) if records else json.loads(card.read_text(encoding="ascii"))["columns"]
    yield names
    for record in records:
        yield [record[name] for name in names]


def _read_json(path: Path) -> Grid:
    return _read_records(json.loads(path.read_text(encoding="ascii")), path)


def _read_jsonl(path: Path) -> Grid:
    return _read_records([json.loads(line) for line in path.read_text(encoding="ascii").splitlines()], path)


def _read_parquet(path: Path) -> Grid:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    yield table.column_names
    for batch in table.to_batches():
        yield from (list(row) for row in zip(*(c.to_pylist() for c in batch.columns), strict=True))


_READERS: dict[str, Callable[[Path], Grid]] = {
    ".xlsx": _read_xlsx,
    ".tsv": _read_tsv,
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
