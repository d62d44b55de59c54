"""What may be done to a run, and when: pause, resume, cancel, retry. The rules of command line and dashboard.

Each decides and acts in one transaction, by what is so then and not by what was shown: the run may have finished
between two clicks. A run that is finished is not paused, resumed or cancelled. Who rings the bell for a run that goes
on is not known here: `workers/desk.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from videval.asking import one_key
from videval.db import plans, snapshots, states
from videval.db import runs as rows
from videval.db.plans import RequestPlan
from videval.db.records import RunInfo
from videval.db.session import Connection, Database
from videval.db.usage import Usage, set_limits, usage_of_runs
from videval.errors import ErrorKind, UsageError
from videval.types import RunState
from videval.words import plural, price

__all__ = ["Changed", "cancel", "pause", "resume", "retry"]

CHUNK = 1000
"""Questions of a statement."""
ALONE = "videval retry RUN --unanswered"


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed:
    """What became of a run: `said` for people, `is_changed` if anything did, `goes_on` if it is to be rung for."""

    said: str
    is_changed: bool = True
    goes_on: bool = False


def pause(database: Database, run: RunInfo) -> Changed:
    """Stop handing out a run's requests. UsageError if it is cancelled or still being written."""
    return database.write(_pause, run)


def resume(
    database: Database, run: RunInfo, *, max_cost: float | None = None, max_tokens: int | None = None
) -> Changed:
    """Go on with a paused run, which may cost so much and take so many tokens from now on, if that is said.

    UsageError if it is cancelled or still being written, or for a limit where nobody counts.
    """
    if max_tokens is not None and not run.endpoint:
        raise UsageError(f"{run.name} is of no model at an endpoint: nobody counts against --max-tokens-total")
    if max_cost is not None and not run.currency:
        raise UsageError(
            f"{run.name} has no prices: nobody counts against --max-cost", hint="--max-tokens-total counts tokens"
        )
    return database.write(_resume, run, max_cost, max_tokens)


def cancel(database: Database, run: RunInfo) -> Changed:
    """Give up what a run has not answered yet; its answers stay."""
    return database.write(_cancel, run)


def retry(
    database: Database,
    run: RunInfo,
    *,
    kinds: Sequence[str] = (),
    indexes: Sequence[str] = (),
    unanswered: bool = False,
) -> Changed:
    """Ask what failed (and what was cancelled) again, with no strikes; only failures of these kinds and samples, if
    some are named. A cancelled run becomes active, a paused one stays paused.

    `unanswered`: instead, ask alone what a pack's answer did not hold. UsageError for a kind that does not exist, a
    sample that the run does not have, or both ways at once.
    """
    if unanswered and (kinds or indexes):
        raise UsageError("what a pack left unanswered has no kind of failure and is asked as a whole", hint=ALONE)
    if unanswered:
        return database.write(_ask_alone, run)
    return database.write(_retry, run, [_kind(name) for name in kinds if name], indexes)


def _pause(connection: Connection, run: RunInfo) -> Changed:
    state = _open_state(connection, run)
    if states.is_finished(connection, run.run_id):
        return _left_alone(f"{run.name} is finished: nothing to pause")
    if state == RunState.PAUSED:
        return _left_alone(f"{run.name} is paused already")
    rows.set_state(connection, run.run_id, RunState.PAUSED)
    return Changed(said=f"{run.name} paused; what is being generated is finished")


def _resume(connection: Connection, run: RunInfo, max_cost: float | None, max_tokens: int | None) -> Changed:
    state = _open_state(connection, run)
    still = _still_limited(connection, run, {"--max-cost": max_cost, "--max-tokens-total": max_tokens})
    set_limits(connection, run.run_id, max_cost=max_cost, max_tokens=max_tokens)
    if state == RunState.PAUSED:
        rows.set_state(connection, run.run_id, RunState.ACTIVE)
    if states.is_finished(connection, run.run_id):  # its last answers came while it was paused
        return Changed(said=f"{run.name} is finished: nothing to resume", is_changed=state == RunState.PAUSED)
    if state == RunState.ACTIVE and (max_cost, max_tokens) != (None, None):
        return Changed(said=f"{run.name} was not paused; its limit is set")
    if state == RunState.ACTIVE:
        return _left_alone(f"{run.name} is not paused")
    return Changed(said=f"{run.name} goes on{still or _used_up(connection, run)}", goes_on=True)


def _still_limited(connection: Connection, run: RunInfo, given: Mapping[str, float | None]) -> str:
    """Why a run was halted, if that was a limit that is not given anew; else empty."""
    why = rows.get_run(connection, run.run_id).halted or ""
    limit = next((name for name in given if why.startswith(name)), None)
    return f", but its limit stands: {why}" if limit and given[limit] is None else ""


