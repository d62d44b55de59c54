"""Exports as downloads, built in a thread beside the pages."""

import io
import logging
import tempfile
import threading
import zipfile
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dashboard.priority import step_back
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.errors import VidevalError
from videval.export import ExportFormat, export_path, export_table, run_table
from videval.report import RunStatus
from videval.report.page import run_page

__all__ = ["Exports", "FileFormat", "Ready"]

log = logging.getLogger(__name__)
KEPT = 6
"""Files that are kept in memory, those that were begun last."""
FileFormat = ExportFormat | Literal["html"]
"""A table of the answers, or the report."""
Standing = tuple[int, int, float | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """A file to download, or why there is none; with companions it is a zip of them all. `rows`: 0 of a report."""

    name: str = ""
    content: bytes = b""
    rows: int = 0
    error: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Job:
    standing: Standing
    future: Future[Ready]


def _standing(status: RunStatus) -> Standing:
    """What changes with every answer and every failure of a run."""
    return status.counts.done, status.counts.failed, status.last_at


class Exports:
    """Builds files one after another and keeps the last few; one of a run that went on since is outdated."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="dashboard-export", initializer=step_back)
        self._jobs: OrderedDict[tuple[int, str], _Job] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, status: RunStatus, format: FileFormat) -> None:
        """Start to build a file of a run as it stands, anew if there is one."""
        key = status.run.run_id, format
        with self._lock:
            job = self._jobs.pop(key, None)
            if job is not None:
                job.future.cancel()
            future = self._pool.submit(self._build, status.run, format)
            self._jobs[key] = _Job(standing=_standing(status), future=future)
            while len(self._jobs) > KEPT:
                self._jobs.popitem(last=False)[1].future.cancel()

    def is_asked_for(self, run: RunInfo, format: FileFormat) -> bool:
        """Whether this file was begun."""
        return (run.run_id, format) in self._jobs

    def answers_if_outdated(self, status: RunStatus, format: FileFormat) -> int | None:
        """How many answers the run had when this file was begun; None if it has not gone on since."""
        job = self._jobs.get((status.run.run_id, format))
        return job.standing[0] if job is not None and job.standing != _standing(status) else None

    def ready(self, run: RunInfo, format: FileFormat) -> Ready | None:
        """The file; None while it is being built, or if it is no longer kept."""
        job = self._jobs.get((run.run_id, format))
        return job.future.result() if job is not None and job.future.done() and not job.future.cancelled() else None

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown(cancel_futures=True)

    def _build(self, run: RunInfo, format: FileFormat) -> Ready:
        try:
            if format == "html":
                return Ready(name=f"{run.name}.html", content=run_page(self._database, run).encode())
            with tempfile.TemporaryDirectory(prefix="videval-export-") as folder:
                target = export_path(Path(folder), run.model, run.variant, run.name, format)
                done = export_table(run_table(self._database, run), target, format)
                sidecars = (done.companion, done.card, done.failures_file, done.responses_file)
                beside = [f for f in sidecars if f is not None]
                return _ready([done.path, *(beside if done.companion else [])], done.rows)
        except VidevalError as error:
            return Ready(error=str(error))
        except Exception as error:
            log.exception("%s of run %s could not be built", format, run.name)
            return Ready(error=f"the {format} could not be built: {error or type(error).__name__}")


def _ready(files: list[Path], rows: int) -> Ready:
    """The file itself, or a zip with what had to be written beside it."""
    if len(files) == 1:
        return Ready(name=files[0].name, content=files[0].read_bytes(), rows=rows)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.name)
    return Ready(name=f"{files[0].name}.zip", content=packed.getvalue(), rows=rows)
