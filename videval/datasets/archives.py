"""Unpacks what was downloaded: zip, tar (also in pieces), pickles of videos.

Nothing that an archive says is believed: a path that leaves the folder, a link and a device are refused, a pickle may
hold bytes and texts only. Each file is written beside its place and renamed; one that is there with its size is kept,
so unpacking twice, or after VLMEvalKit did, costs little.
"""

import io
import itertools
import os
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from io import BufferedReader, RawIOBase
from pathlib import Path, PurePosixPath
from typing import IO, Any, NoReturn

from videval.benchmarks.published import Archive
from videval.errors import DataMissing
from videval.video.paths import path_problem

__all__ = ["unpack", "write_file"]

_BLOCK = 1 << 20
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    pickle.UnpicklingError,
    EOFError,
    zlib.error,
    struct.error,
    NotImplementedError,
    ValueError,
)
Member = tuple[str, int, Callable[[], IO[bytes]]]
"""Path inside the archive, size in bytes, and how it is opened."""


def unpack(root: Path, archives: Sequence[Archive], progress: Callable[[str], None]) -> int:
    """Unpack all archives that are there below root; how many files were written.

    Raises DataMissing for an archive that is cut off, damaged or unsafe, naming it.
    """
    written = 0
    for archive in archives:
        for pieces in _found(root, archive):
            progress(f"unpacking {pieces[0].name}")
            written += _unpack_one(root / archive.into, pieces, archive)
    return written


def _unpack_one(folder: Path, pieces: Sequence[Path], archive: Archive) -> int:
    try:
        return sum(_keep(folder, member, archive) for member in _members(pieces))
    except _DAMAGE as error:
        name = pieces[0].name
        raise DataMissing(
            f"{pieces[0]}: the archive is cut off or damaged ({error})",
            hint=f"delete {name} and prepare again",
        ) from error
    except OSError as error:
        raise DataMissing(f"{pieces[0]}: cannot be unpacked ({error})", hint="free some disk?") from error


def _found(root: Path, archive: Archive) -> list[list[Path]]:
    paths = sorted(path for path in root.glob(archive.pattern) if path.is_file())
    if archive.pattern.endswith(".part*"):
        _check_row(paths)
        return [paths] if paths else []
    return [[path] for path in paths]


def _check_row(pieces: Sequence[Path]) -> None:
    """Raise DataMissing if one of the pieces part.aa, part.ab, ... (or part00, part01, ...) is not there."""
    numbers = [_number(path.name.rpartition(".part")[2].lstrip(".")) for path in pieces]
    for path, number, expected in zip(pieces, numbers, itertools.count(min(numbers[:1], default=0)), strict=False):
        if number != expected or (expected > 1 and path == pieces[0]):
            raise DataMissing(f"{path}: a piece before it is missing", hint="fetch it again: videval prepare")


def _number(letters: str) -> int:
    """aa is 0, ab is 1, ...; digits are what they say."""
    if letters.isdigit():
        return int(letters)
    value = 0
    for letter in letters.casefold():
        value = value * 26 + ord(letter) - ord("a")
    return value


def _keep(folder: Path, member: Member, archive: Archive) -> bool:
    path, size, opened = member
    if archive.skip in path:
        return False
    inside = PurePosixPath(path).name if archive.flat else path
    target = folder / inside
    if target.is_file() and target.stat().st_size == size:
        return False
    with opened() as content:
        write_file(folder, inside, content)
    return True


def write_file(folder: Path, inside: str, content: IO[bytes]) -> None:
    """Write one file below the folder, beside its place and renamed; DataMissing if the path leaves the folder."""
    if problem := path_problem(inside):
        raise DataMissing(f"unsafe path in an archive: {problem}", hint="fetch the archive again")
    target = folder / inside
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.parent.resolve().is_relative_to(folder.resolve()):
        raise DataMissing(f"unsafe path in an archive: {inside!r} follows a link out of {folder}")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            while block := content.read(_BLOCK):
                file.write(block)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _members(pieces: Sequence[Path]) -> Iterator[Member]:
    if pieces[0].suffix == ".pkl":
        yield from _pickled(pieces[0])
    elif pieces[0].suffix == ".zip":
        yield from _zipped(pieces[0])
    else:
        yield from _tarred(pieces)


def _zipped(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            if info.flag_bits & 0x1:
                raise zipfile.BadZipFile(f"{info.filename} is encrypted")
            _refuse(path, info.filename, link=info.external_attr >> 28 == 0xA)
            yield info.filename, info.file_size, partial(archive.open, info)


def _tarred(pieces: Sequence[Path]) -> Iterator[Member]:
    with (
        BufferedReader(_Joined(pieces), _BLOCK) as joined,
        tarfile.open(fileobj=joined, mode="r|*", tarinfo=_StrictInfo) as archive,
    ):
        for info in archive:
            if info.isdir():
                continue
            _refuse(pieces[0], info.name, link=not info.isfile())
            yield info.name, info.size, partial(_content, archive, info)


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    found = archive.extractfile(info)
    if found is None:
        raise tarfile.TarError(f"{info.name} has no content")
    return found


def _refuse(archive: Path, member: str, *, link: bool) -> None:
    problem = path_problem(member) or (f"{member!r} is a link or a device" if link else "")
    if problem:
        raise DataMissing(f"{archive}: unsafe member: {problem}", hint="fetch the archive again")


class _StrictInfo(tarfile.TarInfo):
    """A member's header; tarfile takes a bad one, and a lost end, for the end of the archive."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_StrictInfo":
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if type(error).__name__ == "EOFHeaderError":  # the proper end; the type is not public
                raise
            raise tarfile.ReadError(str(error)) from error


class _Joined(RawIOBase):
    """The pieces of one archive, read one after another."""

    def __init__(self, pieces: Sequence[Path]) -> None:
        self._rest = list(pieces)
        self._file: IO[bytes] | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            if self._file is None:
                if not self._rest:
                    return 0
                self._file = self._rest.pop(0).open("rb")
            block = self._file.read(len(buffer))
            if block:
                buffer[: len(block)] = block
                return len(block)
            self._file.close()
            self._file = None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        super().close()


class _BytesOnly(pickle.Unpickler):
    """Reads pickles of containers, bytes and texts; whatever would call something is refused."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it would run {module}.{name}, and may hold bytes and texts only")

    def persistent_load(self, pid: object) -> NoReturn:
        raise pickle.UnpicklingError("it refers to something outside itself")


def _pickled(path: Path) -> Iterator[Member]:
    """The videos of a pickle: a dictionary of names (without .mp4) and contents."""
    with path.open("rb") as file:
        try:
            found = _BytesOnly(file).load()
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, MemoryError) as error:
            raise pickle.UnpicklingError(str(error)) from error
    if not isinstance(found, dict):
        raise pickle.UnpicklingError(f"a {type(found).__name__}, not a dictionary of videos")
    for name, content in found.items():
        if not isinstance(name, str) or not isinstance(content, bytes | bytearray):
            raise pickle.UnpicklingError("it holds something else than names and bytes")
        member = f"{name}.mp4"
        _refuse(path, member, link=False)
        yield member, len(content), partial(io.BytesIO, content)
