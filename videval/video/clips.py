"""Clips as they lie in the frame cache: what one is called, its record, and its frames.

Nothing of a decoder is imported here: a worker finds a clip, and an engine maps it, without one.
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from videval.errors import EnvironmentProblem, VideoFailure
from videval.plain import plain
from videval.types import Clip, Fit, FrameSampling, ReaderName
from videval.video.eviction import touch

__all__ = [
    "AUTO",
    "Fetched",
    "Reading",
    "Wanted",
    "clip_from_json",
    "clip_to_json",
    "find_clip",
    "key_of",
    "load_frames",
]

log = logging.getLogger(__name__)
Span = tuple[float, float]

_FORMAT = 3
"""Part of every key: raised when the same key would mean other pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which frames of which video, and how large: `span` in seconds, `folder_fps` of a folder of images, `max_pixels`
    (width x height) at most; `fit`: for which model, which then is shown the clip as a video (None: they are kept
    whole)."""

    path: Path
    sampling: FrameSampling
    span: Span | None = None
    folder_fps: float = 3.0
    max_pixels: int | None = None
    fit: Fit | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """Who is to read a video; all give the same pixels, so this is no part of what a clip is called. `note`: what is
    said in the clip's notes of why it is not who would have been chosen."""

    reader: ReaderName = "auto"
    note: str = ""


AUTO = Reading()
"""By the rule."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """A clip that is held, and whether it was decoded for whoever holds it, or was in the cache already."""

    clip: Clip
    decoded: bool = False


def key_of(wanted: Wanted) -> str:
    """What the clip of a video is called: its file's identity, span and sampling. Raises VideoFailure if it is gone."""
    parts = {
        "format": _FORMAT,
        "file": _identity(wanted.path),
        "sampling": wanted.sampling.to_json(),
        "span": wanted.span and [float(t) for t in wanted.span],
        "folder_fps": float(wanted.folder_fps) if wanted.path.is_dir() else None,
        "max_pixels": wanted.max_pixels,
    } | ({"fit": plain(wanted.fit)} if wanted.fit else {})
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:40]


def find_clip(folder: Path, key: str) -> Clip | None:
    """The stored clip, marked as used just now; None if it is absent or not whole."""
    array, record = folder / f"{key}.npy", folder / f"{key}.json"
    try:
        clip = clip_from_json({**json.loads(record.read_bytes()), "path": str(array)})
        _check_whole(array, clip)
        touch(array)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        log.warning("cached clip %s is damaged and decoded again: %s", array, error)
        return None
    return clip


def load_frames(clip: Clip) -> npt.NDArray[np.uint8]:
    """Map a clip's frames read-only, uint8 [n, height, width, 3]; they stay valid when the file is thrown out.

    Raises EnvironmentProblem if the clip is no longer there or not whole.
    """
    try:
        _check_whole(Path(clip.path), clip)
        frames: npt.NDArray[np.uint8] = np.load(clip.path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise EnvironmentProblem(
            f"cached clip {clip.path} cannot be mapped: {error}",
            hint="raise VIDEVAL_FRAME_CACHE_GB if clips are thrown out before they are shown",
        ) from error
    return frames


def clip_to_json(clip: Clip) -> dict[str, Any]:
    """A clip as what JSON can carry."""
    return asdict(clip)


def clip_from_json(value: Mapping[str, Any]) -> Clip:
    """A clip from what `clip_to_json` made. Raises KeyError, TypeError or ValueError for anything else."""
    lists = {
        "frame_numbers": tuple(int(n) for n in value["frame_numbers"]),
        "timestamps": tuple(float(t) for t in value["timestamps"]),
        "notes": tuple(str(n) for n in value["notes"]),
    }
    return Clip(**{**value, **lists})


def _check_whole(array: Path, clip: Clip) -> None:
    """Raise ValueError unless the file is exactly the array that the record describes."""
    with array.open("rb") as file:
        version = npy.read_magic(file)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, is_fortran, dtype = read_header(file)
        size = file.tell() + int(np.prod(shape))
        if dtype != np.uint8 or is_fortran or shape != (clip.num_frames, clip.height, clip.width, 3):
            raise ValueError(f"{dtype} {shape} is not the recorded clip")
        if os.fstat(file.fileno()).st_size != size:
            raise ValueError(f"{os.fstat(file.fileno()).st_size} of {size} bytes")


def _identity(path: Path) -> list[object]:
    """What makes a file this file: place, device, inode, size and time; for a folder that of all its files."""
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        found = [(f.name, f.stat()) for f in files]
    except (OSError, ValueError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise VideoFailure(f"{path}: {reason}") from error
    stats = [[name, s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns] for name, s in found]
    return [os.path.realpath(path), *stats]
