"""Runs: made from a benchmark and a model, gone on with by the same command, found by name. Rows only: who rings the
bell for them is not known here. What else may be done to a run: `changes.py`."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any, TypeVar, TypeVarTuple

from videval.db import answer_times, races, snapshots
from videval.db import plans as plan_rows
from videval.db import runs as rows
from videval.db.records import RunInfo
from videval.db.runs import NewRun
from videval.db.session import Connection, Database
from videval.db.usage import set_limits
from videval.errors import DataMissing, UsageError
from videval.expected import Expectation
from videval.found import find
from videval.order import Order
from videval.plans import Plans, plans
from videval.types import RunState
from videval.words import plural

__all__ = ["Enqueued", "check", "copies_of", "create", "enqueue", "find", "of_key"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
CHUNK = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Enqueued:
    """What `enqueue` did: the run, whether it is new, how many requests were added or reopened, and what is to be said
    of its questions."""

    run: RunInfo
    created: bool
    added: int
    reopened: int
    remarks: tuple[str, ...] = ()


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def enqueue(
    database: Database, order: Order, *, new: bool = False, on_progress: Callable[[int, int], None] | None = None
) -> Enqueued:
    """Make the rows of a run, in chunks; the same order again finds the same run and adds only what it lacks.

    `new` makes another run although one exists. Raises UsageError, DataMissing, DatabaseUnavailable before any row
    is written; when it is cut off later, the same call finishes the work.
    """
    if not new and (run := _as_it_is(database, order)):
        return Enqueued(run=run, created=False, added=0, reopened=0, remarks=_remarks_of(run))
    missing = check(order)
    digest = order.content.digest
    snapshot_id = _store_snapshot(database, order)
    copies = _read(database, rows.find_copies, order.run_key(digest))
    created = new or not copies
    if created:
        run_id = database.write(_create, order, _new_run(order, len(copies), snapshot_id, missing))
    else:
        run_id, snapshot_id = copies[-1].run_id, copies[-1].snapshot_id
        if order.recipe and copies[-1].recipe != order.recipe:
            database.write(rows.set_recipe, run_id, order.recipe)
        if order.max_tokens is not None or order.max_cost is not None:
            database.write(partial(set_limits, max_tokens=order.max_tokens, max_cost=order.max_cost), run_id)
        if order.races:
            database.write(races.allow, run_id)
    asked, added = _plans(database, order, run_id, snapshot_id, missing), 0
    for chunk in _chunks(asked):
        added += database.write(plan_rows.add_requests, run_id, chunk)
        if on_progress:
            on_progress(added, len(asked))
    reopened = database.write(_activate, run_id)
    run = _read(database, rows.get_run, run_id)
    remarks = _remarks_of(run) if created else tuple(order.remarks())
    return Enqueued(run=run, created=created, added=added, reopened=reopened, remarks=remarks)


def _remarks_of(run: RunInfo) -> tuple[str, ...]:
    """What was to be said of a run's questions when it was made."""
    return tuple(run.card["benchmark"].get("remarks", ()))  # runs of 0.1.0 have none


def _as_it_is(database: Database, order: Order) -> RunInfo | None:
    """The run of an order whose questions are remembered, if it is known without looking at these that it lacks none of
    them."""
    limits = (order.max_cost, order.max_tokens)
    if order.remembered is None or limits != (None, None) or order.races or order.missing_files():
        return None
    run = next(reversed(copies_of(database, order)), None)
    if run is None or run.state != RunState.ACTIVE or run.missing or run.limit is not None or run.is_imported:
        return None
    return run if order.recipe in (None, run.recipe) else None


def copies_of(database: Database, order: Order) -> list[RunInfo]:
    """The runs that are of this order, oldest first."""
    return _read(database, rows.find_copies, order.run_key(order.content.digest))


def create(database: Database, order: Order, *, more: Mapping[str, Any]) -> RunInfo:
    """Make another run of an order, which has no requests yet; `more` goes into its card."""
    snapshot_id = _store_snapshot(database, order)
    made = _new_run(order, len(copies_of(database, order)), snapshot_id, set())
    run_id = database.write(_create, order, replace(made, card={**made.card, **more}))
    return _read(database, rows.get_run, run_id)


