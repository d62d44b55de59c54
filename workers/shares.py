"""Which model a worker serves: each load key with work gets workers in proportion to priority, at least one.

A worker stays with its key while that has work and no other key is short. With fewer workers than keys they change
after a turn. Two runs on W workers cost about 2 W loads, not thousands.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace

__all__ = ["Demand", "Seat", "assign", "surplus"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """A load key with work: `requests` waiting or running, `priority` (0 is normal)."""

    load_key: str
    requests: int
    priority: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Seat:
    """A live worker: the key that it serves now, for how many seconds, and which keys it can serve (None: all)."""

    worker_id: str
    load_key: str | None
    served_s: float = 0.0
    can_serve: frozenset[str] | None = None

    def fits(self, load_key: str) -> bool:
        """Whether this worker can serve that key."""
        return self.can_serve is None or load_key in self.can_serve


def _targets(demands: Sequence[Demand], workers: int) -> dict[str, int]:
    """How many workers each key should have: one each as far as they go, the rest by priority, never more than it
    has requests. Priority p weighs 2**p."""
    ordered = sorted(demands, key=lambda d: (-d.priority, d.load_key))
    targets = {d.load_key: 1 if i < workers else 0 for i, d in enumerate(ordered)}
    weight = {d.load_key: 2.0**d.priority for d in ordered}
    limit = {d.load_key: d.requests for d in ordered}
    for _ in range(workers - sum(targets.values())):
        open_ = [d.load_key for d in ordered if targets[d.load_key] < limit[d.load_key]]
        if not open_:
            break
        neediest = min(open_, key=lambda k: (targets[k] / weight[k], k))
        targets[neediest] += 1
    return targets


def assign(demands: Sequence[Demand], seats: Sequence[Seat], *, turn: float) -> Mapping[str, str]:
    """The key of each worker (by id) that should serve one, with as few changes as possible.

    The same for whoever computes it: workers are taken in the order of their ids.
    """
    all_ = demands = [d for d in demands if any(s.fits(d.load_key) for s in seats)]
    if len(demands) > len(seats):
        demands = _with_turns(demands, seats, turn)
    targets = _targets(demands, len(seats))
    placed: dict[str, str] = {}
    for seat in sorted(seats, key=lambda s: (s.served_s, s.worker_id)):
        key = seat.load_key
        if key is not None and targets.get(key, 0) > 0 and seat.fits(key):
            placed[seat.worker_id] = key
            targets[key] -= 1
    for seat in sorted(seats, key=lambda s: s.worker_id):
        if seat.worker_id not in placed:
            short = [k for k, n in targets.items() if n > 0 and seat.fits(k)]
            if short:
                placed[seat.worker_id] = short[0]
                targets[short[0]] -= 1
    _make_room(targets, seats, placed)
    _use_the_idle(all_, seats, placed)
    return placed


def _use_the_idle(demands: Sequence[Demand], seats: Sequence[Seat], placed: dict[str, str]) -> None:
    """Whoever can serve none of the keys whose turn it is serves what it can."""
    for seat in sorted(seats, key=lambda s: s.worker_id):
        if seat.worker_id not in placed:
            taken = Counter(placed.values())
            open_ = [d for d in demands if seat.fits(d.load_key) and taken[d.load_key] < d.requests]
            if open_:
                placed[seat.worker_id] = min(open_, key=lambda d: (taken[d.load_key], d.load_key)).load_key


def _make_room(targets: Mapping[str, int], seats: Sequence[Seat], placed: dict[str, str]) -> None:
    """A key that is short although a worker has nothing: whoever could serve it leaves its key to the idle one."""
    by_id = sorted(seats, key=lambda s: s.worker_id)
    for key in (k for k, n in targets.items() for _ in range(n)):
        idle = [s for s in by_id if s.worker_id not in placed]
        for able in (s for s in by_id if s.worker_id in placed and s.fits(key) and placed[s.worker_id] != key):
            instead = next((s for s in idle if s.fits(placed[able.worker_id])), None)
            if instead is not None:
                placed[instead.worker_id], placed[able.worker_id] = placed[able.worker_id], key
                break


def _with_turns(demands: Sequence[Demand], seats: Sequence[Seat], turn: float) -> list[Demand]:
    """More keys than workers: those being served until their turn is over, then the others, in a fixed circle."""
    served: dict[str, float] = {}
    for seat in seats:
        if seat.load_key is not None:
            served[seat.load_key] = max(seat.served_s, served.get(seat.load_key, 0.0))
    circle = sorted(demands, key=lambda d: d.load_key)
    now = [d for d in circle if served.get(d.load_key, turn) < turn]
    over = [d.load_key for d in circle if served.get(d.load_key, 0.0) >= turn]
    after = over[-1] if over else ""
    others = [d for d in circle if d.load_key not in served]
    urgent = sorted(others, key=lambda d: (-d.priority, d.load_key <= after, d.load_key))
    return [*now, *urgent, *(d for d in circle if d.load_key in over)][: len(seats)]


def surplus(in_hand: Mapping[str, int], worker_id: str, *, slots: int) -> int:
    """How many of its requests a worker gives back at the end of a key's work, so that idle ones have some.

    `in_hand`: what each worker on the key holds. One at a time goes from whoever has most to the idle one that got
    least, until they are even or it has `slots`. The same for whoever computes it.
    """
    ranks = {w: rank for rank, w in enumerate(sorted(in_hand))}
    rich = [(-held, -ranks[w], w) for w, held in in_hand.items() if held]
    poor = [(0, ranks[w]) for w, held in in_hand.items() if not held]
    heapify(rich)
    heapify(poor)
    given: Counter[str] = Counter()
    while rich and poor:
        (less_held, rich_rank, richest), (got, poor_rank) = rich[0], poor[0]
        if -less_held - got < 2 or got >= slots:
            break
        heapreplace(rich, (less_held + 1, rich_rank, richest))
        heapreplace(poor, (got + 1, poor_rank))
        given[richest] += 1
    return given[worker_id]
