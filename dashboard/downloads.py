"""Exports as downloads, built in a thread beside the pages."""

import io
import tempfile
import zipfile
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from dashboard.courtesy import step_back
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.errors import VidevalError
from videval.export import ExportFormat, export_path, export_table, run_table

__all__ = ["Exports", "Ready"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """A file to download, or why there is none; with companions it is a zip of them all."""

    name: str = ""
    content: bytes = b""
    rows: int = 0
    error: str = ""


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
