"""The first clips, decoded while a model is loaded.

Nothing is claimed for that: frames come into the cache of this machine, where whoever claims the request finds them. So
a load that fails costs nobody anything, and a video that cannot be read is the failure of who asks about it.
"""

from collections.abc import Callable
from contextlib import suppress

from videval.db import ahead, workers
from videval.db.records import Claim, WorkerIdentity
from videval.db.session import Database
from videval.errors import Released, VidevalError

__all__ = ["decode_first_clips"]


def decode_first_clips(
    database: Database,
    me: WorkerIdentity,
    load_key: str,
    *,
    videos: int,
    decode: Callable[[Claim], None],
    goes_on: Callable[[], bool],
) -> None:
    """Decode what will be asked first with this model, as long as it `goes_on`: so many videos for each worker of this
    machine, every one its own."""
    with suppress(VidevalError, Released):  # the same is met again, and told, when these are claimed
        for claim in _my_share(database, me, load_key, videos):
            if not goes_on():
                return
            with suppress(VidevalError, Released):
                decode(claim)


def _my_share(database: Database, me: WorkerIdentity, load_key: str, videos: int) -> list[Claim]:
    with database.read() as connection:
        here = sorted([me.id, *workers.beside(connection, me)])
        found = ahead.next_up(connection, load_key, videos=videos * len(here))
    return found[here.index(me.id) :: len(here)]
