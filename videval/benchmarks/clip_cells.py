"""The cells of a question table that name several files: a JSON list of clips, or of images."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from videval.benchmarks.table_json import JsonText
from videval.types import ClipRef, FrameSampling
from videval.video.paths import path_problem

__all__ = ["clips_in", "files_in", "is_list", "wrong_path"]

_LIST = re.compile(r'\s*\[\s*(["{\]\[]|\Z)')
_KEYS = ("video", "start", "end", "frames", "fps")


def is_list(cell: object) -> bool:
    """Whether a cell is meant as a list; a name may begin with a bracket, too: [1] cat.mp4."""
    if isinstance(cell, JsonText):
        return cell.startswith("[")
    return isinstance(cell, str) and bool(_LIST.match(cell))


def clips_in(cell: str) -> tuple[ClipRef, ...]:
    """The clips of a list: paths, or {"video": ..., "start": ..., "end": ..., "frames" or "fps": ...} in seconds.

    ValueError says what is wrong with which one.
    """
    return tuple(_each(cell, "clip", _clip))


def files_in(cell: str) -> tuple[str, ...]:
    """The paths of a list of images; ValueError says what is wrong with which one."""
    return tuple(_each(cell, "image", _path))


@lru_cache(maxsize=1024)  # several questions in a row are about one video
def wrong_path(path: str) -> str:
    """What is wrong with the path of a file; empty if nothing is."""
    drive = re.match(r"[A-Za-z]:", path)
    foreign = f'{path!r}: folders are separated by "/", without a drive' if drive or "\\" in path else ""
    return path_problem(path) or foreign


def _each(cell: str, what: str, read: Callable[[Any], Any]) -> Iterator[Any]:
    try:
        listed = json.loads(cell)
    except (ValueError, RecursionError) as error:
        raise ValueError(f'is no JSON list ({error}); write ["a", "b"]') from error
    if not listed:
        raise ValueError(f"lists no {what}")
    for number, one in enumerate(listed, 1):
        try:
            yield read(one)
        except ValueError as error:
            raise ValueError(f"{what} {number}: {error}") from error


def _clip(said: Any) -> ClipRef:
    if not isinstance(said, Mapping):
        return ClipRef(video=_path(said))
    unknown = [key for key in said if key not in _KEYS]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is none of {', '.join(_KEYS)}")
    start, end = _number(said, "start"), _number(said, "end")
    if (start is None) != (end is None):
        raise ValueError("start and end are given together or not at all")
    if start is not None and end is not None and start >= end:
        raise ValueError(f"start {start:g} is not before end {end:g}")
    return ClipRef(video=_path(said.get("video")), start=start, end=end, sampling=_sampling(said))


def _sampling(said: Mapping[str, Any]) -> FrameSampling | None:
    """A clip's own frames, chosen as those of a whole table are."""
    frames, fps = said.get("frames"), _number(said, "fps")
    if frames is None and fps is None:
        return None
    if frames is not None and fps is not None:
        raise ValueError("give frames or fps, one of them")
    if fps is not None:
        if not fps:
            raise ValueError("fps is more than 0")
        return FrameSampling(policy="rate", fps=fps, times="real")
    if isinstance(frames, bool) or not isinstance(frames, int) or frames < 1:
        raise ValueError(f"frames {frames!r} is not a number of frames")
    return FrameSampling(policy="interior", num_frames=frames, times="real")


def _number(said: Mapping[str, Any], name: str) -> float | None:
    value = said.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise ValueError(f"{name} {value!r} is not a number from 0")
    return float(value)


def _path(said: Any) -> str:
    if not isinstance(said, str) or not said.strip():
        raise ValueError("has no path" if said in (None, "") else f"{said!r} is not a path")
    if wrong := wrong_path(said):
        raise ValueError(wrong)
    return said
