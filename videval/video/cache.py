"""Decoded clips on disk: each is decoded once per host, mapped by every process, and thrown out when space is short.

A clip is two files: KEY.npy, a uint8 array, and KEY.json, its Clip record. Both are written under another name and
renamed, the array last: where it is, the clip is whole. The key holds the file's identity, the span and the sampling,
so that another span of the same video, or another file under the same name, is another clip.
"""

import errno
import hashlib
import json
import logging
import os
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from filelock import FileLock
from numpy.lib import format as npy

from videval.errors import EnvironmentProblem, VideoFailure
from videval.types import Clip, FrameSampling
from videval.video.decode import FOLDER_FPS, Allocate, Decoded, Frames, Watch, decode
from videval.video.eviction import evict, held, touch
from videval.video.sampling import Span

__all__ = ["FrameCache", "clip_from_json", "clip_to_json", "load_frames"]

log = logging.getLogger(__name__)

_FORMAT = 2
"""Part of every key: raised when the same key would mean other pixels."""


class Decode(Protocol):
    """What the cache calls to fill itself: `videval.video.decode.decode`, or a fake of it."""

    def __call__(
        self,
        path: Path,
        sampling: FrameSampling,
        span: Span | None = None,
        *,
        folder_fps: float,
        max_pixels: int | None,
        allocate: Allocate,
        without: Collection[str],
        watch: Watch,
    ) -> Decoded:
        """Decode into the array that `allocate` makes."""


class FrameCache:
    """The decoded clips of one host in `folder`, at most `budget_gb` (10^9 bytes) of them."""

    def __init__(self, folder: Path, budget_gb: float, *, decoder: Decode = decode) -> None:
        self.folder = folder
        self._budget = int(budget_gb * 1e9)
        self._decode = decoder

    def clip(
        self,
        path: Path,
        sampling: FrameSampling,
        span: Span | None = None,
        *,
        folder_fps: float = FOLDER_FPS,
        max_pixels: int | None = None,
        without: Collection[str] = (),
        watch: Watch = lambda _: None,
    ) -> Clip:
        """The clip of a video under a sampling, decoded unless it is here already; `without`, `watch`: see `decode`.

        One process decodes a clip, the others wait for it. Raises VideoFailure and UsageError as `decode` does,
        EnvironmentProblem if the cache cannot be written.
        """
        key = _key(path, sampling, span, folder_fps, max_pixels)
        with self._one_at_a_time(key):
            found = self._find(key)
            if found is not None:
                return found

            def fill(allocate: Allocate) -> Decoded:
                return self._decode(
                    path, sampling, span, folder_fps=folder_fps, max_pixels=max_pixels, allocate=allocate,
                    without=without, watch=watch,
                )  # fmt: skip

            return self._store(key, sampling.policy, fill)

    @contextmanager
    def hold(
        self,
        path: Path,
        sampling: FrameSampling,
        span: Span | None = None,
        *,
        folder_fps: float = FOLDER_FPS,
        max_pixels: int | None = None,
    ) -> Iterator[Clip]:
        """Like `clip`, and the clip is not thrown out of the cache until the block ends."""
        with held(lambda: self.clip(path, sampling, span, folder_fps=folder_fps, max_pixels=max_pixels)) as clip:
            yield clip

    def _one_at_a_time(self, key: str) -> AbstractContextManager[object]:
        """A lock that few other clips share: there are 4096 lock files, which are never removed."""
        with _writable(self.folder):
            (self.folder / "locks").mkdir(parents=True, exist_ok=True)
            return FileLock(self.folder / "locks" / f"{key[:3]}.lock").acquire()

    def _find(self, key: str) -> Clip | None:
        """The stored clip, marked as used just now; None if it is absent or not whole."""
        array, record = self.folder / f"{key}.npy", self.folder / f"{key}.json"
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

    def _store(self, key: str, policy: str, fill: Callable[[Allocate], Decoded]) -> Clip:
        array, record = self.folder / f"{key}.npy", self.folder / f"{key}.json"
        mark = uuid.uuid4().hex
        new_array, new_record = (self.folder / f"{key}.{mark}.{kind}.tmp" for kind in ("npy", "json"))
        try:
            decoded = fill(lambda shape: self._allocate(new_array, shape))
            clip = _describe(array, policy, decoded)
            with _writable(self.folder):
                new_record.write_text(json.dumps(clip_to_json(clip)))
                new_record.replace(record)
                new_array.replace(array)
        finally:
            new_array.unlink(missing_ok=True)
            new_record.unlink(missing_ok=True)
        return clip

    def _allocate(self, path: Path, shape: tuple[int, int, int, int]) -> Frames:
        """Make room, then a mapped .npy file whose blocks are there: a full disk is an error here, not a signal."""
        with _writable(self.folder):
            evict(self.folder, self._budget - int(np.prod(shape)))
            frames = npy.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        return frames


def load_frames(clip: Clip) -> Frames:
    """Map a clip's frames read-only, uint8 [n, height, width, 3]; they stay valid when the file is thrown out.

    Raises EnvironmentProblem if the clip is no longer there or not whole.
    """
    try:
        _check_whole(Path(clip.path), clip)
        frames: Frames = np.load(clip.path, mmap_mode="r", allow_pickle=False)
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


def _describe(array: Path, policy: str, decoded: Decoded) -> Clip:
    _, height, width, _ = decoded.frames.shape
    return Clip(
        path=str(array),
        frame_numbers=decoded.choice.indices,
        timestamps=decoded.timestamps,
        total_frames=decoded.info.total_frames,
        fps=decoded.info.fps,
        width=width,
        height=height,
        decoder=decoded.info.decoder,
        policy=policy,
        notes=decoded.notes,
    )


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


def _key(path: Path, sampling: FrameSampling, span: Span | None, folder_fps: float, max_pixels: int | None) -> str:
    parts = {
        "format": _FORMAT,
        "file": _identity(path),
        "sampling": sampling.to_json(),
        "span": span and [float(t) for t in span],
        "folder_fps": float(folder_fps) if path.is_dir() else None,
        "max_pixels": max_pixels,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:40]


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


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    """Turn what the file system refuses into EnvironmentProblem with the line that mends it."""
    try:
        yield
    except OSError as error:
        hint = "set VIDEVAL_FRAME_CACHE to a folder that can be written"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            hint = "free some space, lower VIDEVAL_FRAME_CACHE_GB, or set VIDEVAL_FRAME_CACHE to a larger disk"
        raise EnvironmentProblem(f"frame cache {folder}: {error.strerror or error}", hint=hint) from error
