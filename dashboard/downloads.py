"""Exports as downloads, built in a thread beside the pages."""

import io
import tempfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from dashboard.courtesy import step_back
from videval.db import browse, results, stats
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.errors import VidevalError
from videval.export import ExportFormat, Table, export_path, export_table
from videval.report import run_card
from videval.report.scores import spans
from videval.types import Scalar

__all__ = ["Exports", "Ready", "run_table"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """A file to download, or why there is none; with companions it is a zip of them all."""

    name: str = ""
    content: bytes = b""
    rows: int = 0
    error: str = ""


def _rows(database: Database, run: RunInfo) -> Iterator[dict[str, Scalar]]:
    """The run's samples in the benchmark's order; read in spans, so that no reader stays open while a file grows."""
    with database.read() as connection:
        bounds = stats.sample_span(connection, run.snapshot_id)
    for low, high in spans(*bounds) if bounds else ():
        with database.read() as connection:
            found = browse.predictions_in(connection, run, low, high)
        for sample, prediction in found:
            row = dict(sample.row)
            row.setdefault("index", sample.id)
            row["prediction"] = prediction
            yield row


def run_table(database: Database, run: RunInfo) -> Table:
    """A run as the table that is exported: the benchmark's columns, then `prediction`."""
    own = [c for c in run.columns if c != "prediction"]
    with database.read() as connection:
        failed = list(results.failures(connection, run.run_id))
    return Table(
        columns=(*(own if "index" in own else ["index", *own]), "prediction"),
        rows=_rows(database, run),
        card=run_card(database, run),
        failures=failed,
        run=run.name,
    )


class Exports:
    """Builds files one after another; each is kept until the next of its kind is asked for."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="dashboard-export", initializer=step_back)
        self._jobs: dict[tuple[int, str], Future[Ready]] = {}

    def begin(self, run: RunInfo, format: ExportFormat) -> None:
        """Start to build a file, anew if there is one."""
        self._jobs[run.run_id, format] = self._pool.submit(self._build, run, format)

    def is_asked_for(self, run: RunInfo, format: ExportFormat) -> bool:
        """Whether this file was begun."""
        return (run.run_id, format) in self._jobs

    def ready(self, run: RunInfo, format: ExportFormat) -> Ready | None:
        """The file; None while it is being built."""
        job = self._jobs[run.run_id, format]
        return job.result() if job.done() else None

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown(cancel_futures=True)

    def _build(self, run: RunInfo, format: ExportFormat) -> Ready:
        try:
            with tempfile.TemporaryDirectory(prefix="videval-export-") as folder:
                target = export_path(Path(folder), run.model, run.variant, run.name, format)
                done = export_table(run_table(self._database, run), target, format)
                beside = [f for f in (done.companion, done.card, done.failures_file) if f is not None]
                return _ready([done.path, *(beside if done.companion else [])], done.rows)
        except VidevalError as error:
            return Ready(error=str(error))


def _ready(files: list[Path], rows: int) -> Ready:
    """The file itself, or a zip with what had to be written beside it."""
    if len(files) == 1:
        return Ready(name=files[0].name, content=files[0].read_bytes(), rows=rows)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.name)
    return Ready(name=f"{files[0].name}.zip", content=packed.getvalue(), rows=rows)