def check(order: Order) -> set[str]:
    """Check all of an order that can be checked without a database, as `enqueue` does; returns the files that are not
    there, of an order that may go on without them. Raises UsageError, DataMissing."""
    order.sampling()  # raises what the order cannot have
    order.refused()
    if not order.content.questions:
        raise UsageError(f"{order.variant.name} has no questions")
    missing = order.missing_files()
    if not missing:
        return set()
    all_are = not any(set(missing).isdisjoint(s.files) for s in order.samples)
    if order.allow_missing and not all_are:
        return set(missing)
    more = [f"  ... and {len(missing) - 20} more"] if len(missing) > 20 else []
    shown = "\n".join([*(f"  {file}" for file in missing[:20]), *more])
    raise DataMissing(
        f"{plural(len(missing), 'file')} of {order.variant.name} not below {order.root}, nothing was enqueued:\n"
        f"{shown}",
        hint="fetch them; no question has its videos here"
        if all_are
        else "fetch them, or go on without their questions: --allow-missing",
    )


def _read(database: Database, query: Callable[[Connection, *Ts], T], *args: *Ts) -> T:
    with database.read() as connection:
        return query(connection, *args)


def _store_snapshot(database: Database, order: Order) -> int:
    content = order.content
    add = partial(
        snapshots.add_snapshot,
        digest=content.digest,
        benchmark=order.benchmark.name,
        columns=content.columns,
        num_samples=content.questions,
    )
    snapshot_id = database.write(add)
    if _read(database, snapshots.count_samples, snapshot_id) < content.questions:
        for chunk in _chunks(enumerate(order.samples)):
            database.write(snapshots.add_samples, snapshot_id, chunk)
    return snapshot_id


def _plans(database: Database, order: Order, run_id: int, snapshot_id: int, missing: set[str]) -> Plans:
    return plans(
        order.samples,
        _read(database, snapshots.row_ids, snapshot_id),
        pack=order.variant.pack,
        shuffled_by=None if order.in_order else order.content.digest,
        missing=missing,
        known=_read(database, rows.request_keys, run_id) if order.limit is not None else (),
        limit=order.limit,
        expected=Expectation(
            order.sampling(),
            new_tokens=order.generation.max_new_tokens,
            took=_read(database, answer_times.mean_seconds_by_video, snapshot_id, order.spec.name),
        ),
    )


def _new_run(order: Order, copy: int, snapshot_id: int, missing: set[str]) -> NewRun:
    digest = order.content.digest
    return NewRun(
        name="",
        key=order.run_key(digest),
        copy=copy,
        snapshot_id=snapshot_id,
        benchmark=order.benchmark.name,
        variant=order.variant.name,
        spec=order.spec,
        load_key=order.load_key,
        sampling=order.sampling(),
        generation=order.generation,
        pack=order.variant.pack,
        subtitles=order.variant.subtitles,
        form=order.form,
        data_root=str(order.root.absolute()),
        max_pixels=order.max_pixels,
        max_attempts=order.max_attempts,
        priority=order.priority,
        limit=order.limit,
        missing=tuple(s.id for s in order.samples if not missing.isdisjoint(s.files)) if missing else (),
        card=order.card(digest),
        prompts=order.prompt_set,
        protocol=order.benchmark.protocol_version,
        recipe=order.recipe,
        max_cost=order.max_cost,
        max_tokens=order.max_tokens,
        race_tail=order.races,
    )


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.") or "x"


def _create(connection: Connection, order: Order, new: NewRun) -> int:
    """Insert the run under the next free name of its kind; two at once: the second finds the first's."""
    known = rows.find_copies(connection, new.key)
    if len(known) > new.copy:
        return known[-1].run_id
    stem = f"{_slug(order.variant.name)}--{_slug(order.spec.name)}--"
    taken = [r.name.removeprefix(stem) for r in rows.find_run(connection, stem)]
    number = max((int(t) for t in taken if t.isdigit()), default=0) + 1
    return rows.create_run(connection, replace(new, name=f"{stem}{number}"))


def _activate(connection: Connection, run_id: int) -> int:
    run = rows.get_run(connection, run_id)
    reopened = plan_rows.reopen_cancelled(connection, run_id) if run.state == RunState.CANCELLED else 0
    if run.state != RunState.ACTIVE:
        rows.set_state(connection, run_id, RunState.ACTIVE)
    return reopened


def of_key(database: Database, key: str) -> RunInfo | None:
    """The run that an order of this run key goes on with; None if there is none yet."""
    copies = _read(database, rows.find_copies, key)
    return copies[-1] if copies else None
