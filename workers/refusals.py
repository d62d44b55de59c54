"""Whether the workers that somebody waits for can ever load a model."""

from collections.abc import Collection, Sequence

from videval.db.workers import SeatInfo

__all__ = ["OFTEN", "Refusals"]

OFTEN = 3
"""Times that all of them could not load it until nobody waits any longer: the pauses between are 5 and 10 seconds."""


class Refusals:
    """Counts how often all workers on these devices (by their ids) could not load a model.

    A worker that could not load one refuses it for a while, and tries again. One elsewhere that serves it is hope.
    """

    def __init__(self, devices: Collection[str], load_key: str) -> None:
        self._devices, self._load_key = frozenset(devices), load_key
        self._times = 0
        self._was = False

    def look(self, seats: Sequence[SeatInfo]) -> bool:
        """Look at the workers that are counted on; true if there is no hope."""
        own = [seat for seat in seats if seat.device in self._devices]
        is_so = bool(own) and all(self._load_key in seat.refuses for seat in own)
        is_so = is_so and not any(seat.load_key == self._load_key for seat in seats)
        self._times += is_so and not self._was
        self._was = is_so
        return self._times >= OFTEN
