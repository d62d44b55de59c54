"""Pictures and files as base64, made once for all questions about them, by a few threads."""

import asyncio
import base64
import io
import mimetypes
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as Picture

from videval.errors import ModelFailure, VideoFailure
from videval.types import Clip, Image, Prompt, Remote
from videval.video.clips import load_frames

__all__ = ["MEMORY", "Encoded", "Encoder", "Media", "encoded_frames"]

MEMORY = 2**29
"""Bytes of base64 that are kept for questions to come; what is being sent is not counted."""
THREADS = 4
FORMATS: Mapping[str, Mapping[str, Any]] = {
    "png": {"format": "PNG", "compress_level": 1},
    "webp": {"format": "WEBP", "lossless": True, "quality": 0, "method": 0},
    "jpeg": {"format": "JPEG", "subsampling": 0},
}
"""How a frame is written. PNG at level 1 takes a quarter of the time of level 6 and a tenth more bytes, lossless WebP a
third less of both (perf/RESULTS.md)."""
SENT_AS_THEY_ARE = ("PNG", "JPEG", "WEBP", "GIF")
"""Formats of image files that every server takes; any other is sent as PNG."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoded:
    """Something as base64: the frames of a clip in order, or one file; `mime`: what it is."""

    mime: str
    pieces: tuple[bytes, ...]

    @property
    def size(self) -> int:
        """Its bytes."""
        return sum(map(len, self.pieces))


@dataclass(frozen=True, kw_only=True, slots=True)
class Media:
    """All that a prompt shows: its clips in order, its image files by path."""

    clips: tuple[Encoded, ...] = ()
    images: Mapping[str, Encoded] = field(default_factory=dict)


class Encoder:
    """Encodes in threads, and keeps what it made last; all else happens in the thread of the event loop."""

    def __init__(self, remote: Remote, *, exact: bool, memory: int = MEMORY) -> None:
        self._remote, self._exact, self._memory = remote, exact, memory
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="encode")
        self._made: OrderedDict[str, asyncio.Future[Encoded]] = OrderedDict()

    @property
    def made(self) -> list[str]:
        """What is kept, the oldest first."""
        return list(self._made)

    async def media(self, prompt: Prompt) -> Media:
        """What a prompt shows. Raises EnvironmentProblem, ModelFailure, VideoFailure."""
        paths = dict.fromkeys(part.path for part in prompt.parts if isinstance(part, Image))
        clips = [await self._once(clip.path, partial(self._clip, clip)) for clip in prompt.clips]
        images = {path: await self._once(path, partial(_image_file, path)) for path in paths}
        return Media(clips=tuple(clips), images=images)

    def close(self) -> None:
        """End its threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _once(self, key: str, make: Callable[[], Encoded]) -> Encoded:
        """What was made of it before, is being made, or is made now; who waits may be cancelled, the others go on."""
        is_new = key not in self._made
        if is_new:
            self._made[key] = asyncio.get_running_loop().run_in_executor(self._threads, make)
        self._made.move_to_end(key)
        try:
            return await asyncio.shield(self._made[key])
        except Exception:
            self._made.pop(key, None)
            raise
        finally:
            if is_new:
                self._forget_oldest()

    def _forget_oldest(self) -> None:
        sizes = {key: made.result().size for key, made in self._made.items() if _is_made(made)}
        total = sum(sizes.values())
        for key, size in sizes.items():
            if total <= self._memory:
                return
            total -= size
            del self._made[key]

    def _clip(self, clip: Clip) -> Encoded:
        if self._exact:
            return encoded_frames(clip, self._remote)
        return _video_file(Path(clip.path), self._remote.transport)


def encoded_frames(clip: Clip, remote: Remote) -> Encoded:
    """All frames of a clip. Raises EnvironmentProblem if it is no longer there."""
    pieces = tuple(_picture(frame, remote) for frame in load_frames(clip))
    return Encoded(mime=f"image/{remote.image}", pieces=pieces)


def _is_made(made: asyncio.Future[Encoded]) -> bool:
    return made.done() and not made.cancelled() and made.exception() is None


def _picture(frame: npt.NDArray[np.uint8], remote: Remote) -> bytes:
    how = dict(FORMATS[remote.image])
    if remote.image == "jpeg":
        how["quality"] = remote.quality
    return _encoded(Picture.fromarray(frame), how)


def _encoded(picture: Picture.Image, how: Mapping[str, Any]) -> bytes:
    out = io.BytesIO()
    picture.save(out, **how)
    return base64.b64encode(out.getbuffer())


def _image_file(path: str) -> Encoded:
    """An image file as it is, or as PNG if not every server would take it."""
    try:
        with Picture.open(path) as picture:
            if picture.format in SENT_AS_THEY_ARE:
                return Encoded(mime=f"image/{picture.format.lower()}", pieces=(_file(Path(path)),))
            return Encoded(mime="image/png", pieces=(_encoded(picture.convert("RGB"), FORMATS["png"]),))
    except (OSError, ValueError) as error:
        raise VideoFailure(f"{path}: the image cannot be read: {error}") from error


def _video_file(path: Path, transport: str) -> Encoded:
    """A video file for a server that samples it by itself; nothing of it is read where only its path is sent."""
    if path.is_dir():
        raise ModelFailure(f"{path} is a folder of images, which cannot be sent as a file", hint='transport = "frames"')
    mime = mimetypes.guess_type(path.name)[0] or "video/mp4"
    return Encoded(mime=mime, pieces=() if transport == "file" else (_file(path),))


def _file(path: Path) -> bytes:
    try:
        return base64.b64encode(path.read_bytes())
    except OSError as error:
        raise VideoFailure(f"{path}: {error.strerror}") from error
