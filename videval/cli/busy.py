"""A sign of life of what takes long: a spinner on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from videval.cli.console import errors, spinner

__all__ = ["Tell", "busy"]

Tell = Callable[[int, int], None]
"""Takes how much is done, and of how much (0: not known)."""

SILENCE = 2.0
"""Seconds that a command may say nothing."""
PERIOD = 5.0
"""Seconds between the lines of a log."""


class _Words:
    """What is being done, and how far it is."""

    def __init__(self, what: str) -> None:
        self.what = self.text = what

    def tell(self, done: int, total: int) -> None:
        """Note how far it is."""
        self.text = f"{self.what}: {done:,} of {total:,}" if total else f"{self.what}: {done:,}"


@contextmanager
def busy(what: str) -> Iterator[Tell]:
    """Say on standard error that this goes on; quiet if it is over within two seconds."""
    words, over = _Words(what), Event()
    shown = Thread(target=_spin if errors.is_terminal else _log, args=(words, over), daemon=True)
    shown.start()
    try:
        yield words.tell
    finally:
        over.set()
        shown.join()


def _spin(words: _Words, over: Event) -> None:
    if over.wait(SILENCE / 4):
        return
    with errors.status(words.text, spinner=spinner()) as status:
        while not over.wait(0.25):
            status.update(words.text)


def _log(words: _Words, over: Event) -> None:
    began, pause = time.monotonic(), SILENCE
    while not over.wait(pause):
        pause = PERIOD
        errors.print(f"{words.text}, {time.monotonic() - began:.0f} s so far", markup=False, soft_wrap=True)
