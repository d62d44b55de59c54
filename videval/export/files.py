"""Where an export lies and whom it belongs to; written beside and renamed, under the lock of its folder."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from videval.errors import EnvironmentProblem, UsageError
from videval.export.table import ExportFormat

FULL, CARD, FAILURES, RESPONSES = ".full.jsonl", ".card.json", ".failures.jsonl", ".responses.jsonl"
SIDECARS = (FULL, CARD, FAILURES, RESPONSES)
RUN_KEY = "videval_run"
PREDICTIONS = "predictions"
"""The first sheet of a workbook; what it cannot hold is on "predictions 2", and so on."""
TORN_ZIP = (zipfile.BadZipFile, zlib.error, RuntimeError)
"""What zipfile raises of a damaged or encrypted archive (RuntimeError: also NotImplementedError)."""
NOT_OURS = ""

_DRAFT = ".videval-export-"

_FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EIO,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
    errno.ENOENT,
}
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_PIECE_BYTES = 72  # three pieces, a suffix and a sidecar's suffix stay under the 255 bytes of a file name


def export_path(output_dir: Path, model: str, variant: str, run: str, format: ExportFormat) -> Path:
    """`output_dir/MODEL/MODEL_VARIANT.FORMAT`, or with the run's name appended where that is another's file.

    A file belongs to the run that it names inside (xlsx) or in its `.card.json`; one that names none is not ours.
    """
    folder, stem = safe_name(model), f"{safe_name(model)}_{safe_name(variant)}"
    own = f"{stem}_{safe_name(run)}"
    for name in (stem, own, *(f"{own}_{n}" for n in range(2, 1000))):
        path = output_dir / folder / f"{name}.{format}"
        if not is_taken(path, run):
            return path
    raise UsageError(f"no free name for {own}.{format} in {output_dir / folder}", hint="move old exports away")


def safe_name(name: str) -> str:
    """A name as one piece of a file name that every file system takes; a long one ends in its hash."""
    safe = re.sub(r'[\x00-\x20/\\:*?"<>|\x7f-\x9f\ud800-\udfff]', "_", name).strip(".").rstrip("_. ")
    if not safe or _RESERVED.fullmatch(safe):
        safe = f"_{safe}"
    if len(safe.encode()) <= _PIECE_BYTES:
        return safe
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return safe.encode()[: _PIECE_BYTES - 9].decode("utf-8", "ignore") + "~" + digest


def beside(path: Path, suffix: str) -> Path:
    """A file's sidecar: its whole name with `suffix` appended."""
    return path.with_name(path.name + suffix)


def is_taken(path: Path, run: str) -> bool:
    """Whether the file or one of its sidecars exists and is not this run's."""
    return any(owner_of(p) not in (None, run) for p in (path, *(beside(path, s) for s in SIDECARS)))


def owner_of(path: Path) -> str | None:
    """The run that a file belongs to; None if there is no file, NOT_OURS if it names no run."""
    if not os.path.lexists(path):
        return None
    try:
        if path.suffix == ".xlsx":
            return xlsx_properties(path)[RUN_KEY]
        if path.name.endswith((FULL, FAILURES, RESPONSES)):
            with path.open(encoding="utf-8") as file:
                return str(json.loads(file.readline())[RUN_KEY])
        card = path if path.name.endswith(CARD) else beside(path, CARD)
        return str(json.loads(card.read_text(encoding="utf-8"))[RUN_KEY]) if path.is_file() else NOT_OURS
    except (OSError, ValueError, LookupError, TypeError, ElementTree.ParseError, *TORN_ZIP):
        return NOT_OURS


def xlsx_properties(path: Path) -> dict[str, str]:
    """The custom document properties of a workbook; raises what zipfile and ElementTree raise."""
    with zipfile.ZipFile(path) as book:
        root = ElementTree.fromstring(book.read("docProps/custom.xml"))
    return {prop.get("name", ""): "".join(prop.itertext()) for prop in root}


class Draft:
    """A hidden folder beside the target, in which an export is written until it is whole."""

    def __init__(self, target: Path, run: str, folder: Path) -> None:
        self.target = target
        self.run = run
        self.folder = folder

    def path(self, suffix: str = "") -> Path:
        """Where the file itself, or its sidecar, is written for now."""
        return self.folder / (self.target.name + suffix)

    def publish(self) -> None:
        """Rename all files into place, the export itself last, and drop sidecars that it no longer has."""
        for suffix in (*SIDECARS, ""):
            if self.path(suffix).exists():
                _sync(self.path(suffix))
        with _locked(self.target.parent):
            refuse_taken(self.target, self.run)
            made = [s for s in SIDECARS if self.path(s).exists()]
            for suffix in (*made, ""):
                self.path(suffix).replace(beside(self.target, suffix))
            for suffix in set(SIDECARS) - set(made):
                beside(self.target, suffix).unlink(missing_ok=True)


def refuse_taken(path: Path, run: str) -> None:
    """UsageError if the file is another run's or not ours."""
    if is_taken(path, run):
        raise UsageError(
            f"{path} or a file beside it does not belong to run {run}, and stays as it is",
            hint="choose another name, or move it away",
        )


@contextlib.contextmanager
def drafted(target: Path, run: str) -> Iterator[Draft]:
    """A Draft that leaves nothing behind; a full disk or a refused write is an EnvironmentProblem with figures."""
    made = [p for p in (target.parent, *target.parent.parents) if not p.exists()]
    written = [0]
    try:
        with _folder_beside(target, written) as folder:
            yield Draft(target, run, folder)
    except BaseException as error:
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()
        if isinstance(error, OSError) and error.errno in _FULL_DISK | _REFUSED:
            raise _problem(target, error, written[0]) from error
        raise


@contextlib.contextmanager
def _folder_beside(target: Path, written: list[int]) -> Iterator[Path]:
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        with _locked(target.parent):
            _sweep(target.parent)
            folder = tempfile.TemporaryDirectory(dir=target.parent, prefix=_DRAFT, ignore_cleanup_errors=True)
            path = Path(stack.enter_context(folder))
            stack.enter_context(_locked(path))
        try:
            yield path
        finally:
            written[0] = sum(p.stat().st_size for p in path.iterdir())


def _sweep(parent: Path) -> None:
    """Remove drafts whose process is dead: nobody holds their lock."""
    for old in parent.glob(f"{_DRAFT}*"):
        with contextlib.suppress(OSError), _locked(old, fcntl.LOCK_NB):
            shutil.rmtree(old)


def _problem(target: Path, error: OSError, written: int) -> EnvironmentProblem:
    if error.errno not in _FULL_DISK:
        return EnvironmentProblem(
            f"cannot write {target}: {error.strerror}", hint="check the folder's permissions, or choose another"
        )
    place = next(p for p in target.absolute().parents if p.exists())
    free = shutil.disk_usage(place).free
    return EnvironmentProblem(
        f"no room to export {target}: {error.strerror} after {written / 1e6:.1f} MB, {free / 1e6:.1f} MB are free "
        f"in {place} now; nothing was changed there",
        hint="free space on that disk, or set VIDEVAL_OUTPUT_DIR to another one",
    )


@contextlib.contextmanager
def _locked(folder: Path, mode: int = 0) -> Iterator[None]:
    """Hold the folder's own lock; where folders have no locks go without, but with LOCK_NB raise OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(*(() if mode else (OSError,))):
            fcntl.flock(handle, fcntl.LOCK_EX | mode)
        yield
    finally:
        os.close(handle)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
