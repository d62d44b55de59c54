"""A run as a data frame, and as a file."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from videval.db import results, runs, scores, stats
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.errors import Incomplete, UsageError
from videval.export import (
    FORMATS,
    ExportFormat,
    ExportResult,
    export_path,
    export_table,
    run_table,
    sample_rows,
    table_columns,
)
from videval.report.spans import spans
from videval.types import Scalar
from videval.words import plural

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["export_run", "frame_of"]

JUDGED = ("verdict", "value", "failure")


def frame_of(database: Database, run: RunInfo) -> "pd.DataFrame":
    """The rows of the export, what was judged and what failed beside them, in the benchmark's order."""
    import pandas as pd  # takes long to import, and not everybody wants it

    columns = table_columns(run)
    more = [name if name not in columns else f"{name}_by_videval" for name in JUDGED]
    cells = [
        [*map(row.get, columns), *judged] for row, judged in _judged(database, run)
    ]  # cells stay as they are: no number becomes a float for a row that has none
    return pd.DataFrame(cells, columns=[*columns, *more], dtype=object)


def _judged(database: Database, run: RunInfo) -> Iterator[tuple[dict[str, Scalar], tuple[Scalar, Scalar, Scalar]]]:
    """Each row of the table with its verdict, its value, and why it has no answer."""
    verdicts, failed = _verdicts(database, run), _failures(database, run)
    for sample_id, row in sample_rows(database, run):
        verdict, value = verdicts.get(sample_id, (None, None))
        yield row, (verdict, value, failed.get(sample_id) if row["prediction"] is None else None)


def _verdicts(database: Database, run: RunInfo) -> dict[str, tuple[str, float | None]]:
    with database.read() as connection:
        bounds = stats.sample_span(connection, run.snapshot_id)
    found: dict[str, tuple[str, float | None]] = {}
    for low, high in spans(*bounds) if bounds else ():
        with database.read() as connection:
            found |= scores.judged(connection, run.run_id, low, high)
    return found


def _failures(database: Database, run: RunInfo) -> dict[str, str]:
    with database.read() as connection:
        return {f["index"]: f"{f['kind']}: {f['message']}" for f in results.failures(connection, run.run_id)}


def export_run(
    database: Database, run: RunInfo, target: Path, format: ExportFormat, *, partial: bool = False
) -> ExportResult:
    """Write a run's table to a file, or where its name says in a folder. Incomplete unless all is answered or
    `partial`."""
    with database.read() as connection:
        counts = runs.counts(connection, run.run_id)
    if counts.waiting and not partial:
        raise Incomplete(
            f"{run.name} is incomplete: {counts.waiting:,} of {plural(counts.total, 'request')} not answered yet",
            hint="run.wait(), or partial=True",
        )
    path, chosen = target, _format_of(target)
    if chosen is None:
        if format not in FORMATS:
            raise UsageError(f"unknown format {format!r}", hint=f"one of {', '.join(FORMATS)}")
        path, chosen = export_path(target, run.model, run.variant, run.name, format), format
    return export_table(run_table(database, run), path, chosen)


def _format_of(target: Path) -> ExportFormat | None:
    """The format of a file by its ending; None of a folder. UsageError for an ending that is no format's."""
    if target.is_dir() or not target.suffix:
        return None
    for known in FORMATS:
        if target.suffix == f".{known}":
            return known
    endings = ", ".join(f".{known}" for known in FORMATS)
    raise UsageError(f"{target.name}: no format ends in {target.suffix!r}", hint=f"a folder, or one of {endings}")
