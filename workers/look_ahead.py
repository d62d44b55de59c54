"""How many requests are held beside those that the server works on, so that it never waits for the next one."""

import math
import threading

__all__ = ["LookAhead"]

LARGEST = 4
"""Times the least, or half of the slots if that is more: what is held ahead is decoded, and kept from others."""
WEIGHT = 0.125
"""Of the newest measurement in the mean; the eight before it have most of the rest."""


class LookAhead:
    """Look-ahead that follows the server.

    To get a request ready takes `get` seconds (claim, frames, inputs); a server with `slots` slots that takes
    `generate` seconds for each answer frees a slot each `generate / slots` seconds. So `get / (generate / slots)`
    requests must be on their way at any moment. `least` are held in any case, and exactly those if it is `fixed`.
    """

    def __init__(self, least: int, *, fixed: bool) -> None:
        self._least = least
        self._fixed = fixed
        self._lock = threading.Lock()
        self._get: float | None = None
        self._generate: float | None = None

    def answered(self, *, get: float, generate: float) -> None:
        """One request was: it took so many seconds to get it ready, and to generate."""
        with self._lock:
            self._get = _mean(self._get, get)
            self._generate = _mean(self._generate, generate)

    def forget(self) -> None:
        """Another model is loaded."""
        with self._lock:
            self._get = self._generate = None

    def ahead(self, slots: int) -> int:
        """How many requests to hold beside the `slots` that are worked on."""
        if self._fixed or self._get is None or self._generate is None:
            return self._least
        largest = max(LARGEST * self._least, slots // 2)
        needed = slots * self._get / max(self._generate, 1e-6)
        return min(max(self._least, math.ceil(needed)), largest)


def _mean(so_far: float | None, newest: float) -> float:
    return newest if so_far is None else so_far + WEIGHT * (newest - so_far)
