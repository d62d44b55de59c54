"""A fleet as a simulation: workers that claim, decode ahead, generate, store and give back, as videval's do.

The look-ahead, what is given back at the tail and how often a crowd looks are videval's own code and numbers; the fair
share is the rule of `Claimer` in `workers/claiming.py`, whole clips that of `workers/hand.py`, who takes which that of
`take` in `videval/db/claims.py`.
"""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import simpy

from perf.costs import COMMON, DATABASES, Common, DatabaseCosts
from perf.servers import Database, Postgresql, Process, Server, Sqlite
from perf.work import Held, Plan, Work, default
from workers.dispatch import NEAR_THE_END
from workers.look_ahead import LookAhead
from workers.loops import CROWD
from workers.shares import surplus
from workers.tail import FEWEST, PAUSE

__all__ = ["Fleet"]

PER_MACHINE = 8


@dataclass(kw_only=True)
class Fleet:
    """All that the workers share. `idle`: who waits for a bell, longest first. `decoded`: by machine and clip, when
    it is in the cache."""

    plan: Plan
    costs: DatabaseCosts
    common: Common = COMMON
    env: simpy.Environment = field(default_factory=simpy.Environment)
    idle: "dict[Worker, None]" = field(default_factory=dict)
    decoded: dict[tuple[int, int], simpy.Event] = field(default_factory=dict)
    first_claim: float | None = None

    def __post_init__(self) -> None:
        plan, self.rng = self.plan, random.Random(self.plan.seed)
        self.latencies = plan.latencies()
        self.work = Work(plan.questions, plan.each, self.rng)
        self.redis = Server(self.env)
        self.database: Database = Sqlite(self.env)
        if not self.costs.one_writer:
            self.database = Postgresql(self.env, self.costs, cores=plan.cores, connections=plan.connections)
        self.workers = [Worker(self, number) for number in range(plan.workers)]
        self.over = self.env.event()

    @classmethod
    def of(cls, plan: Plan) -> "Fleet":
        """A fleet at the measured costs."""
        return cls(plan=plan, costs=DATABASES[plan.database])

    def run(self) -> None:
        """Until the last answer is stored."""
        for worker in self.workers:
            worker.start()
        self.env.process(self._reconcile())
        self.env.run(self.over)

    def ring(self, bells: int) -> None:
        """Wake as many idle workers."""
        for worker in list(self.idle)[:bells]:
            worker.wake()

    def _reconcile(self) -> Process:
        """The elected one, those that look whether it is alive, and one of each machine."""
        size = self.plan.workers
        others = min(size, CROWD) - 1 + size // PER_MACHINE
        python = Server(self.env)
        while True:
            yield self.env.timeout(default("reconcile"))
            self.env.process(self.database.write(self.costs.elected.seconds(size), python))
            self.env.process(self.database.read(others * self.costs.other.seconds()))


