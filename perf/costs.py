"""What the simulation of a fleet takes as given: measured costs, each with where it was measured."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

__all__ = ["COMMON", "DATABASES", "Common", "Cost", "DatabaseCosts", "free"]


class Cost(NamedTuple):
    """Milliseconds, and where they come from; `points`: (workers, ms) where it depends on the size of the fleet."""

    ms: float
    source: str
    points: tuple[tuple[int, float], ...] = ()

    def seconds(self, workers: int = 1) -> float:
        """Seconds in a fleet of so many workers."""
        if not self.points:
            return self.ms / 1000
        sizes, costs = zip(*self.points, strict=True)
        return float(np.interp(workers, sizes, costs)) / 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Common:
    """What costs the same on both databases.

    `redis`: of Redis for each bell. `gap`: a device between two answers. `warm`: a clip that is in the cache.
    """

    redis: Cost
    gap: Cost
    warm: Cost


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabaseCosts:
    """What is asked of one database.

    `claim`, `answer`, `notes`: time in the database of a claim (with siblings), of an answer, and of all notes of its
    stages. `outside`: Python of a worker for a request outside its transactions. `python`: milliseconds of Python in a
    transaction for each millisecond in the database; SQLite's are the same milliseconds. `look`, `elected`, `other`,
    `heartbeat`: the steps of idle workers. `flush`: a commit reaches the disk. `one_writer`: its writers take turns.
    """

    claim: Cost
    answer: Cost
    notes: Cost
    outside: Cost
    python: float
    look: Cost
    elected: Cost
    other: Cost
    heartbeat: Cost
    flush: Cost
    one_writer: bool


IDLE = "perf/idle.py, medians; whole, though a part of it is the client's"
SQLITE = DatabaseCosts(
    claim=Cost(1.2, "perf/growth.py: claim of a request and its sibling, 100,000 rows"),
    answer=Cost(0.6, "perf/growth.py: half of `answer`, which stores two"),
    notes=Cost(1.3, "perf/overhead.py: what is left of the writer's half of 5.0 ms after claim and answer"),
    outside=Cost(2.5, "perf/overhead.py: the half of the worker's 5.0 ms that is not the writer's"),
    python=0.0,
    look=Cost(0.0, "a look reads beside the writer, in the worker's own process"),
    elected=Cost(0, IDLE, ((8, 2.9), (100, 6.7), (1000, 8.0))),
    other=Cost(0.0, "a look, as above"),
    heartbeat=Cost(0.9, "perf/growth.py: heartbeat"),
    flush=Cost(0.0, "its log is synced at checkpoints only (synchronous=NORMAL)"),
    one_writer=True,
)
OF_SQLITE = "as on SQLite times 2.7/2.5; perf/overhead.py: 9.9 ms in all less the worker's 6.0 and 1.2 of the others"
POSTGRESQL = DatabaseCosts(
    claim=Cost(1.3, OF_SQLITE),
    answer=Cost(0.65, OF_SQLITE),
    notes=Cost(1.4, OF_SQLITE),
    outside=Cost(3.0, "perf/overhead.py: half of the worker's 6.0 ms, as on SQLite"),
    python=3.0 / 2.7,
    look=Cost(0, IDLE, ((8, 1.8), (100, 1.7), (1000, 11.4))),
    elected=Cost(0, IDLE, ((8, 5.2), (100, 9.2), (1000, 18.6))),
    other=Cost(1.0, "assumed: one statement, as a look of dispatch without its counts"),
    heartbeat=Cost(2.0, "perf/growth.py on PostgreSQL, 100,000 rows, quiet, 2026-11-25"),
    flush=Cost(4.0, "fdatasync of 8 kB on the disk of the measuring machine, median of 200"),
    one_writer=False,
)
COMMON = Common(
    redis=Cost(0.2, "CPU of Redis a request, by process, in a run of perf/overhead.py on 2026-11-25"),
    gap=Cost(0.2, "perf/gap.py, now, p50"),
    warm=Cost(2.0, "8 frames of a 720p clip, warm, median, 2026-11-25; perf/decode.py: 1 to 2"),
)
DATABASES = {"sqlite": SQLITE, "postgresql": POSTGRESQL}


def free(costs: DatabaseCosts) -> DatabaseCosts:
    """A database that costs nothing, to see what is left without it."""
    nothing = Cost(0.0, "free")
    return replace(
        costs,
        claim=nothing,
        answer=nothing,
        notes=nothing,
        look=nothing,
        elected=nothing,
        other=nothing,
        heartbeat=nothing,
        flush=nothing,
    )
