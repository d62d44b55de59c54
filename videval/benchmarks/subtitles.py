"""Which subtitles go with the frames that are shown.

The rule of the published Video-MME numbers (VLMEvalKit): for each shown frame, in the frames' order, the first
event of the file that is on screen at the frame's time, without its first and last millisecond; line breaks become
spaces, styles stay as tags (`{\\i1}`), an event that several frames show is said once for each.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pysubs2

from videval.errors import VideoFailure

__all__ = ["read_subtitles", "shown_subtitles"]


def shown_subtitles(path: Path, frame_numbers: Sequence[int], fps: float) -> str:
    """The text of the subtitles at these frames, a line each; empty if there is no such file."""
    if not path.is_file():
        return ""
    events = read_subtitles(path)
    texts = [_text_at(events, pysubs2.make_time(fps=fps, frames=number)) for number in frame_numbers]
    return "\n".join(text for text in texts if text.strip())


def read_subtitles(path: Path) -> Sequence[Any]:
    """The events of a subtitle file; VideoFailure if it is not UTF-8 or not in a format for subtitles."""
    stat = path.stat()
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=64)
def _read(path: Path, _mtime: int, _size: int) -> Sequence[Any]:
    try:
        return list(pysubs2.load(str(path), encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise VideoFailure(
            f"{path}: the subtitles are not UTF-8 (byte {error.start})", hint="convert the file: iconv -t utf-8"
        ) from error
    except (pysubs2.exceptions.Pysubs2Error, ValueError) as error:
        raise VideoFailure(f"{path}: cannot be read as subtitles: {error}") from error


def _text_at(events: Sequence[Any], time: int) -> str:
    for event in events:
        if event.start < time < event.end:
            return str(event.text).replace("\\N", " ")
    return ""
