"""Decoded clips on disk: each is decoded once per host, mapped by every process, and thrown out when space is short.

A clip is two files: KEY.npy, a uint8 array, and KEY.json, its Clip record. Both are written under another name and
renamed, the array last: where it is, the clip is whole. The key holds the file's identity, the span and the sampling,
so that another span of the same video, or another file under the same name, is another clip.
"""

import errno
import json
import logging
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from videval.errors import EnvironmentProblem
from videval.types import Clip, Fit, FrameSampling
from videval.video import WAITING
from videval.video.clip_file import ClipFile
from videval.video.clips import AUTO, Fetched, Reading, Wanted, clip_to_json, find_clip, key_of
from videval.video.decode import FOLDER_FPS, decode_into
from videval.video.decoded import Allocate, Decoded, Shape, Watch
from videval.video.eviction import pinned, reserve
from videval.video.sampling import Span
from videval.video.scaling import Fitting

__all__ = ["FrameCache", "FramesHere"]

log = logging.getLogger(__name__)
_LOOKS = 0.25
"""Seconds between two looks whether a clip is there, or room for it, now."""


class Decode(Protocol):
    """What the cache calls to fill itself: `videval.video.decode.decode_into`, or a fake of it."""

    def __call__(
        self,
        path: Path,
        sampling: FrameSampling,
        span: Span | None = None,
        *,
        allocate: Allocate,
        folder_fps: float,
        max_pixels: int | None,
        fitting: Fitting | None,
        reading: Reading,
        watch: Watch,
    ) -> Decoded:
        """Decode into what `allocate` makes."""


class FrameCache:
    """The decoded clips of one host in `folder`, at most `budget_gb` (10^9 bytes) of them.

    Where others hold so much that a clip has no room, it waits for up to `patience` seconds until they let go, and then
    takes more than the budget: a clip that waited for ever would be worse. `fitting`: how frames are brought to the
    size that a model sees; without it they are kept whole.
    """

    def __init__(
        self,
        folder: Path,
        budget_gb: float,
        *,
        patience: float = 0.0,
        fitting: Callable[[Fit], Fitting] | None = None,
        decoder: Decode = decode_into,
    ) -> None:
        self.folder = folder
        self._budget = int(budget_gb * 1e9)
        self._patience = patience
        self._fitting = fitting
        self._decode = decoder

    def clip(
        self,
        path: Path,
        sampling: FrameSampling,
        span: Span | None = None,
        *,
        folder_fps: float = FOLDER_FPS,
        max_pixels: int | None = None,
    ) -> Clip:
        """The clip of a video under a sampling, which nobody holds; raises as `hold` does."""
        wanted = Wanted(path=path, sampling=sampling, span=span, folder_fps=folder_fps, max_pixels=max_pixels)
        with self.hold(wanted) as fetched:
            return fetched.clip

    @contextmanager
    def hold(
        self,
        wanted: Wanted,
        *,
        at_once: bool = False,
        reading: Reading = AUTO,
        watch: Watch = lambda name, seconds: None,
    ) -> Iterator[Fetched]:
        """A clip, decoded unless it is here already, that is not thrown out of the cache until the block ends.

        One process decodes a clip, the others wait for it. `at_once`: it waits for no room, as who holds a clip already
        must not; `reading`, `watch`: see `decode_into`. Raises VideoFailure and UsageError as that does,
        EnvironmentProblem if the cache cannot be written.
        """
        with ExitStack() as holding:
            key = key_of(wanted)
            with self._one_at_a_time(key, watch):
                found = find_clip(self.folder, key)
                if found is not None and holding.enter_context(pinned(Path(found.path))):
                    fetched = Fetched(clip=found)
                else:
                    room = partial(self._room, 0.0 if at_once else self._patience, watch)
                    fill = partial(self._fill, wanted, reading, watch)
                    fetched = Fetched(clip=self._store(key, wanted.sampling.policy, fill, room, holding), decoded=True)
            yield fetched

    def _fill(self, wanted: Wanted, reading: Reading, watch: Watch, allocate: Allocate) -> Decoded:
        return self._decode(
            wanted.path,
            wanted.sampling,
            wanted.span,
            allocate=allocate,
            folder_fps=wanted.folder_fps,
            max_pixels=wanted.max_pixels,
            fitting=self._fitting(wanted.fit) if self._fitting and wanted.fit else None,
            reading=reading,
            watch=watch,
        )

    def _one_at_a_time(self, key: str, watch: Watch) -> AbstractContextManager[object]:
        """A lock that few other clips share: there are 4096 lock files, which are never removed."""
        with _writable(self.folder):
            (self.folder / "locks").mkdir(parents=True, exist_ok=True)
            while True:
                try:
                    return FileLock(self.folder / "locks" / f"{key[:3]}.lock").acquire(timeout=_LOOKS)
                except Timeout:
                    watch(WAITING, 0.0)

    def _store(
        self,
        key: str,
        policy: str,
        fill: Callable[[Allocate], Decoded],
        room: Callable[[int, Callable[[], ClipFile]], ClipFile],
        holding: ExitStack,
    ) -> Clip:
        """Decode a clip into files, which `holding` keeps from being thrown out from the first byte on."""
        array, record = self.folder / f"{key}.npy", self.folder / f"{key}.json"
        mark = uuid.uuid4().hex
        new_array, new_record = (self.folder / f"{key}.{mark}.{kind}.tmp" for kind in ("npy", "json"))
        files = holding.enter_context(ExitStack())

        def allocate(shape: Shape) -> ClipFile:
            files.close()  # that of a reader that gave up
            new_array.unlink(missing_ok=True)
            with _writable(self.folder):
                return files.enter_context(room(ClipFile.size_of(shape), partial(ClipFile, new_array, shape)))

        try:
            clip = _describe(array, policy, fill(allocate))
            with _writable(self.folder):
                new_record.write_text(json.dumps(clip_to_json(clip)))
                new_record.replace(record)
                new_array.replace(array)
        finally:
            new_array.unlink(missing_ok=True)
            new_record.unlink(missing_ok=True)
        return clip

    def _room(self, patience: float, watch: Watch, size: int, make: Callable[[], ClipFile]) -> ClipFile:
        """The file that `make` makes, once there is room for it."""
        ends, has_waited = time.monotonic() + patience, False
        while True:
            is_late = time.monotonic() >= ends
            made = reserve(self.folder, self._budget, size, make, anyhow=is_late)
            if made is not None:
                return made
            if not has_waited:
                said = "frame cache %s: %.1f GB wait until others let go of theirs -> raise VIDEVAL_FRAME_CACHE_GB"
                log.warning(said, self.folder, size / 1e9)
            has_waited = True
            watch(WAITING, 0.0)
            time.sleep(_LOOKS)


def _describe(array: Path, policy: str, decoded: Decoded) -> Clip:
    _, height, width, _ = decoded.shape
    source_width, source_height = decoded.source or (None, None)
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
        source_width=source_width,
        source_height=source_height,
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
    """Clips out of a cache, decoded in this process: where no decoder process stands between it and a broken file, so
    that no reader may crash or hang."""

    def __init__(self, cache: FrameCache) -> None:
        self._cache = cache

    def hold(
        self, wanted: Wanted, *, on_decode: Callable[[], None], at_once: bool = False
    ) -> AbstractContextManager[Fetched]:
        """The frames of one video. Raises as `FrameCache.hold` does."""
        on_decode()
        return self._cache.hold(wanted, at_once=at_once, reading=Reading(reader="pyav"))
