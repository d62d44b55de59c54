"""The prediction file of a call: where it lies, and what is in it."""

import logging
import os
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from videval import runs
from videval.asking import is_pack
from videval.compat.packs import strict_of
from videval.db import results
from videval.db.records import RunInfo
from videval.db.session import Database, open_database
from videval.errors import EnvironmentProblem, UsageError
from videval.export import ExportFormat, Table, export_table, owner_of, run_table
from videval.export.files import NOT_OURS, SIDECARS, beside
from videval.plain import scalar
from videval.report import vlmevalkit_rating
from videval.settings import Settings
from videval.types import Scalar
from videval.words import FAIL_MSG, plural
from workers.locks import lock_alone

__all__ = ["ResultFile", "rating_of"]

log = logging.getLogger(__name__)
FORMATS: Mapping[str, ExportFormat] = {".xlsx": "xlsx", ".tsv": "tsv", ".json": "json"}
TOLERANT = "prediction_tolerant"
"""The column beside `prediction` in which a pack's answers stand as a person would read them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultFile:
    """Where the predictions of a call go, and in which format."""

    path: Path
    format: ExportFormat

    @classmethod
    def of(cls, work_dir: str | os.PathLike[str], name: str) -> "ResultFile":
        """The file of this name in a work_dir. UsageError for a format that it cannot have."""
        path = Path(work_dir).expanduser() / name
        if path.suffix not in FORMATS:
            raise UsageError(f"result_file_name {name!r}: predictions are xlsx, tsv or json", hint="end it in .xlsx")
        return cls(path=path, format=FORMATS[path.suffix])

    @property
    def is_there(self) -> bool:
        """Whether it is finished: files are renamed into place when they are whole."""
        return self.path.is_file() and self.path.stat().st_size > 0

    def check(self) -> None:
        """Find out now, and not after hours, whether it can be written. UsageError, EnvironmentProblem."""
        for path in (self.path, *self._beside):
            if owner_of(path) == NOT_OURS:
                raise UsageError(f"{path} is no result of videval, and stays as it is", hint="move it away")
        folder = self.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"x" * 4096)
        except OSError as error:
            raise EnvironmentProblem(
                f"work_dir {folder}: {error.strerror}", hint="name one that can be written"
            ) from error

    def ticket(self) -> str:
        """What a call that is stopped leaves in the work_dir, and the next one goes on with; made if there is none.

        Objects are code and weights that nobody can compare. So what they answered is gone on with for this file only,
        and not once it was written, or was thrown away with the work_dir.
        """
        with tempfile.TemporaryDirectory(dir=self.path.parent, prefix=".videval-ticket-") as folder:
            draft = Path(folder) / "ticket"
            draft.write_text(uuid.uuid4().hex)
            try:
                self._ticket.hardlink_to(draft)
            except FileExistsError:
                pass
            except OSError:  # a file system without such links
                if not self._ticket.exists():
                    draft.replace(self._ticket)
        try:
            return self._ticket.read_text()
        except FileNotFoundError:  # another process of this call is done with it
            return ""

    def tear_ticket(self) -> None:
        """Nothing is to be gone on with any more."""
        self._ticket.unlink(missing_ok=True)

    @property
    def _ticket(self) -> Path:
        return self.path.with_name(f".{self.path.name}.videval")

    def write(self, settings: Settings, database: Database, run: RunInfo, dataset: Any, *, keep_failed: bool) -> None:
        """Write it, unless another process of this call does or did. Raises as `export_table` does."""
        with self._alone(settings) as is_mine:
            if is_mine and not self.is_there:
                self._drop_orphans(run)
                table = _table(database, run, dataset, keep_failed=keep_failed)
                done = export_table(table, self.path, self.format)
                self.tear_ticket()
                log.info("%s -> %s", plural(done.rows, "row"), done.path)

    @property
    def _beside(self) -> list[Path]:
        return [beside(self.path, suffix) for suffix in SIDECARS]

    def _drop_orphans(self, run: RunInfo) -> None:
        """What lay beside an earlier result, which is gone."""
        for path in self._beside:
            if owner_of(path) not in (None, NOT_OURS, run.name):
                path.unlink(missing_ok=True)

    @contextmanager
    def _alone(self, settings: Settings) -> Iterator[bool]:
        """Whether this process is to write it; else another one has written it when this comes back."""
        name = f"result-{sha256(os.fsencode(self.path.absolute())).hexdigest()[:16]}"
        while (lock := lock_alone(settings.lock_path, name)) is None and not self.is_there:
            time.sleep(0.1)
        try:
            yield lock is not None
        finally:
            if lock is not None:
                os.close(lock)


def rating_of(path: Path, settings: Settings) -> Mapping[str, Any]:
    """The rating of the run that a result file is of. Raises UsageError, UnknownName."""
    owner = owner_of(path)
    if not owner:
        said = "is not there" if owner is None else "names no run of videval"
        raise UsageError(f"{path} {said}", hint=f"videval import {path}, then videval score RUN")
    database = open_database(settings, read_only=True)
    try:
        return vlmevalkit_rating(database, runs.find(database, owner))
    finally:
        database.close()


def _table(database: Database, run: RunInfo, dataset: Any, *, keep_failed: bool) -> Table:
    table = run_table(database, run)
    failed = {str(row["index"]): f"{FAIL_MSG} {row['message']}" for row in table.failures}
    if run.pack:
        table = replace(table, columns=(*table.columns, TOLERANT), rows=_strict(database, run, dataset, table))
    return replace(table, rows=_with_failed(table, failed)) if keep_failed else table


def _with_failed(table: Table, failed: Mapping[str, str]) -> Iterator[Mapping[str, Scalar]]:
    """Rows in which a failed question has VLMEvalKit's words and the reason in place of an answer."""
    for row in table.rows:
        said = failed.get(str(row["index"]))
        yield row if said is None else {**row, "prediction": said}


def _strict(database: Database, run: RunInfo, dataset: Any, table: Table) -> Iterator[Mapping[str, Scalar]]:
    """Rows with the answers of packs as VLMEvalKit takes them apart, ours beside them."""
    found = _taken_apart(database, run, dataset)
    for row in table.rows:
        yield {**row, "prediction": scalar(found.get(str(row["index"]))), TOLERANT: row.get("prediction")}


def _taken_apart(database: Database, run: RunInfo, dataset: Any) -> Mapping[str, Any]:
    """The answer of each question by its index, by the rule of the dataset if it has one of its own."""
    packs, by_video = _packs(database, run)
    own = getattr(dataset, "load_pack_answers", None)
    if own is None:
        found, statistics = strict_of(packs)
    else:
        meta, statistics = own(by_video)
        found = {str(index): said for index, said in zip(meta["index"], meta["prediction"], strict=True)}
    log.info("packs of %s: %s", run.name, dict(statistics))
    return found


def _packs(database: Database, run: RunInfo) -> tuple[list[tuple[str | None, list[str]]], dict[str, str]]:
    """What was said to each pack with the ids of its questions, and the same by video; nothing of those that failed."""
    with database.read() as connection:
        ids = results.answered_ids(connection, run.run_id)
        answered = [a for a in results.answered(connection, ids) if is_pack(a.key)]
        failures = list(results.failures(connection, run.run_id))
    packs: list[tuple[str | None, list[str]]] = [(a.said.text, [s.id for s in a.samples]) for a in answered]
    packs += [(None, [str(row["index"])]) for row in failures]
    by_video = {str(row["video"]): FAIL_MSG for row in failures}
    by_video |= {str(a.samples[0].row.get("video", a.samples[0].video)): a.said.text for a in answered}
    return packs, by_video
