"""Ways to read frames behind one small protocol: Pillow (folders of images) here, the others in modules of their own.

Only `decode.py` and `choosing.py` use them. A reader raises ReadError (or its library's own errors, see READ_ERRORS),
never VideoFailure: whether the video failed is known when every reader has been tried.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import av
import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image, ImageOps

__all__ = [
    "IMAGE_SUFFIXES",
    "READ_ERRORS",
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
    ReadError, av.FFmpegError, OSError, RuntimeError,
    ValueError, IndexError, AssertionError, Image.DecompressionBombError, SyntaxError,
)  # fmt: skip
"""What PyAV and Pillow raise for bytes that they cannot read (Pillow: SyntaxError for a broken PNG)."""


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
    """An open video of `duration` seconds; its frames are counted from `first` on (see sampling.choose_frames)."""

    info: VideoInfo
    first: int
    duration: float

    def seconds(self, number: int) -> float:
        """Seconds from the first frame on to this 0-based one."""

    def read(self, numbers: Sequence[int]) -> Iterator[tuple[int, Frames]]:
        """Each of these frames, ascending and without repeats, with its number: uint8 [height, width, 3]."""

    def notes(self) -> tuple[str, ...]:
        """What was found while reading."""


class FolderReader:
    """A folder of images as a video of `fps` frames per second: natural order, files counted from 1."""

    first = 1

    def __init__(self, path: Path, fps: float) -> None:
        self._files = image_files(path)
        if not self._files:
            raise ReadError(f"no images in the folder ({', '.join(IMAGE_SUFFIXES)})")
        height, width, _ = open_image(self._files[0]).shape
        self._resized = 0
        self.duration = round(len(self._files) / fps, 4)
        self.info = VideoInfo(
            total_frames=len(self._files), fps=fps, width=width, height=height,
            decoder=f"Pillow {PIL.__version__}",
        )  # fmt: skip

    def seconds(self, number: int) -> float:
        """Seconds from the first image on."""
        return round(number / self.info.fps, 4)

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
