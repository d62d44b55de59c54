"""The Python door: what the command line does to runs, as functions that return the records it prints.

`import videval` has all of this, imported when it is first used. Nothing is printed, every failure is a VidevalError
with its hint, and nothing stays open between two calls, so that threads, forks and notebooks need no care.
"""

import asyncio
import logging
import os

from videval.db import runs as rows
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.door.handle import Progress, Run, RunCancelled, TimedOut
from videval.door.local import LocalFleet
from videval.door.opened import SettingsLike, ask, settings_of
from videval.door.options import Options, Unpack, asked_of
from videval.found import find
from videval.models.troubles import troubles
from videval.orders import make_order
from workers import desk

__all__ = [
    "LocalFleet",
    "Options",
    "Progress",
    "Run",
    "RunCancelled",
    "SettingsLike",
    "TimedOut",
    "enqueue",
    "enqueue_async",
    "fleet",
    "list_runs",
    "run",
]

for _name in ("videval", "workers"):  # a program that set up no logging hears nothing
    logging.getLogger(_name).addHandler(logging.NullHandler())


def enqueue(
    what: str | os.PathLike[str] | None = None,
    model: str | None = None,
    *,
    settings: SettingsLike = None,
    **options: Unpack[Options],
) -> Run:
    """Write a row and send a message for each question of a variant or a table; the same again finds the same run.

    `options` are those of `videval enqueue`. A broker that is away is a remark: the rows stand, and workers ring for
    them. Raises UsageError, DataMissing and SchemaMismatch before any row is written.
    """
    chosen, asked = settings_of(settings), asked_of(what, model, options)
    order = make_order(asked, chosen)
    if asked.new:  # which is not tried again half-way, or there would be two
        ask(chosen, lambda database: None)
    patience = 0.0 if asked.new else None
    placed = ask(chosen, lambda database: desk.enqueue(chosen, database, order, new=asked.new), patience=patience)
    found = [trouble.in_words(order.spec) for trouble in troubles(order.spec)]
    remarks = tuple(filter(None, (*placed.remarks, *found, placed.rung.said)))
    return Run(run_id=placed.run.run_id, name=placed.run.name, settings=chosen, remarks=remarks)


async def enqueue_async(
    what: str | os.PathLike[str] | None = None,
    model: str | None = None,
    *,
    settings: SettingsLike = None,
    **options: Unpack[Options],
) -> Run:
    """`enqueue`, in a thread of its own: reading a large benchmark takes seconds."""
    return await asyncio.to_thread(enqueue, what, model, settings=settings, **options)


def run(name: str, *, settings: SettingsLike = None) -> Run:
    """The run of this name, or the only one whose name begins so. UnknownName, or UsageError if several do."""
    chosen = settings_of(settings)
    info = ask(chosen, lambda database: find(database, name))
    return Run(run_id=info.run_id, name=info.name, settings=chosen)


def list_runs(*, settings: SettingsLike = None) -> list[Run]:
    """All runs, newest first."""
    chosen = settings_of(settings)
    return [Run(run_id=info.run_id, name=info.name, settings=chosen) for info in ask(chosen, _all_runs)]


def _all_runs(database: Database) -> list[RunInfo]:
    with database.read() as connection:
        return rows.list_runs(connection)


def fleet(devices: str | None = None, *, settings: SettingsLike = None, patience: float = 30.0) -> LocalFleet:
    """Workers on this machine, one for each device, for the length of a `with` or `async with` block.

    `devices` as `videval fleet --devices` takes them; None: VIDEVAL_DEVICES. At the end of the block, however it ends,
    each finishes what it generates, for at most `patience` seconds, and gives the rest back.
    """
    return LocalFleet(settings=settings_of(settings, devices=devices), patience=patience)
