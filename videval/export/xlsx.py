"""The workbook: data, run card, failures and raw responses on sheets; memory stays flat, bytes depend on the content
only."""

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain, islice, pairwise
from typing import Any

from videval.errors import UsageError
from videval.export.cells import XLSX, CellKeeper, Companion
from videval.export.files import FULL, PREDICTIONS, RUN_KEY, Draft
from videval.export.table import RESPONSE_COLUMNS, Table, Written, failure_rows, flattened, ordered
from videval.types import Scalar

MAX_ROWS = 1_048_576
MAX_COLUMNS = 16_384
_CREATED = datetime(2000, 1, 1)
_ESCAPED = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)|^<(?=r>)")


class _Exact(float):
    """A number that is written with all its digits and keeps its decimal point."""

    def __format__(self, spec: str) -> str:
        return float.__repr__(self)


def write_xlsx(table: Table, draft: Draft) -> Written:
    """Write the workbook, with more sheets of a kind where there are more than Excel's 1,048,576 rows; UsageError past
    its 16,384 columns or 4 GB."""
    if len(table.columns) > MAX_COLUMNS:
        raise _too_big(f"{len(table.columns)} columns, {MAX_COLUMNS} fit")
    with Companion(draft.path(FULL), table.run) as companion, _book(draft) as book:
        data = _sheets(book, companion, PREDICTIONS, table.columns, table.rows)
        card = _sheets(book, companion, "run card", ("key", "value"), _card_rows(table.card))
        failures = _sheets(book, companion, "failures", *failure_rows(table))
        sheets = [*data, *card, *failures]
        if first := next(responses := iter(table.responses), None):
            sheets += _sheets(book, companion, "responses", RESPONSE_COLUMNS, chain((first,), responses))
        book.set_custom_property(RUN_KEY, table.run, "text")
    return Written(
        rows=sum(s.rows for s in data),
        failures=sum(s.rows for s in failures),
        cut_cells=sum(s.keeper.cut for s in sheets),
        altered_cells=sum(s.keeper.altered for s in sheets),
        notes=_split(data),
    )


def _sheets(
    book: Any, companion: Companion, name: str, columns: tuple[str, ...], rows: Iterable[Mapping[str, Scalar]]
) -> "list[_Sheet]":
    """The rows on as many sheets as they need: "predictions", "predictions 2", each below the header."""
    sheets: list[_Sheet] = []
    rest = ordered(columns, rows)
    more: list[Scalar] | None = []
    while more is not None:
        sheets.append(_Sheet(book, companion, f"{name} {len(sheets) + 1}" if sheets else name, columns))
        sheets[-1].write(chain([more] if more else [], islice(rest, MAX_ROWS - 1 - bool(more))))
        more = next(rest, None) if sheets[-1].rows == MAX_ROWS - 1 else None
    return sheets


def _split(data: "Sequence[_Sheet]") -> tuple[str, ...]:
    """What is to be said of a table that is on several sheets."""
    if len(data) == 1:
        return ()
    others = ", ".join(repr(sheet.name) for sheet in data[1:])
    return (f"a sheet has {MAX_ROWS - 1:,} rows below its header at most: the others are in {others}",)


class _Sheet:
    """One worksheet that is filled from its first row to its last."""

    def __init__(self, book: Any, companion: Companion, name: str, columns: tuple[str, ...]) -> None:
        self.name = name
        self.rows = 0
        self.keeper = CellKeeper(XLSX, companion, name, columns)
        self._plain = book.add_format()
        self._sheet = book.add_worksheet(name)
        self._sheet.freeze_panes(1, 0)
        self._sheet.ignore_errors({"number_stored_as_text": f"A1:XFD{MAX_ROWS}"})

    def write(self, rows: Iterable[Sequence[Scalar]]) -> None:
        """Write the header and all rows, their cells in the order of the columns."""
        self._write_row(0, self.keeper.header())
        for self.rows, values in enumerate(rows, 1):
            self._write_row(self.rows, self.keeper.hold(self.rows, values))

    def _write_row(self, row: int, values: Sequence[Scalar]) -> None:
        if all(v is None for v in values):
            self._sheet.write_blank(row, 0, None, self._plain)  # a row without a cell would not be there
        for column, value in enumerate(values):
            if value is not None:
                self._write_cell(row, column, value)

    def _write_cell(self, row: int, column: int, value: str | int | float) -> None:
        """Write text as text and numbers as numbers, whatever they look like."""
        if isinstance(value, str):
            if ("_x" in value or value.startswith("<r>")) and _ESCAPED.search(value):
                self._write_pieces(row, column, value)
            else:
                self._sheet.write_string(row, column, value)
        elif isinstance(value, bool):
            self._sheet.write_boolean(row, column, value)
        else:
            self._sheet.write_number(row, column, _Exact(value) if isinstance(value, float) else value)

    def _write_pieces(self, row: int, column: int, text: str) -> None:
        """Write a text that holds an escape (_x0041_, or xlsxwriter's own <r>) in runs, so that no reader sees one."""
        ends = [0, *(found.end() for found in _ESCAPED.finditer(text)), len(text)]
        runs: list[Any] = [text[a:b] for a, b in pairwise(ends)]
        spaced = [part for run in runs for part in (self._plain, run)]
        self._sheet.write_rich_string(row, column, *spaced[1:])


def _card_rows(card: Mapping[str, object]) -> Iterator[Mapping[str, Scalar]]:
    for key, value in flattened(card):
        is_scalar = value is None or isinstance(value, str | int | float)
        yield {"key": key, "value": value if is_scalar else json.dumps(value, default=str)}  # type: ignore[dict-item]


@contextlib.contextmanager
def _book(draft: Draft) -> Iterator[Any]:
    """A workbook that is closed at the end, and whose temporary files are closed on any failure."""
    import xlsxwriter

    book = xlsxwriter.Workbook(draft.path(), {"constant_memory": True, "tmpdir": str(draft.folder)})
    book.set_properties({"created": _CREATED, "author": "videval"})
    try:
        yield book
        _close(book)
    finally:
        for sheet in book.worksheets():
            with contextlib.suppress(OSError):
                sheet.row_data_fh.close()


def _close(book: Any) -> None:
    from xlsxwriter.exceptions import FileCreateError, FileSizeError

    try:
        book.close()
    except FileSizeError as error:
        raise _too_big("more than 4 GB") from error
    except FileCreateError as error:
        raise error.args[0] from None


def _too_big(what: str) -> UsageError:
    return UsageError(f"too big for xlsx: {what}", hint="export as parquet, jsonl or tsv")
