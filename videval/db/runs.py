"""Runs: created, found by name or prefix, counted, paused, cancelled. Their requests are in `videval.db.plans`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, exists, func, insert, literal, select, update

from videval.db import attempts, sums
from videval.db.records import RunInfo, run_info
from videval.db.session import db_now
from videval.db.states import lock_state
from videval.db.tables import AttemptRow, RequestRow, RunRow, SnapshotRow
from videval.plain import plain
from videval.types import (
    Allowance,
    AttemptOutcome,
    FrameSampling,
    GenerationSettings,
    ModelSpec,
    PromptSet,
    RecipeUsed,
    RequestStatus,
    RunState,
)

__all__ = [
    "Counts",
    "NewRun",
    "cancel",
    "counts",
    "counts_of_runs",
    "create_run",
    "failures_by_kind",
    "find_copies",
    "find_run",
    "get_run",
    "halt",
    "list_runs",
    "mend_counts",
    "recount",
    "request_keys",
    "set_imported",
    "set_recipe",
    "set_state",
]

UNFINISHED = (RequestStatus.QUEUED, RequestStatus.RUNNING)


@dataclass(frozen=True, kw_only=True, slots=True)
class NewRun:
    """All that is stored of a run when it is created."""

    name: str
    key: str
    copy: int
    snapshot_id: int
    benchmark: str
    variant: str
    spec: ModelSpec
    load_key: str
    sampling: FrameSampling
    generation: GenerationSettings
    pack: bool
    subtitles: bool
    form: str
    data_root: str
    max_pixels: int | None
    max_attempts: int
    priority: int
    limit: int | None
    missing: tuple[str, ...]
    card: Mapping[str, Any]
    prompts: PromptSet = PromptSet.PAPER
    protocol: int = 1
    recipe: RecipeUsed | None = None
    max_cost: float | None = None
    max_tokens: int | None = None
    race_tail: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """How many requests of a run stand where."""

    queued: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        """All requests of the run."""
        return self.queued + self.running + self.done + self.failed + self.cancelled

    @property
    def waiting(self) -> int:
        """Requests that are still to be answered."""
        return self.queued + self.running

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.waiting == 0 and self.total > 0


def find_copies(connection: Connection, key: str) -> list[RunInfo]:
    """All runs with this run key, oldest first."""
    return [run_info(r) for r in connection.execute(_runs().where(RunRow.key == key).order_by(RunRow.copy))]


def create_run(connection: Connection, new: NewRun) -> int:
    """Insert a run in state `creating`; returns its id."""
    values = {name: getattr(new, name) for name in NewRun.__dataclass_fields__}
    for name in ("spec", "sampling", "generation"):
        values[name] = plain(values[name])
    values |= {
        "recipe": plain(new.recipe) if new.recipe else None,
        "model": new.spec.name,
        "missing": list(new.missing),
        "card": dict(new.card),
    }
    values |= {"state": RunState.CREATING, "created_at": db_now()}
    return connection.execute(insert(RunRow).values(values).returning(RunRow.id)).scalar_one()


def set_recipe(connection: Connection, run_id: int, recipe: RecipeUsed) -> None:
    """Say by which recipe a run is, in place of another one: the same key is the same setting."""
    connection.execute(update(RunRow).where(RunRow.id == run_id).values(recipe=plain(recipe)))


def set_imported(connection: Connection, run_id: int, imported: Mapping[str, Any]) -> None:
    """Say in a run's card which files its answers were read from."""
    card = connection.execute(select(RunRow.card).where(RunRow.id == run_id)).scalar_one()
    connection.execute(update(RunRow).where(RunRow.id == run_id).values(card={**card, "imported": dict(imported)}))


def request_keys(connection: Connection, run_id: int) -> set[str]:
    """The keys of the requests that a run has."""
    return set(connection.execute(select(RequestRow.key).where(RequestRow.run_id == run_id)).scalars())


def _runs() -> Select[Any]:
    return select(*RunRow.__table__.c, SnapshotRow.num_samples, SnapshotRow.columns).join(
        SnapshotRow, SnapshotRow.id == RunRow.snapshot_id
    )


def list_runs(connection: Connection) -> list[RunInfo]:
    """All runs, newest first."""
    return [run_info(row) for row in connection.execute(_runs().order_by(RunRow.id.desc()))]


def get_run(connection: Connection, run_id: int) -> RunInfo:
    """The run with this id, which is there: runs are never deleted."""
    return run_info(connection.execute(_runs().where(RunRow.id == run_id)).one())


def find_run(connection: Connection, name: str) -> list[RunInfo]:
    """The run of this name, else all runs whose name starts with it, newest first."""
    exact = connection.execute(_runs().where(RunRow.name == name)).one_or_none()
    if exact is not None:
        return [run_info(exact)]
    prefix = func.substr(RunRow.name, 1, len(name)) == name
    return [run_info(row) for row in connection.execute(_runs().where(prefix).order_by(RunRow.id.desc()))]


