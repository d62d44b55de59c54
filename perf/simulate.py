"""What becomes of a fleet that is larger than any we can measure: makespan, and what is full first, by simulation.

    python -m perf.simulate --workers 1000 --questions 100000
    python -m perf.simulate --workers 8 100 1000 --questions 100000 --database postgresql

Costs are those of `perf/costs.py`, each with where it was measured; `perf/scale.md` says what follows. The answers'
times are the heavy tail of `perf/makespan.py` around `--median-ms`. The same command prints the same table.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from perf.costs import DATABASES
from perf.simulated import Fleet
from perf.work import Plan, default

__all__ = ["Outcome", "lines", "outcome"]

HEAD = "workers | database | questions | makespan, s | over ideal | tail, s | requests/s | commits/s | decodes"
PARTS = ("devices", "database", "connections", "decoders", "Redis", "Python")


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a simulated run gave: seconds from the first claim to the last answer, those of the answers by the workers,
    those between the first worker's last answer and the last one. `decodes`: how often a clip was decoded; `shares`:
    how busy each part was.
    """

    makespan_s: float
    ideal_s: float
    tail_s: float
    commits: int
    decodes: float
    shares: dict[str, float]

    @property
    def fullest(self) -> str:
        """The part that was busiest."""
        return max(self.shares, key=lambda part: self.shares[part])


def outcome(fleet: Fleet) -> Outcome:
    """Run a fleet, and say how it went."""
    fleet.run()
    plan, now, workers = fleet.plan, fleet.env.now, fleet.workers
    makespan = now - (fleet.first_claim or 0.0)
    ends = [worker.last_answer for worker in workers if worker.last_answer]
    shares = {
        "devices": sum(w.device_s for w in workers) / (makespan * plan.workers * plan.slots),
        **fleet.database.shares(now),
        "decoders": sum(w.decoder.share(now) for w in workers) / plan.workers,
        "Redis": fleet.redis.share(now),
        "Python": sum(w.python.share(now) for w in workers) / plan.workers,
    }
    return Outcome(
        makespan_s=makespan,
        ideal_s=sum(fleet.latencies) / (plan.workers * plan.slots),
        tail_s=max(ends) - min(ends),
        commits=fleet.database.commits,
        decodes=len(fleet.decoded) / -(-plan.questions // plan.each),
        shares=shares,
    )


def _row(plan: Plan) -> str:
    found = outcome(Fleet.of(plan))
    per_s, commits = plan.questions / found.makespan_s, found.commits / found.makespan_s
    over = found.makespan_s / found.ideal_s if found.ideal_s else float("inf")
    cells = [f"{plan.workers:,}", plan.database, f"{plan.questions:,}", f"{found.makespan_s:.1f}", f"{over:.2f}"]
    cells += [f"{found.tail_s:.1f}", f"{per_s:.0f}", f"{commits:.0f}", f"{found.decodes:.1f}"]
    cells += [f"{found.shares[part]:.2f}" for part in PARTS]
    return f"| {' | '.join([*cells, found.fullest])} |"


def _plans(words: Sequence[str] | None) -> list[Plan]:
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asked.add_argument("--workers", type=int, nargs="+", default=[8, 100, 1000])
    asked.add_argument("--questions", type=int, default=100_000)
    asked.add_argument("--database", choices=[*DATABASES], nargs="+", default=["sqlite"])
    asked.add_argument("--median-ms", type=float, default=1000.0, help="of the answers' times")
    asked.add_argument("--each", type=int, default=4, help="questions about a clip")
    asked.add_argument("--decode-ms", type=float, default=778.0, help="of a cold clip: 720p, 10 s, 8 frames")
    asked.add_argument("--slots", type=int, default=1, help="requests generated at once by a worker")
    asked.add_argument("--cores", type=int, default=8, help="of PostgreSQL's machine")
    asked.add_argument("--connections", type=int, default=100, help="of PostgreSQL, or of the pgbouncer before it")
    asked.add_argument("--dispatch", type=float, default=default("dispatch"), help="VIDEVAL_DISPATCH")
    asked.add_argument("--look-ahead", type=int, help="VIDEVAL_LOOK_AHEAD; else as the model wants")
    asked.add_argument("--clustered", action="store_true", help="long answers are the first ones about their clips")
    asked.add_argument("--seed", type=int, default=1)
    given = vars(asked.parse_args(words))
    sizes, databases = given.pop("workers"), given.pop("database")
    return [Plan(workers=size, database=database, **given) for database in databases for size in sizes]


def lines(words: Sequence[str] | None = None) -> list[str]:
    """The table that a command line asks for."""
    head = f"| {HEAD} | {' | '.join(PARTS)} | fullest |"
    return [head, "|" + "---|" * (head.count("|") - 1), *(_row(plan) for plan in _plans(words))]


if __name__ == "__main__":
    print("\n".join(lines()))
