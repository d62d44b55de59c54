"""The decoder process: a video and a sampling in, a clip in the shared frame cache out.

While it decodes it says again and again which reader is at work, so that its worker knows which one hangs or dies.
"""

from dataclasses import asdict
from pathlib import Path

from videval.errors import EnvironmentProblem, RequestFailure, VideoFailure
from videval.video.cache import FrameCache
from videval.video.decode import Watch
from workers.child import Message, parent_connection, receive, send
from workers.wire import error_message, sampling_from

__all__ = ["main"]


def _clip(cache: FrameCache, message: Message, watch: Watch) -> Message:
    span = message["span"]
    try:
        clip = cache.clip(
            Path(message["path"]),
            sampling_from(message["sampling"]),
            (span[0], span[1]) if span else None,
            folder_fps=message["folder_fps"],
            max_pixels=message["max_pixels"],
            without=message["without"],
            watch=watch,
        )
    except (RequestFailure, EnvironmentProblem, MemoryError) as error:
        return error_message(error)
    except Exception as error:  # noqa: BLE001 - whatever a decoder library raises is this video's failure
        failure = VideoFailure(f"{message['path']}: {type(error).__name__}: {error}")
        failure.__cause__ = error
        return error_message(failure)
    return {"clip": asdict(clip)}


def main() -> None:
    """Serve one worker until it closes the pipe."""
    connection = parent_connection()
    start = receive(connection)
    cache = FrameCache(Path(start["folder"]), start["budget_gb"])
    send(connection, {"ready": True})
    while True:
        try:
            message = receive(connection)
        except (EOFError, OSError):
            return
        send(connection, _clip(cache, message, lambda reader: send(connection, {"reader": reader})))


if __name__ == "__main__":
    main()