def counts_of_runs(connection: Connection, run_ids: Sequence[int] | None = None) -> dict[int, Counts]:
    """Counts by run id; all runs if `run_ids` is None.

    What is running is counted by an index, what is over is summed, and the rest of the total waits: no look reads more
    rows than there are requests in work.
    """
    running = select(RequestRow.run_id, literal("requests:running"), literal(1.0))
    running = running.where(RequestRow.status == RequestStatus.RUNNING)
    if run_ids is not None:
        running = running.where(RequestRow.run_id.in_(list(run_ids)))
    found = sums.of_runs(connection, run_ids, prefix="requests:", besides=[running])
    return {run_id: _counts(amounts) for run_id, amounts in found.items()}


def _counts(amounts: Mapping[str, float]) -> Counts:
    running, done, failed, cancelled, total = (
        round(amounts.get(f"requests:{name}", 0)) for name in ("running", "done", "failed", "cancelled", "total")
    )
    queued = total - running - done - failed - cancelled
    return Counts(queued=queued, running=running, done=done, failed=failed, cancelled=cancelled)


def counts(connection: Connection, run_id: int) -> Counts:
    """How many requests of one run stand where."""
    return counts_of_runs(connection, [run_id]).get(run_id, Counts())


def recount(connection: Connection, run_id: int) -> bool:
    """Make the sums of a run's requests what its rows say; whether they were not.

    They can only differ where rows were changed by hand or by a worker of an older version.
    """
    lock_state(connection, run_id)
    ended = [RequestStatus.DONE, RequestStatus.FAILED, RequestStatus.CANCELLED]
    total = select(RequestRow.run_id, literal("requests:total"), literal(1.0)).where(RequestRow.run_id == run_id)
    status = select(RequestRow.run_id, literal("requests:") + RequestRow.status, literal(1.0))
    status = status.where(RequestRow.run_id == run_id, RequestRow.status.in_(ended))
    missing = sums.of_run(connection, run_id, prefix="requests:", besides=[total, status], sign=-1)
    sums.add(connection, [(run_id, name, amount) for name, amount in missing.items()])
    return any(missing.values())


def mend_counts(connection: Connection) -> list[int]:
    """Recount the runs of which the sums say that something waits, and no row does; returns their ids."""
    open_ = exists().where(RequestRow.run_id == RunRow.id, RequestRow.status.in_(UNFINISHED))
    over = connection.execute(select(RunRow.id).where(RunRow.state == RunState.ACTIVE, ~open_)).scalars().all()
    wrong = [run_id for run_id, found in counts_of_runs(connection, over).items() if found.waiting]
    return [run_id for run_id in wrong if recount(connection, run_id)]


def failures_by_kind(connection: Connection, run_id: int) -> dict[str, int]:
    """How many requests of a run failed, by the kind of failure."""
    failed = (RequestRow.run_id == run_id) & (RequestRow.status == RequestStatus.FAILED)
    rows = connection.execute(select(RequestRow.error_kind, func.count()).where(failed).group_by(RequestRow.error_kind))
    return {kind or "": n for kind, n in rows}


def halt(connection: Connection, run_id: int, why: str, allowance: Allowance | None = None) -> bool:
    """Pause a run of which nothing can be answered, and say why; False if it is not active any more, or may take
    something else by now than its `allowance` said."""
    is_so = [RunRow.id == run_id, RunRow.state == RunState.ACTIVE]
    if allowance is not None:
        is_so += [RunRow.max_tokens.is_not_distinct_from(allowance.max_tokens)]
        is_so += [RunRow.max_cost.is_not_distinct_from(allowance.max_cost)]
    halted = update(RunRow).where(*is_so).values(state=RunState.PAUSED, halted=why)
    return connection.execute(halted).rowcount == 1


def set_state(connection: Connection, run_id: int, state: RunState) -> None:
    """Set what a run wants; an active one is rung for again at once, and what it was halted for is over."""
    connection.execute(update(RunRow).where(RunRow.id == run_id).values(state=state, halted=None))
    if state == RunState.ACTIVE:
        waiting = (RequestRow.run_id == run_id) & (RequestRow.status == RequestStatus.QUEUED)
        connection.execute(update(RequestRow).where(waiting).values(published_at=None, published=0))


def cancel(connection: Connection, run_id: int) -> int:
    """Cancel a run: what is not finished never will be. Returns how many requests that were."""
    connection.execute(update(RunRow).where(RunRow.id == run_id).values(state=RunState.CANCELLED))
    open_ = RequestRow.status.in_(UNFINISHED)
    result = connection.execute(
        update(RequestRow)
        .where(RequestRow.run_id == run_id, open_)
        .values(status=RequestStatus.CANCELLED, lease_expires_at=None, worker_id=None, finished_at=db_now())
    )
    attempts.count(connection, run_id, {"cancelled": result.rowcount})
    cancelled = (RequestRow.run_id == run_id) & (RequestRow.status == RequestStatus.CANCELLED)
    tried = select(RequestRow.id).where(cancelled, RequestRow.attempt > 0)
    connection.execute(  # only now: also one that was being claimed at this moment is there to be seen
        update(AttemptRow)
        .where(AttemptRow.request_id.in_(tried), AttemptRow.outcome == AttemptOutcome.RUNNING)
        .values(outcome=AttemptOutcome.RELEASED, finished_at=db_now())
    )
    return result.rowcount
