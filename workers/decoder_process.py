"""The decoder process: a video and a sampling in, a clip in the shared frame cache out.

While it decodes it says again and again which reader is at work, how much time its video may take, and when it only
waits: so its worker knows who hangs or dies.
"""

import time
from contextlib import ExitStack
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path

from videval.errors import EnvironmentProblem, RequestFailure, VideoFailure
from videval.models.fitting import Fitting
from videval.plain import restored
from videval.video.cache import FrameCache
from videval.video.clips import Reading
from videval.video.decoded import Watch
from workers.pipes import Message, parent_connection, receive, send
from workers.wire import error_message, wanted_from

__all__ = ["main"]

SIGN_OF_LIFE = 0.5
"""Seconds between two messages that say the same."""


def _clip(cache: FrameCache, message: Message, watch: Watch, holding: ExitStack) -> Message:
    """The answer to a message; `holding` holds the clip."""
    wanted, reading = wanted_from(message["wanted"]), restored(Reading, message["reading"])
    try:
        held = cache.hold(wanted, at_once=message["at_once"], reading=reading, watch=watch)
        fetched = holding.enter_context(held)
    except (RequestFailure, EnvironmentProblem, MemoryError) as error:
        return error_message(error)
    except Exception as error:  # noqa: BLE001 - whatever a decoder library raises is this video's failure
        failure = VideoFailure(f"{wanted.path}: {type(error).__name__}: {error}")
        failure.__cause__ = error
        return error_message(failure)
    return asdict(fetched)


def main() -> None:
    """Serve one worker until it closes the pipe. A clip is held until the worker says that it does, by wanting none."""
    connection = parent_connection()
    start = receive(connection)
    cache = FrameCache(Path(start["folder"]), start["budget_gb"], patience=start["patience"], fitting=Fitting)
    send(connection, {"ready": True})
    with ExitStack() as holding:
        while True:
            try:
                message = receive(connection)
            except (EOFError, OSError):
                return
            holding.close()
            if message["wanted"] is not None:
                send(connection, _clip(cache, message, _Teller(connection), holding))


class _Teller:
    """Says who is at work: at once where that is new, else now and then, as each message costs both processes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._said: tuple[str, float] | None = None
        self._at = 0.0

    def __call__(self, reader: str, seconds: float) -> None:
        now = time.monotonic()
        if (reader, seconds) != self._said or now - self._at >= SIGN_OF_LIFE:
            send(self._connection, {"reader": reader, "seconds": seconds})
            self._said, self._at = (reader, seconds), now


if __name__ == "__main__":
    main()
