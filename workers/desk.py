"""What people ask of a run, done and rung for: the one desk of the command line and of the dashboard.

The rules are those of `videval/runs.py` and `videval/changes.py`. The rows come first; where the broker is away they
stand all the same, and the reconcile loop of any worker rings for them later.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from videval import changes, runs
from videval.changes import Changed
from videval.db import queue
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.errors import BrokerUnavailable
from videval.order import Order
from videval.runs import Enqueued
from videval.settings import Settings
from videval.words import plural

__all__ = ["Done", "Placed", "cancel", "enqueue", "pause", "resume", "retry"]

Busy = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""Shows that something goes on: takes what it is, and is told how much is done, and of how much (0: not known)."""


@contextmanager
def _unseen(what: str) -> Iterator[Callable[[int, int], None]]:
    yield lambda done, total: None


@dataclass(frozen=True, kw_only=True, slots=True)
class Rung:
    """How many messages were sent; `away`: why not all of them, None if they were."""

    sent: int = 0
    away: BrokerUnavailable | None = None

    @property
    def said(self) -> str:
        """What is to be said of a broker that is away; else empty."""
        if self.away is None:
            return ""
        return f"the rows stand, but the broker is away ({self.away}); any worker sends the messages when it is back"


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What became of a run, for people; `is_changed` if anything did."""

    said: str
    is_changed: bool
    rung: Rung


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """An order whose rows are written: what was done, what is left out, what was rung for."""

    enqueued: Enqueued
    remarks: tuple[str, ...]
    rung: Rung

    @property
    def run(self) -> RunInfo:
        """The run."""
        return self.enqueued.run

    @property
    def said(self) -> str:
        """What was done, in a sentence."""
        verb = "new run" if self.enqueued.created else "goes on with run"
        return f"{verb} {self.run.name}: {plural(self.enqueued.added, 'request')} added"


def enqueue(settings: Settings, database: Database, order: Order, *, new: bool = False, busy: Busy = _unseen) -> Placed:
    """Write the rows of an order and ring for them; raises as `runs.enqueue` does, before any row is written."""
    with busy("writing requests") as tell:
        done = runs.enqueue(database, order, new=new, on_progress=tell)
    rung = _ring(settings, database, done.run, busy)
    return Placed(enqueued=done, remarks=tuple(_remarks(done)), rung=rung)


def _remarks(done: Enqueued) -> Iterator[str]:
    run = done.run
    yield from done.remarks
    if run.missing:
        yield f"{plural(len(run.missing), 'question')} left out, since their videos are missing; coverage will say so"


def pause(settings: Settings, database: Database, run: RunInfo) -> Done:
    """Hand out no more of a run's requests; UsageError if it is cancelled or still being written."""
    return _rung_for(settings, database, run, changes.pause(database, run))


def resume(
    settings: Settings,
    database: Database,
    run: RunInfo,
    *,
    max_cost: float | None = None,
    max_tokens: int | None = None,
    busy: Busy = _unseen,
) -> Done:
    """Go on with a paused run, with other limits if some are given; refused as `changes.resume` says."""
    changed = changes.resume(database, run, max_cost=max_cost, max_tokens=max_tokens)
    return _rung_for(settings, database, run, changed, busy)


def cancel(settings: Settings, database: Database, run: RunInfo) -> Done:
    """Give up what a run has not answered yet; its answers stay."""
    return _rung_for(settings, database, run, changes.cancel(database, run))


def retry(
    settings: Settings,
    database: Database,
    run: RunInfo,
    *,
    kinds: Sequence[str] = (),
    indexes: Sequence[str] = (),
    unanswered: bool = False,
    busy: Busy = _unseen,
) -> Done:
    """Ask what failed again; narrowed and refused as `changes.retry` says."""
    changed = changes.retry(database, run, kinds=kinds, indexes=indexes, unanswered=unanswered)
    return _rung_for(settings, database, run, changed, busy)


def _rung_for(settings: Settings, database: Database, run: RunInfo, changed: Changed, busy: Busy = _unseen) -> Done:
    rung = _ring(settings, database, run, busy) if changed.goes_on else Rung()
    return Done(said=changed.said, is_changed=changed.is_changed, rung=rung)


def _ring(settings: Settings, database: Database, run: RunInfo, busy: Busy) -> Rung:
    """Send a message for each request of a run that nobody rang for yet, as far as the broker takes them; where there
    is none, no broker is needed."""
    from workers.broker import using  # what this imports takes a while, in which idle workers see the rows
    from workers.publish import publish_run

    sent = 0
    with database.read() as connection:
        if not queue.pending_of_run(connection, run.run_id, after=0, limit=1):
            return Rung()
    try:
        with using(settings), busy("sending messages") as tell:
            for sent in publish_run(settings, database, run.run_id):
                tell(sent, 0)
    except BrokerUnavailable as error:
        return Rung(sent=sent, away=error)
    return Rung(sent=sent)