class Worker:
    """One worker: its places, its one writer, its one decoder, its device."""

    def __init__(self, fleet: Fleet, number: int) -> None:
        self.fleet, self.env, self.name = fleet, fleet.env, f"w{number:05d}"
        self.python, self.decoder = Server(fleet.env), Server(fleet.env)
        self.device_s, self.last_answer = 0.0, 0.0
        self.held: dict[Held, None] = {}
        self._machine = number // PER_MACHINE
        fixed = fleet.plan.look_ahead
        self._ahead = LookAhead(default("look_ahead") if fixed is None else fixed, fixed=fixed is not None)
        self._ready: deque[Held] = deque()
        self._line: list[tuple[float, Callable[[], Any], simpy.Event]] = []
        self._bell, self._filled, self._written = (fleet.env.event() for _ in range(3))
        self._give_next = 0.0
        self._clip: int | None = None
        self._has_siblings = False

    def start(self) -> None:
        """Begin with all that it does."""
        loops = [self._consume(), self._write(), self._beat(), self._look()]
        for loop in loops + [self._generate() for _ in range(self.fleet.plan.slots)]:
            self.env.process(loop)

    def wake(self) -> None:
        """A place is free, or a bell rang."""
        self.fleet.idle.pop(self, None)
        if not self._bell.triggered:
            self._bell.succeed()

    # claiming

    @property
    def _places(self) -> int:
        slots = self.fleet.plan.slots
        return slots + self._ahead.ahead(slots)

    @property
    def _free(self) -> int:
        return self._places - len(self.held)

    def _consume(self) -> Process:
        fleet = self.fleet
        while True:
            if self._free <= 0 or not fleet.work.waiting:
                if self._free > 0:
                    fleet.idle[self] = None
                self._bell = self.env.event()
                yield self._bell
                continue
            began = self.env.now
            yield self.env.timeout(fleet.redis.delay(fleet.common.redis.seconds()))
            yield self._put(fleet.costs.claim.seconds(), lambda: self._claimed(began))  # noqa: B023 - waited for here

    def _claimed(self, began: float) -> None:
        fleet = self.fleet
        if fleet.first_claim is None:
            fleet.first_claim = began
        most = self._fair(max(1, self._free, self._places if self._has_siblings else 0))
        taken = fleet.work.claim(most, self._clip)
        if taken:
            self._has_siblings = len(taken) > 1
            self._clip = fleet.work.clip(taken[0]) if len(taken) == most else None
        for request in taken:
            held = Held(request=request, since=began)
            self.held[held] = None
            self.env.process(self._get(held))

    def _fair(self, most: int) -> int:
        """As `Claimer`: of what waits, its share at most."""
        neighbours = self.fleet.plan.workers
        waiting = min(self.fleet.work.waiting, most * neighbours)
        return most if neighbours == 1 else max(1, min(most, -(-waiting // neighbours)))

    # from claim to answer

    def _get(self, held: Held) -> Process:
        yield self.env.timeout(self.python.delay(self.fleet.costs.outside.seconds() / 2))
        yield from self._frames(self.fleet.work.clip(held.request))
        held.got = self.env.now - held.since
        if not held.given:
            self._ready.append(held)
            if not self._filled.triggered:
                self._filled.succeed()

    def _frames(self, clip: int) -> Process:
        """Decode once on each machine; whoever comes meanwhile waits for it."""
        fleet, key = self.fleet, (self._machine, clip)
        if key not in fleet.decoded:
            fleet.decoded[key] = self.env.timeout(self.decoder.delay(fleet.plan.decode_ms / 1000))
        if not fleet.decoded[key].processed:
            yield fleet.decoded[key]
        yield self.env.timeout(fleet.common.warm.seconds())

    def _generate(self) -> Process:
        while True:
            while not self._ready:
                self._filled = self.env.event() if self._filled.triggered else self._filled
                yield self._filled
            held = self._ready.popleft()
            if held.given:
                continue
            held.begun, seconds = True, self.fleet.latencies[held.request]
            yield self.env.timeout(seconds + self.fleet.common.gap.seconds())
            self.device_s += seconds
            self.env.process(self._store(held, seconds))

    def _store(self, held: Held, seconds: float) -> Process:
        costs, work = self.fleet.costs, self.fleet.work
        yield self.env.timeout(self.python.delay(costs.outside.seconds() / 2))
        yield self._put(costs.answer.seconds() + costs.notes.seconds(), lambda: work.answer(held.request))
        self._ahead.answered(get=held.got, generate=seconds)
        del self.held[held]
        self.last_answer = self.env.now
        if work.is_over:
            self.fleet.over.succeed()
        self.wake()

    # writing

    def _put(self, seconds: float, effect: Callable[[], Any]) -> simpy.Event:
        """Stand in the writer's line; what comes of it happens when it is committed."""
        done = self.env.event()
        self._line.append((seconds, effect, done))
        if not self._written.triggered:
            self._written.succeed()
        return done

    def _write(self) -> Process:
        while True:
            if not self._line:
                self._written = self.env.event()
                yield self._written
            entries, self._line = self._line, []
            yield from self.fleet.database.write(sum(seconds for seconds, _, _ in entries), self.python)
            for _, effect, done in entries:
                done.succeed(effect())

    # now and then

    def _beat(self) -> Process:
        every = default("heartbeat")
        yield self.env.timeout(self.fleet.rng.uniform(0, every))
        while True:
            self._put(self.fleet.costs.heartbeat.seconds(), lambda: None)
            yield self.env.timeout(every)

    def _look(self) -> Process:
        """Dispatch: more often when there may be something to give back."""
        fleet, period = self.fleet, self.fleet.plan.dispatch
        size = fleet.plan.workers
        crowd = max(1.0, size / CROWD)
        yield self.env.timeout(fleet.rng.uniform(0, period * crowd))
        while True:
            yield from fleet.database.read(fleet.costs.look.seconds(size))
            few = max(2 * size, min(size * self._places, FEWEST))
            is_near = size > 1 and fleet.work.waiting < few and any(not held.begun for held in self.held)
            if is_near and not fleet.work.waiting and self.env.now >= self._give_next:
                yield from self._share()
            pause = min(period, NEAR_THE_END) if is_near else period
            yield self.env.timeout(pause * crowd * fleet.rng.uniform(0.9, 1.1))

    def _share(self) -> Process:
        """Give back what idle neighbours can begin, the newest first."""
        fleet = self.fleet
        in_hand = {worker.name: len(worker.held) for worker in fleet.workers}
        most = surplus(in_hand, self.name, slots=fleet.plan.slots)
        given = [held for held in reversed(self.held) if not held.begun][:most]
        if not given:
            return
        self._give_next = self.env.now + PAUSE
        for held in given:
            held.given = True
            del self.held[held]
        yield self._put(fleet.costs.answer.seconds(), lambda: fleet.work.give_back([held.request for held in given]))
        fleet.ring(len(given))
