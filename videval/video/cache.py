"""Decoded clips on disk: each is decoded once per host, mapped by every process, and thrown out when space is short.

A clip is two files: KEY.npy, a uint8 array, and KEY.json, its Clip record. Both are written under another name and
renamed, the array last: where it is, the clip is whole. The key holds the file's identity, the span and the sampling,
so that another span of the same video, or another file under the same name, is another clip.
"""

import errno
import json
import os
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
from filelock import FileLock
from numpy.lib import format as npy

from videval.errors import EnvironmentProblem
from videval.types import Clip, FrameSampling
from videval.video.clips import clip_to_json, find_clip, key_of
from videval.video.decode import FOLDER_FPS, Allocate, Decoded, Frames, Watch, decode
from videval.video.eviction import evict, held
from videval.video.sampling import Span

__all__ = ["FrameCache", "FramesHere"]


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
        key = key_of(path, sampling, span, folder_fps=folder_fps, max_pixels=max_pixels)
        with self._one_at_a_time(key):
            found = find_clip(self.folder, key)
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
        span_frames=decoded.choice.span_frames,
    )


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


class FramesHere:
    """Clips out of a cache, decoded in this process: where no decoder process stands between it and a broken file."""

    def __init__(self, cache: FrameCache) -> None:
        self._cache = cache

    def clip(
        self,
        path: Path,
        sampling: FrameSampling,
        span: Span | None,
        *,
        folder_fps: float,
        max_pixels: int | None,
        on_decode: Callable[[], None],
    ) -> Clip:
        """The frames of one video. Raises as `FrameCache.clip` does."""
        on_decode()
        return self._cache.clip(path, sampling, span, folder_fps=folder_fps, max_pixels=max_pixels)
