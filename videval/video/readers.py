"""Ways to read frames behind one small protocol: decord and Pillow (folders of images) here, PyAV in pyav_reader.py.

Only `decode.py` uses them. A reader raises ReadError (or its library's own errors, see READ_ERRORS), never
VideoFailure: whether the video failed is known when every reader has been tried.
"""

import functools
import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import av
import decord
import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image, ImageOps

__all__ = [
    "IMAGE_SUFFIXES",
    "READ_ERRORS",
    "DecordReader",
    "FolderReader",
    "Frames",
    "ReadError",
    "Reader",
    "VideoInfo",
    "image_files",
    "open_image",
]

Frames = npt.NDArray[np.uint8]
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


class ReadError(Exception):
    """A reader cannot read this video; the message is the reason."""


READ_ERRORS = (
    ReadError, decord.DECORDError, decord._ffi.base.DECORDLimitReachedError, av.FFmpegError, OSError, RuntimeError,
    ValueError, IndexError, AssertionError, Image.DecompressionBombError, SyntaxError,
)  # fmt: skip
"""What the three libraries raise for bytes that they cannot read (Pillow: SyntaxError for a broken PNG)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoInfo:
    """What is known of a video: frames, frames per second, size as shown in pixels, and who read it."""

    total_frames: int
    fps: float
    width: int
    height: int
    decoder: str
    notes: tuple[str, ...] = ()


class Reader(Protocol):
    """An open video. `first` is the number that its frames are counted from (see sampling.choose_frames)."""

    info: VideoInfo
    first: int

    def timestamps(self, numbers: Sequence[int]) -> list[float]:
        """Seconds from the first frame on to each of these 0-based frames."""

    def read(self, numbers: Sequence[int]) -> Iterator[tuple[int, Frames]]:
        """Each of these frames, ascending and without repeats, with its number: uint8 [height, width, 3]."""

    def notes(self) -> tuple[str, ...]:
        """What was found while reading."""


class DecordReader:
    """A video read by decord, one thread: decoding many videos side by side is faster than one with many threads."""

    first = 0
    _BATCH = 16

    def __init__(self, path: Path) -> None:
        _quiet_decord()
        self._video: Any = decord.VideoReader(os.fspath(path), num_threads=1, fault_tol=_NO_FAULTS)
        if self._video.get_frame_timestamp([0])[0][0] < 0:
            raise ReadError("an edit list, which decord does not follow")
        fps = float(self._video.get_avg_fps())
        if not (math.isfinite(fps) and fps > 0):
            raise ReadError(f"frame rate {fps}")
        height, width, _ = self._video[0].shape
        self.info = VideoInfo(
            total_frames=len(self._video), fps=fps, width=width, height=height,
            decoder=f"decord {decord.__version__}",
        )  # fmt: skip

    def timestamps(self, numbers: Sequence[int]) -> list[float]:
        """Seconds from the first frame on, from the container's index (decord keeps them as 32-bit floats)."""
        start = self._video.get_frame_timestamp([0])[0][0]
        found = self._video.get_frame_timestamp(list(numbers))[:, 0]
        return [round(float(t - start), 4) for t in found]

    def read(self, numbers: Sequence[int]) -> Iterator[tuple[int, Frames]]:
        """A few frames at a time, so that memory does not grow with their count."""
        for at in range(0, len(numbers), self._BATCH):
            batch = list(numbers[at : at + self._BATCH])
            yield from zip(batch, self._video.get_batch(batch).asnumpy(), strict=True)

    def notes(self) -> tuple[str, ...]:
        """Nothing: decord says nothing."""
        return ()


_NO_FAULTS = 1e-9
"""decord's fault_tol as a share of the frames: a single frame replaced by its neighbour is an error."""


@functools.cache
def _quiet_decord() -> None:
    decord.logging.set_level(decord.logging.QUIET)


class FolderReader:
    """A folder of images as a video of `fps` frames per second: natural order, files counted from 1."""

    first = 1

    def __init__(self, path: Path, fps: float) -> None:
        self._files = image_files(path)
        if not self._files:
            raise ReadError(f"no images in the folder ({', '.join(IMAGE_SUFFIXES)})")
        height, width, _ = open_image(self._files[0]).shape
        self._resized = 0
        self.info = VideoInfo(
            total_frames=len(self._files), fps=fps, width=width, height=height,
            decoder=f"Pillow {PIL.__version__}",
        )  # fmt: skip

    def timestamps(self, numbers: Sequence[int]) -> list[float]:
        """Seconds from the first image on."""
        return [round(n / self.info.fps, 4) for n in numbers]

    def read(self, numbers: Sequence[int]) -> Iterator[tuple[int, Frames]]:
        """Image by image; one that differs in size is brought to the first one's."""
        size = (self.info.width, self.info.height)
        for number in numbers:
            image = open_image(self._files[number])
            if image.shape[1::-1] != size:
                self._resized += 1
                image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
            yield number, image

    def notes(self) -> tuple[str, ...]:
        """How many images had another size."""
        return (f"{self._resized} images scaled to the first one's size",) if self._resized else ()


def image_files(folder: Path) -> list[Path]:
    """The images of a folder in natural order (2.jpg before 10.jpg)."""
    files = [f for f in folder.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES and not f.name.startswith(".")]
    return sorted(files, key=lambda f: [(int(p), "") if p.isdecimal() else (-1, p) for p in _parts(f.name)])


def _parts(name: str) -> list[str]:
    return [p for p in re.split(r"([0-9]+)", name) if p]


def open_image(path: Path) -> Frames:
    """Read an image as uint8 [height, width, 3], turned upright; ReadError names the file if it cannot be read."""
    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except READ_ERRORS as error:
        raise ReadError(f"{path.name}: {error}") from error
