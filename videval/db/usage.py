"""What the answers of a run took and cost, as sums that are kept: no look at them reads an answer; and what it may
take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, update

from videval.db import sums
from videval.db.identity import known_id
from videval.db.records import RunConfig
from videval.db.tables import RunRow
from videval.types import Allowance, Generation

__all__ = ["Usage", "allowance_of", "cost_of_endpoint", "count_usage", "set_limits", "usage_of_runs"]

_PREFIX = "usage:"


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Tokens that answers took, and what they cost; those that were asked again since are in it, as they were paid.

    `told`: the prompt tokens of the answers that say how many of theirs were not computed again, which are `cached`;
    `reasoning`: of the new ones, those of thinking; `cost` in the currency of the endpoint's prices (None: no answer
    has a price), of `priced` answers.
    """

    prompt: int = 0
    new: int = 0
    told: int = 0
    cached: int = 0
    reasoning: int = 0
    priced: int = 0
    cost: float | None = None

    @property
    def reused(self) -> float | None:
        """The share of the prompts that was not computed again; None where nobody says."""
        return self.cached / self.told if self.told else None


def count_usage(connection: Connection, run_id: int, generation: Generation) -> None:
    """Add what an answer took to the sums of its run."""
    says_cached = generation.cached_tokens is not None
    amounts = {
        "prompt": generation.prompt_tokens,
        "new": generation.new_tokens,
        "told": generation.prompt_tokens if says_cached else None,
        "cached": generation.cached_tokens,
        "reasoning": generation.reasoning_tokens,
        "priced": 1 if generation.cost is not None else None,
        "cost": generation.cost,
    }
    sums.add(connection, [(run_id, f"{_PREFIX}{name}", amount or 0) for name, amount in amounts.items()])


def usage_of_runs(connection: Connection, run_ids: Sequence[int] | None = None) -> dict[int, Usage]:
    """What the answers of runs took by run id; of all runs if `run_ids` is None, without those that took nothing."""
    return {run_id: _usage(found) for run_id, found in sums.of_runs(connection, run_ids, prefix=_PREFIX).items()}


def cost_of_endpoint(connection: Connection, name: str) -> float | None:
    """What all answers of an endpoint cost that are stored; None if none has a price. A load key names its endpoint."""
    its_part = f":endpoint={name}+"
    there = func.replace(RunRow.load_key, its_part, "") != RunRow.load_key  # LIKE of SQLite takes Lab for lab
    run_ids = connection.execute(select(RunRow.id).where(there)).scalars().all()
    costs = [usage.cost for usage in usage_of_runs(connection, run_ids).values() if usage.cost is not None]
    return sum(costs) if costs else None


def allowance_of(connection: Connection, run: RunConfig) -> Allowance | None:
    """What a run may take and has taken; None if it may take as much as it likes."""
    limits = select(RunRow.max_tokens, RunRow.max_cost, RunRow.created_at).where(RunRow.id == run.run_id)
    max_tokens, max_cost, created_at = connection.execute(limits).one()
    if max_tokens is None and max_cost is None:
        return None
    took = usage_of_runs(connection, [run.run_id]).get(run.run_id, Usage())
    tokens, cost = took.prompt + took.new, took.cost or 0.0
    key = f"{known_id(connection)}.{run.run_id}.{created_at:.6f}"  # ids may be given again when a run is deleted
    return Allowance(run=run.name, key=key, max_tokens=max_tokens, max_cost=max_cost, tokens=tokens, cost=cost)


def set_limits(connection: Connection, run_id: int, *, max_tokens: int | None, max_cost: float | None) -> None:
    """Say what a run may take in all; None leaves a limit as it is."""
    values = {name: value for name, value in (("max_tokens", max_tokens), ("max_cost", max_cost)) if value is not None}
    if values:
        connection.execute(update(RunRow).where(RunRow.id == run_id).values(values))


def _usage(amounts: Mapping[str, float]) -> Usage:
    found = {name.removeprefix(_PREFIX): amount for name, amount in amounts.items()}
    cost = found.pop("cost", 0.0)
    counts = {name: round(amount) for name, amount in found.items()}
    return Usage(**counts, cost=cost if counts.get("priced") else None)
