"""Whose turn it is to write to a SQLite file: its writers stand in line at a lock of the kernel.

SQLite's own waiting is a sleep of up to 100 ms between two looks, so a busy file stands idle, and who came last may be
served first.
"""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["WritersLine"]

LONGEST = 1.0
"""Seconds that a writer stands in line at most. Whoever is before it may have been stopped outside of a transaction;
then SQLite's own lock says that the file is free."""


class WritersLine:
    """The line of the writers of all processes; `path` is a file that they share, which is made and stays empty."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._in_vain: threading.Thread | None = None

    @contextmanager
    def turn(self, patience: float) -> Iterator[None]:
        """Stand in line, `patience` seconds at most, and keep the turn until the block ends; the kernel takes it back
        from a process that ends."""
        try:
            place = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError:  # a folder that is not ours to write: SQLite says so in its own words
            yield
            return
        try:
            self._stand_in_line(place, min(patience, LONGEST))
            yield
        finally:
            os.close(place)

    def _stand_in_line(self, place: int, patience: float) -> None:
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if self._in_vain is not None and self._in_vain.is_alive():
                return
            waiting = threading.Thread(target=_wait, args=(os.dup(place),), daemon=True)
            waiting.start()
            waiting.join(patience)
            self._in_vain = waiting


def _wait(place: int) -> None:
    """The kernel knows no time-out here, so a thread waits. If nobody waits for it any more, this is the last that has
    the place open, and the lock is free again at once."""
    try:
        fcntl.flock(place, fcntl.LOCK_EX)
    finally:
        os.close(place)
