"""A run as a file: written beside and renamed, never over another's, and read back exactly as it was said.

Every format gives back what went in. A cell that cannot hold its value ends in a mark, and the value lies whole in
`FILE.full.jsonl`; formats without sheets have the run card in `FILE.card.json`, the failures in
`FILE.failures.jsonl`, and raw responses with their thinking and what was seen in `FILE.responses.jsonl`.
"""

from collections.abc import Callable
from pathlib import Path

from videval.errors import UsageError
from videval.export.files import (
    CARD,
    FAILURES,
    FULL,
    RESPONSES,
    Draft,
    beside,
    drafted,
    export_path,
    owner_of,
    refuse_taken,
)
from videval.export.parquet import write_parquet
from videval.export.read import read_export
from videval.export.run import run_table, sample_rows, table_columns
from videval.export.table import FORMATS, ExportFormat, ExportResult, Table, Written, check_table
from videval.export.text import write_json, write_jsonl, write_tsv
from videval.export.xlsx import write_xlsx

__all__ = [
    "FORMATS",
    "ExportFormat",
    "ExportResult",
    "Table",
    "export_path",
    "export_table",
    "owner_of",
    "read_export",
    "run_table",
    "sample_rows",
    "table_columns",
]

_WRITERS: dict[ExportFormat, Callable[[Table, Draft], Written]] = {
    "xlsx": write_xlsx,
    "tsv": write_tsv,
    "json": write_json,
    "jsonl": write_jsonl,
    "parquet": write_parquet,
}


def export_table(table: Table, path: Path, format: ExportFormat) -> ExportResult:
    """Write a table to `path` and say what came of it; the file is whole or as it was before.

    UsageError: a path that is another run's or not ours, a table that the format cannot take.
    EnvironmentProblem: no room, or the folder cannot be written.
    """
    check_table(table)
    if path.suffix != f".{format}":
        raise UsageError(f"{path.name}: a {format} file's name ends in .{format}")
    refuse_taken(path, table.run)
    with drafted(path, table.run) as draft:
        written = _WRITERS[format](table, draft)
        full, card, failures, responses = (draft.path(s).exists() for s in (FULL, CARD, FAILURES, RESPONSES))
        draft.publish()
    return ExportResult(
        path=path,
        format=format,
        rows=written.rows,
        failures=written.failures,
        cut_cells=written.cut_cells,
        altered_cells=written.altered_cells,
        companion=beside(path, FULL) if full else None,
        card=beside(path, CARD) if card else None,
        failures_file=beside(path, FAILURES) if failures else None,
        responses_file=beside(path, RESPONSES) if responses else None,
        notes=written.notes,
    )
