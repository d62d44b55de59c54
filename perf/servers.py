"""What the workers of a simulated fleet share: things that serve one after the other, and the two databases.

Who is served first come, first served needs no queue: when somebody who comes now is done is known at once.
"""

from collections.abc import Generator
from heapq import heapreplace
from typing import Any, Protocol

import simpy

from perf.costs import DatabaseCosts

__all__ = ["Database", "Disk", "Postgresql", "Process", "Server", "Sqlite"]

Process = Generator[simpy.Event, Any, Any]


class Server:
    """`capacity` equals that serve first come, first served."""

    def __init__(self, env: simpy.Environment, capacity: int = 1) -> None:
        self._env = env
        self._free = [0.0] * capacity
        self._busy_s = 0.0

    def delay(self, seconds: float) -> float:
        """Seconds until who comes now, and needs it for `seconds`, is done."""
        ends = max(self._env.now, self._free[0]) + seconds
        heapreplace(self._free, ends)
        self._busy_s += seconds
        return ends - self._env.now

    def share(self, elapsed: float) -> float:
        """How busy it was."""
        return min(1.0, self._busy_s / (elapsed * len(self._free)))


class Disk:
    """A log that takes `flush` seconds to reach the disk; who commits meanwhile goes with the next flush, together."""

    def __init__(self, env: simpy.Environment, flush: float) -> None:
        self._env = env
        self._flush = flush
        self._begins = self._ends = -1.0

    def delay(self) -> float:
        """Seconds until what is committed now is on the disk."""
        now = self._env.now
        if now > self._begins:
            self._begins = max(now, self._ends)
            self._ends = self._begins + self._flush
        return self._ends - now


class Database(Protocol):
    """What a worker asks of a database."""

    commits: int

    def write(self, seconds: float, python: Server) -> Process:
        """A transaction that needs so many seconds in the database, of a worker whose Python this is."""

    def read(self, seconds: float) -> Process:
        """A look."""

    def shares(self, elapsed: float) -> dict[str, float]:
        """How busy its parts were."""


class Sqlite:
    """One writer at a time; the transaction is worked on in the worker's own process."""

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._lock = Server(env)
        self.commits = 0

    def write(self, seconds: float, python: Server) -> Process:
        """Wait for the turn, and for the worker's Python."""
        yield self._env.timeout(max(self._lock.delay(seconds), python.delay(seconds)))
        self.commits += 1

    def read(self, seconds: float) -> Process:
        """Readers and the writer do not wait for one another."""
        yield self._env.timeout(seconds)

    def shares(self, elapsed: float) -> dict[str, float]:
        """The writers' turn; there are no connections to run out of."""
        return {"database": self._lock.share(elapsed), "connections": 0.0}


class Postgresql:
    """`cores` that work beside each other, at most `connections` transactions at once, commits that share a flush."""

    def __init__(self, env: simpy.Environment, costs: DatabaseCosts, *, cores: int, connections: int) -> None:
        self._env = env
        self._cores = Server(env, cores)
        self._disk = Disk(env, costs.flush.seconds())
        self._pool = simpy.Resource(env, connections)
        self._python = costs.python
        self._held_s = 0.0
        self.commits = 0

    def write(self, seconds: float, python: Server) -> Process:
        """A connection is held from the first statement until the commit is on the disk."""
        with self._pool.request() as connection:
            yield connection
            began = self._env.now
            yield self._env.timeout(python.delay(seconds * self._python))
            yield self._env.timeout(self._cores.delay(seconds))
            yield self._env.timeout(self._disk.delay())
            self._held_s += self._env.now - began
        self.commits += 1

    def read(self, seconds: float) -> Process:
        """Looks need its cores as well."""
        yield self._env.timeout(self._cores.delay(seconds))

    def shares(self, elapsed: float) -> dict[str, float]:
        """Its cores, and its connections."""
        held = self._held_s / (elapsed * self._pool.capacity)
        return {"database": self._cores.share(elapsed), "connections": min(1.0, held)}
