"""What leaves the frame cache: the clips that were used longest ago, but never one that is held."""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

__all__ = ["evict", "pinned", "reserve", "touch"]

log = logging.getLogger(__name__)

_ABANDONED = 60.0
"""Seconds after which a temporary file that nobody holds has no writer any more."""
T = TypeVar("T")


def touch(array: Path) -> None:
    """Mark a clip as used just now. When it was written stays: that names it in a model's caches."""
    os.utime(array, ns=(time.time_ns(), array.stat().st_mtime_ns))


@contextmanager
def pinned(array: Path) -> Iterator[bool]:
    """Keep a clip from being thrown out while the block runs; False if it was thrown out already."""
    try:
        file = array.open("rb")
    except OSError:
        yield False
        return
    with file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield _is_same(file.fileno(), array)


def evict(folder: Path, budget: int) -> int:
    """Throw out the clips used longest ago until all of them together take at most `budget` bytes; how many are left.

    Safe while others read, write and evict: one process evicts at a time, what is mapped stays valid for its readers,
    what is held stays.
    """
    with _one_at_a_time(folder):
        return _thin_out(folder, budget)


def reserve(folder: Path, budget: int, size: int, take: Callable[[], T], *, anyhow: bool) -> T | None:
    """Make room for `size` bytes and `take` it before another process can; None if what is held leaves no room.

    A clip that is larger than the budget has room when it is alone; `anyhow`: take it in any case, and say so.
    """
    with _one_at_a_time(folder):
        left = _thin_out(folder, budget - size)
        if left and left + size > budget:
            if not anyhow:
                return None
            log.warning("frame cache %s: %.1f GB are in use, more than its budget", folder, (left + size) / 1e9)
        return take()


def _one_at_a_time(folder: Path) -> FileLock:
    return FileLock(folder / "locks" / "evict.lock")


def _thin_out(folder: Path, budget: int) -> int:
    _sweep(folder)
    clips = _clips(folder)
    total = sum(size for _, size, _ in clips) + _being_written(folder)
    for _, size, array in clips:
        if total <= budget:
            break
        if _remove(array):
            total -= size
    return total


def _clips(folder: Path) -> list[tuple[int, int, Path]]:
    """When each clip was used last, its size, its file; oldest first."""
    found = []
    for array in folder.glob("*.npy"):
        try:
            stat = array.stat()
        except FileNotFoundError:
            continue
        found.append((stat.st_atime_ns, stat.st_size, array))
    return sorted(found)


def _being_written(folder: Path) -> int:
    """Bytes of clips that are being written: who writes one holds it."""
    total = 0
    for array in folder.glob("*.npy.tmp"):
        try:
            total += array.stat().st_size if _is_held(array) else 0
        except FileNotFoundError:
            continue
    return total


def _is_held(array: Path) -> bool:
    with array.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _remove(array: Path) -> bool:
    """Remove a clip unless somebody holds it."""
    try:
        with array.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            array.unlink(missing_ok=True)
            array.with_suffix(".json").unlink(missing_ok=True)
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    return True


def _sweep(folder: Path) -> None:
    """Remove temporary files of writers that were killed."""
    for left in folder.glob("*.tmp"):
        try:
            if time.time() - left.stat().st_mtime > _ABANDONED and not _is_held(left):
                left.unlink()
        except FileNotFoundError:
            continue


def _is_same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
