"""Which subtitles go with the frames that are shown.

The rule of the published Video-MME numbers (VLMEvalKit): for each shown frame, in the frames' order, the first
event of the file that is on screen at the frame's time, without its first and last millisecond; line breaks become
spaces, styles stay as tags (`{\\i1}`), an event that several frames show is said once for each.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pysubs2

from videval.errors import VideoFailure
from videval.types import Scalar

__all__ = ["FRAMES", "SUBTITLED", "check_srt", "shown_subtitles", "subtitles_once"]

_ASK = (
    "Select the best answer to the following multiple-choice question based on the video. Respond with only the "
    "letter (A, B, C, or D) of the correct option.\n"
)
FRAMES = f"\nThese are the frames of a video. {_ASK}"
SUBTITLED = f"\nThese are the frames of a video. This video's subtitles are listed below:\n{{}}\n{_ASK}"
"""What Video-MME and WorldSense say around the frames, in VLMEvalKit's words."""


def shown_subtitles(path: Path, frame_numbers: Sequence[int], fps: float) -> str:
    """The text of the subtitles at these frames, a line each; empty if there is no such file."""
    if not path.is_file():
        return ""
    events = _events(path)
    texts = [_text_at(events, pysubs2.make_time(fps=fps, frames=number)) for number in frame_numbers]
    return "\n".join(text for text in texts if text.strip())


def subtitles_once(path: Path, timestamps: Sequence[float]) -> str:
    """The subtitles that are on the screen with some frame, each once in the file's order, with spaces between.

    Empty if there is no such file. Source: QwenLM/Qwen3-VL, evaluation/VideoMME/dataset_utils.py.
    """
    if not path.is_file():
        return ""
    events = [e for e in _events(path) if any(e.start < 1000 * time < e.end for time in timestamps)]
    texts = (str(event.text).replace("\\N", " ") for event in events)
    return " ".join(text for text in texts if text.strip())


def check_srt(row: Mapping[str, Scalar], root: Path) -> None:
    """Raise ValueError if the row's subtitle file is there and cannot be read."""
    path = root / str(row["subtitle_path"])
    try:
        if path.is_file():
            _events(path)
    except VideoFailure as error:
        raise ValueError(str(error)) from error


def _events(path: Path) -> Sequence[Any]:
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
