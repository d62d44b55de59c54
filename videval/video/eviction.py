"""What leaves the frame cache: the clips that were used longest ago, but never one that is held."""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from videval.types import Clip

__all__ = ["evict", "held", "pinned", "touch"]

log = logging.getLogger(__name__)

HOLD_TRIES = 3
_ABANDONED = 3600.0
"""Seconds after which a temporary file has no writer any more (a decode has minutes)."""


def touch(array: Path) -> None:
    """Mark a clip as used just now."""
    os.utime(array)


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


@contextmanager
def held(get: Callable[[], Clip]) -> Iterator[Clip]:
    """The clip that `get` gives, not thrown out of the cache until the block ends.

    One that was thrown out before it could be held is asked for again; who maps one that cannot be held says why.
    """
    for _ in range(HOLD_TRIES):
        clip = get()
        with pinned(Path(clip.path)) as is_there:
            if is_there:
                yield clip
                return
    yield clip


def evict(folder: Path, budget: int) -> None:
    """Throw out the clips used longest ago until all of them together take at most `budget` bytes.

    Safe while others read, write and evict: one process evicts at a time, what is mapped stays valid for its readers,
    what is held stays.
    """
    with FileLock(folder / "locks" / "evict.lock"):
        _sweep(folder)
        clips = _clips(folder)
        total = sum(size for _, size, _ in clips) + _being_written(folder)
        for _, size, array in clips:
            if total <= budget:
                return
            if _remove(array):
                total -= size
    if total > max(budget, 0):
        log.warning("frame cache %s: %.1f GB are held, more than the budget allows", folder, total / 1e9)


def _clips(folder: Path) -> list[tuple[int, int, Path]]:
    """When each clip was used last, its size, its file; oldest first."""
    found = []
    for array in folder.glob("*.npy"):
        try:
            stat = array.stat()
        except FileNotFoundError:
            continue
        found.append((stat.st_mtime_ns, stat.st_size, array))
    return sorted(found)


def _being_written(folder: Path) -> int:
    total = 0
    for array in folder.glob("*.npy.tmp"):
        try:
            total += array.stat().st_size
        except FileNotFoundError:
            continue
    return total


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
            if time.time() - left.stat().st_mtime > _ABANDONED:
                left.unlink()
        except FileNotFoundError:
            continue


def _is_same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
