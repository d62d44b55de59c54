"""A run as a workbook: data, run card, failures and raw responses on sheets; memory stays flat."""

import contextlib
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

from videval.errors import UsageError
from videval.export.cells import XLSX, CellKeeper, Companion
from videval.export.files import FULL, PREDICTIONS, RUN_KEY, Draft
from videval.export.table import RESPONSE_COLUMNS, Table, Written, failure_rows, flattened, ordered
from videval.export.workbook import Workbook, open_workbook
from videval.types import Scalar

MAX_ROWS = 1_048_576
MAX_COLUMNS = 16_384
MAX_BYTES = 2_000_000_000
"""Of a sheet: an archive that every reader takes has 2 GiB of each part at most."""


def write_xlsx(table: Table, draft: Draft) -> Written:
    """Write the workbook, with more sheets of a kind where there are more than Excel's 1,048,576 rows; UsageError past
    its 16,384 columns, or 2 GB."""
    if len(table.columns) > MAX_COLUMNS:
        raise _too_big(f"{len(table.columns)} columns, {MAX_COLUMNS} fit")
    with Companion(draft.path(FULL), table.run) as companion, _book(draft, table.run) as book:
        data = _sheets(book, companion, PREDICTIONS, table.columns, table.rows)
        card = _sheets(book, companion, "run card", ("key", "value"), _card_rows(table.card))
        failures = _sheets(book, companion, "failures", *failure_rows(table))
        sheets = [*data, *card, *failures]
        if first := next(responses := iter(table.responses), None):
            sheets += _sheets(book, companion, "responses", RESPONSE_COLUMNS, chain((first,), responses))
    return Written(
        rows=sum(s.rows for s in data),
        failures=sum(s.rows for s in failures),
        cut_cells=sum(s.keeper.cut for s in sheets),
        altered_cells=sum(s.keeper.altered for s in sheets),
        notes=_split(data),
    )


def _sheets(
    book: Workbook, companion: Companion, name: str, columns: tuple[str, ...], rows: Iterable[Mapping[str, Scalar]]
) -> "list[_Sheet]":
    """The rows on as many sheets as they need: "predictions", "predictions 2", each below the header."""
    sheets: list[_Sheet] = []
    rest = ordered(columns, rows)
    more: list[Scalar] | None = []
    while more is not None:
        sheets.append(_Sheet(companion, f"{name} {len(sheets) + 1}" if sheets else name, columns))
        sheets[-1].write(book, chain([more] if more else [], rest))
        more = next(rest, None)
    return sheets


def _split(data: "Sequence[_Sheet]") -> tuple[str, ...]:
    """What is to be said of a table that is on several sheets."""
    if len(data) == 1:
        return ()
    others = ", ".join(repr(sheet.name) for sheet in data[1:])
    return (f"a sheet has {MAX_ROWS - 1:,} rows below its header at most: the others are in {others}",)


class _Sheet:
    """One worksheet that is filled from its first row to its last, or until it is full."""

    def __init__(self, companion: Companion, name: str, columns: tuple[str, ...]) -> None:
        self.name = name
        self.rows = 0
        self.keeper = CellKeeper(XLSX, companion, name, columns)

    def write(self, book: Workbook, rows: Iterable[Sequence[Scalar]]) -> None:
        """Write the header, then rows as long as there is room, their cells in the order of the columns."""
        header = self.keeper.header()
        with book.sheet(self.name, len(header)) as sheet:
            sheet.write(header)
            for self.rows, values in enumerate(rows, 1):
                sheet.write(self.keeper.hold(self.rows, values))
                if sheet.size > MAX_BYTES:
                    raise _too_big("more than 2 GB on a sheet")
                if self.rows == MAX_ROWS - 1:
                    return


def _card_rows(card: Mapping[str, object]) -> Iterator[Mapping[str, Scalar]]:
    for key, value in flattened(card):
        is_scalar = value is None or isinstance(value, str | int | float)
        yield {"key": key, "value": value if is_scalar else json.dumps(value, default=str)}  # type: ignore[dict-item]


@contextlib.contextmanager
def _book(draft: Draft, run: str) -> Iterator[Workbook]:
    """A workbook that is whole at the end, and names its run."""
    try:
        with open_workbook(draft.path()) as archive:
            yield (book := Workbook(archive))
            book.finish({RUN_KEY: run})
    except zipfile.LargeZipFile as error:
        raise _too_big("more than 2 GB") from error


def _too_big(what: str) -> UsageError:
    return UsageError(f"too big for xlsx: {what}", hint="export as parquet, jsonl or tsv")