def _used_up(connection: Connection, run: RunInfo) -> str:
    """Which limit of a run its answers have reached, and what raises it; empty if none."""
    found = rows.get_run(connection, run.run_id)
    usage = usage_of_runs(connection, [run.run_id]).get(run.run_id, Usage())
    tokens, cost = usage.prompt + usage.new, usage.cost or 0.0
    if found.max_tokens is not None and tokens >= found.max_tokens:
        right = f"videval resume {run.name} --max-tokens-total {2 * tokens}"
        return f", but {tokens:,} tokens of --max-tokens-total {found.max_tokens} are used -> {right}"
    if found.max_cost is not None and cost >= found.max_cost:
        right = f"videval resume {run.name} --max-cost {price(2 * cost).replace(',', '')}"
        return f", but {price(cost, run.currency)} of --max-cost {price(found.max_cost)} is spent -> {right}"
    return ""


def _cancel(connection: Connection, run: RunInfo) -> Changed:
    state = states.lock_state(connection, run.run_id)
    if state == RunState.CANCELLED:
        return _left_alone(f"{run.name} is cancelled already")
    if states.is_finished(connection, run.run_id):
        return _left_alone(f"{run.name} is finished: nothing to cancel")
    count = rows.cancel(connection, run.run_id)
    return Changed(said=f"{run.name} cancelled: {plural(count, 'request')} will not be answered")


def _kind(name: str) -> ErrorKind:
    if name not in list(ErrorKind):
        raise UsageError(f"{name!r} is not a kind of failure", hint=f"one of {', '.join(ErrorKind)}")
    return ErrorKind(name)


def _retry(connection: Connection, run: RunInfo, kinds: Sequence[ErrorKind], indexes: Sequence[str]) -> Changed:
    known = snapshots.known_samples(connection, run.snapshot_id, indexes)
    if unknown := [repr(i) for i in indexes if i not in known]:
        raise UsageError(f"{run.name} has no sample {', '.join(unknown)}", hint=f"videval errors {run.name}")
    states.lock_state(connection, run.run_id)
    count = plans.retry(connection, run.run_id, kinds=kinds, indexes=indexes)
    of_kind = f" of kind {' or '.join(kinds)}" if kinds else ""
    of_samples = f" of sample{'s' * (len(indexes) > 1)} {', '.join(indexes)}" if indexes else ""
    return _tried_again(connection, run, count, f"no request{of_samples} failed{of_kind}")


def _ask_alone(connection: Connection, run: RunInfo) -> Changed:
    """Each question that a pack's answer did not hold, in a request of its own."""
    state, count = states.lock_state(connection, run.run_id), 0
    found = plans.unanswered_samples(connection, run.run_id)
    for alone in _alone(found):
        count += plans.reopen(connection, run.run_id, [plan.key for plan in alone])
        count += plans.add_requests(connection, run.run_id, alone)
    if count and state == RunState.CANCELLED:
        rows.set_state(connection, run.run_id, RunState.ACTIVE)
    why_nothing = "all that packs left is being asked" if found else "no pack left a question without an answer"
    return _tried_again(connection, run, count, why_nothing)


def _alone(found: Sequence[tuple[int, str, str]]) -> Iterator[list[RequestPlan]]:
    """A request for each (row id, sample id, video), some at a time."""
    for start in range(0, len(found), CHUNK):
        yield [
            RequestPlan(key=one_key(key), position=start + i, video=video, sample_row_ids=(row_id,))
            for i, (row_id, key, video) in enumerate(found[start : start + CHUNK])
        ]


def _tried_again(connection: Connection, run: RunInfo, count: int, why_nothing: str) -> Changed:
    """What came of a retry: a paused run's requests wait with it."""
    if not count:
        return _left_alone(f"{run.name}: nothing to try again, {why_nothing}")
    goes_on = states.lock_state(connection, run.run_id) == RunState.ACTIVE
    later = "" if goes_on else f", once it goes on: videval resume {run.name}"
    return Changed(said=f"{run.name}: {plural(count, 'request')} will be tried again{later}", goes_on=goes_on)


def _left_alone(said: str) -> Changed:
    return Changed(said=said, is_changed=False)


def _open_state(connection: Connection, run: RunInfo) -> RunState:
    """The state of a run that can be paused and resumed, which nobody else changes until this transaction ends."""
    state = states.lock_state(connection, run.run_id)
    if state == RunState.CANCELLED:
        again = f"videval retry {run.name}   (or the same enqueue again)"
        raise UsageError(f"{run.name} is cancelled", hint=again)
    if state == RunState.CREATING:
        raise UsageError(f"{run.name} is still being written", hint="if that was cut off: the same enqueue again")
    return state
