"""What is looked at again and again, and what that may cost: the workers of the same machine need the time."""

import time
from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

__all__ = ["Paced"]

P = ParamSpec("P")
T = TypeVar("T")
RESTS = 20
"""Looking takes a twentieth of the time at most."""


class Paced(Generic[P, T]):
    """What `read` says, read again when it is older than `period` seconds, and than RESTS times what reading took."""

    def __init__(self, read: Callable[P, T], *, period: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._read, self._period, self._clock = read, period, clock
        self._value: tuple[T] | None = None
        self._due = 0.0

    def __call__(self, *args: P.args, **named: P.kwargs) -> T:
        """The value, new if it is time for that."""
        began = self._clock()
        if self._value is None or began >= self._due:
            self._value = (self._read(*args, **named),)
            now = self._clock()
            self._due = now + max(self._period - (now - began), RESTS * (now - began))
        return self._value[0]
