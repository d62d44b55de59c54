"""The formats without sheets: tsv, json and jsonl, with the run card, failures and raw responses in files beside them.

tsv: text always stands in double quotes ("" within is one quote; tabs and line breaks stay as they are), numbers,
True and False stand bare, a missing value is nothing at all. json and jsonl are ASCII; other characters are escaped.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from videval.export.cells import JSON, TSV, CellKeeper, Companion
from videval.export.files import CARD, FAILURES, FULL, RESPONSES, RUN_KEY, Draft
from videval.export.table import RESPONSE_COLUMNS, ExportFormat, Table, Written, failure_rows, ordered
from videval.types import Scalar


def write_tsv(table: Table, draft: Draft) -> Written:
    """Write tab-separated values in UTF-8; what tsv cannot hold is NUL and lone surrogates."""
    with Companion(draft.path(FULL), table.run) as companion:
        keeper = CellKeeper(TSV, companion, "predictions", table.columns)
        count = 0
        with draft.path().open("x", encoding="utf-8", newline="") as file:
            file.write(_tsv_line(keeper.header()))
            for count, values in enumerate(ordered(table.columns, table.rows), 1):
                file.write(_tsv_line(keeper.hold(count, values)))
    return Written(rows=count, failures=write_beside(table, draft, "tsv"), altered_cells=keeper.altered)


def write_json(table: Table, draft: Draft) -> Written:
    """Write one list of records, one record a line."""
    return _write_records(table, draft, "json", ("[\n", ",\n", "\n]\n"))


def write_jsonl(table: Table, draft: Draft) -> Written:
    """Write one record a line."""
    return _write_records(table, draft, "jsonl", ("", "\n", "\n"))


def write_beside(table: Table, draft: Draft, format: ExportFormat) -> int:
    """Write the run card, and failures and responses if there are any, beside the export; returns how many failures."""
    card = {RUN_KEY: table.run, "format": format, "columns": table.columns, "card": table.card}
    draft.path(CARD).write_text(json.dumps(card, indent=1, default=str) + "\n", encoding="ascii")
    _write_lines(draft.path(RESPONSES), _lines(table.run, RESPONSE_COLUMNS, table.responses))
    return _write_lines(draft.path(FAILURES), _lines(table.run, *failure_rows(table)))


def _lines(run: str, columns: tuple[str, ...], rows: Iterable[Mapping[str, Scalar]]) -> Iterator[str]:
    return (json.dumps({RUN_KEY: run, **dict(zip(columns, r, strict=True))}) for r in ordered(columns, rows))


def _write_records(table: Table, draft: Draft, format: ExportFormat, marks: tuple[str, str, str]) -> Written:
    start, between, end = marks
    with Companion(draft.path(FULL), table.run) as companion:
        keeper = CellKeeper(JSON, companion, "predictions", table.columns)
        names = keeper.header()
        count = 0
        with draft.path().open("x", encoding="ascii") as file:
            file.write(start)
            for count, values in enumerate(ordered(table.columns, table.rows), 1):
                record = dict(zip(names, keeper.hold(count, values), strict=True))
                file.write((between if count > 1 else "") + json.dumps(record))
            file.write(end if count or start else "")
    return Written(rows=count, failures=write_beside(table, draft, format), altered_cells=keeper.altered)


def _write_lines(path: Path, lines: Iterator[str]) -> int:
    """Write lines to a file that is there only if there is a first one; returns how many."""
    count = 0
    with path.open("x", encoding="ascii") as file:
        for line in lines:
            file.write(line + "\n")
            count += 1
    if not count:
        path.unlink()
    return count


def _tsv_line(values: Sequence[Scalar]) -> str:
    return "\t".join(map(_tsv_cell, values)) + "\n"


def _tsv_cell(value: Scalar) -> str:
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"'
    if isinstance(value, float):
        return float.__repr__(value)
    return "" if value is None else str(value)
