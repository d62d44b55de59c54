"""From rows to bells: for a run that is new, and again for those whose bell may be lost."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from videval.db import queue, runs
from videval.db.identity import database_id
from videval.db.queue import Ring
from videval.db.session import Database
from videval.settings import Settings
from workers.bell import queue_length, queue_lengths, queue_name, ring

__all__ = ["WINDOW", "publish_due", "publish_run"]

CHUNK = 2000
WINDOW = 20_000
"""Messages in a queue beyond which nobody is rung for until some are heard: a million would be a gigabyte of Redis."""


def publish_run(settings: Settings, database: Database, run_id: int) -> Iterator[int]:
    """Ring for the requests of a run that nobody rang for, as far as the window goes; yields how many so far."""
    sent, after, known_as = 0, 0, database_id(database)
    with database.read() as connection:
        load_key = runs.get_run(connection, run_id).load_key
    room = WINDOW - queue_length(settings, queue_name(known_as, load_key))
    while sent < room:
        with database.read() as connection:
            rings = queue.pending_of_run(connection, run_id, after=after, limit=min(CHUNK, room - sent))
        if not rings:
            return
        _ring(settings, database, rings, known_as)
        sent, after = sent + len(rings), rings[-1].request_id
        yield sent


def _ring(settings: Settings, database: Database, rings: Sequence[Ring], known_as: str) -> None:
    ring(settings, rings, known_as=known_as)
    database.write(queue.mark_published, [r.request_id for r in rings])


def publish_due(settings: Settings, database: Database, low_water: Mapping[str, int]) -> int:
    """Ring for what waits of each of these load keys: for those that nobody rang for until the window is full, and
    again for those whose bell may be lost where a queue holds less than its `low_water`.

    A Redis that holds nothing at all (flushed, started again) has lost every bell: there is nothing to wait for.
    Returns how many were rung for.
    """
    if not low_water:
        return 0
    known_as, rung = database_id(database), 0
    names = {key: queue_name(known_as, key) for key in low_water}
    lengths = queue_lengths(settings, names.values())
    is_empty = not any(lengths.values())
    patience = min(1.0, settings.republish) if is_empty else settings.republish
    for key, name in names.items():
        again = partial(queue.due, load_key=key, patience=patience)
        fresh = partial(queue.never_rung, load_key=key)
        sent = _fill(settings, database, low_water[key] - lengths[name], again, known_as)
        rung += sent + _fill(settings, database, WINDOW - lengths[name] - sent, fresh, known_as)
    return rung


def _fill(settings: Settings, database: Database, room: int, find: Callable[..., list[Ring]], known_as: str) -> int:
    """Ring for what is found, as far as there is room; returns how many that are."""
    rung = 0
    while rung < room:
        with database.read() as connection:
            rings = find(connection, limit=min(room - rung, CHUNK))
        if not rings:
            break
        _ring(settings, database, rings, known_as)
        rung += len(rings)
    return rung
