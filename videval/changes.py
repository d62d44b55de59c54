"""What may be done to a run, and when: pause, resume, cancel. The rules of the command line and of the dashboard.

Each decides and acts in one transaction, by what is so then and not by what was shown: the run may have finished
between two clicks. A run that is finished is left alone. Who rings the bell for a run that goes on is not known here.
"""

from dataclasses import dataclass

from videval.db import runs as rows
from videval.db import states
from videval.db.records import RunInfo
from videval.db.session import Connection, Database
from videval.errors import UsageError
from videval.types import RunState

__all__ = ["Changed", "cancel", "pause", "resume"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed:
    """What became of a run: `said` for people, `is_changed` if anything did, `goes_on` if it is to be rung for."""

    said: str
    is_changed: bool = True
    goes_on: bool = False


def pause(database: Database, run: RunInfo) -> Changed:
    """Stop handing out a run's requests. UsageError if it is cancelled or still being written."""
    return database.write(lambda c: _pause(c, run))


def resume(database: Database, run: RunInfo) -> Changed:
    """Go on with a paused run. UsageError if it is cancelled or still being written."""
    return database.write(lambda c: _resume(c, run))


def cancel(database: Database, run: RunInfo) -> Changed:
    """Give up what a run has not answered yet; its answers stay."""
    return database.write(lambda c: _cancel(c, run))


def _pause(connection: Connection, run: RunInfo) -> Changed:
    state = _open_state(connection, run)
    if states.is_finished(connection, run.run_id):
        return _left_alone(f"{run.name} is finished: nothing to pause")
    if state == RunState.PAUSED:
        return _left_alone(f"{run.name} is paused already")
    rows.set_state(connection, run.run_id, RunState.PAUSED)
    return Changed(said=f"{run.name} paused; what is being generated is finished")


def _resume(connection: Connection, run: RunInfo) -> Changed:
    state = _open_state(connection, run)
    if state == RunState.PAUSED:
        rows.set_state(connection, run.run_id, RunState.ACTIVE)
    if states.is_finished(connection, run.run_id):  # its last answers came while it was paused
        return Changed(said=f"{run.name} is finished: nothing to resume", is_changed=state == RunState.PAUSED)
    if state == RunState.ACTIVE:
        return _left_alone(f"{run.name} is not paused")
    return Changed(said=f"{run.name} goes on", goes_on=True)


def _cancel(connection: Connection, run: RunInfo) -> Changed:
    state = states.lock_state(connection, run.run_id)
    if state == RunState.CANCELLED:
        return _left_alone(f"{run.name} is cancelled already")
    if states.is_finished(connection, run.run_id):
        return _left_alone(f"{run.name} is finished: nothing to cancel")
    count = rows.cancel(connection, run.run_id)
    plural = "request" if count == 1 else "requests"
    return Changed(said=f"{run.name} cancelled: {count} {plural} will not be answered")


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
