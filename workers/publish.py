"""From rows to bells: for a run that is new, and again for those whose bell may be lost."""

from collections.abc import Iterator, Mapping, Sequence

from videval.db import queue
from videval.db.identity import database_id
from videval.db.queue import Ring
from videval.db.session import Database
from videval.settings import Settings
from workers.bell import queue_lengths, queue_name, ring

__all__ = ["publish_due", "publish_run"]

CHUNK = 2000


def publish_run(settings: Settings, database: Database, run_id: int) -> Iterator[int]:
    """Ring for every request of a run that nobody rang for; yields how many so far."""
    sent, after, known_as = 0, 0, database_id(database)
    while True:
        with database.read() as connection:
            rings = queue.pending_of_run(connection, run_id, after=after, limit=CHUNK)
        if not rings:
            return
        _ring(settings, database, rings, known_as)
        sent, after = sent + len(rings), rings[-1].request_id
        yield sent


def _ring(settings: Settings, database: Database, rings: Sequence[Ring], known_as: str) -> None:
    ring(settings, rings, known_as=known_as)
    database.write(queue.mark_published, [r.request_id for r in rings])


def publish_due(settings: Settings, database: Database, low_water: Mapping[str, int]) -> int:
    """Ring again for requests whose bell may be lost: for each load key whose queue holds less than its `low_water`.

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
        room = low_water[key] - lengths[name]
        while room > 0:
            with database.read() as connection:
                rings = queue.due(connection, key, patience=patience, limit=min(room, CHUNK))
            if not rings:
                break
            _ring(settings, database, rings, known_as)
            room, rung = room - len(rings), rung + len(rings)
    return rung
