"""How large frames are kept, where that is not how large they are: by a size, or by the most pixels."""

import math
from typing import Protocol

import numpy as np
from PIL import Image

from videval.errors import UsageError
from videval.types import FrameSampling
from videval.video.readers import Frames

__all__ = ["Fitting", "check_size", "scale_note", "scaled", "shown_size"]

Size = tuple[int, int]
"""Width and height."""


class Fitting(Protocol):
    """How a model's processor resizes frames (see `videval.models.fitting`)."""

    def size(self, sampling: FrameSampling, seconds: float, *, frames: int, width: int, height: int) -> Size | None:
        """How large it makes so many frames of that size; None: they are better kept whole. `seconds`: of the part of
        the video that is shown."""

    def resized(self, frame: Frames, width: int, height: int) -> Frames:
        """A frame, resized to the last bit as the processor would."""


def scaled(pixels: Frames, width: int, height: int) -> Frames:
    """A frame brought to this size, bicubically with antialiasing (Pillow)."""
    if pixels.shape[:2] == (height, width):
        return pixels
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))


def shown_size(width: int, height: int, size: Size | None, max_pixels: int | None) -> Size:
    """How large frames of that width and height are kept."""
    if size is not None:
        return size
    if max_pixels is None or width * height <= max_pixels:
        return width, height
    scale = math.sqrt(max_pixels / (width * height))
    width, height = max(1, int(width * scale)), max(1, int(height * scale))
    return min(width, max_pixels), min(height, max_pixels // min(width, max_pixels))


def scale_note(is_: Size, kept: Size) -> tuple[str, ...]:
    """What is said of frames that were scaled."""
    if is_ == kept:
        return ()
    return (f"scaled from {is_[0]}x{is_[1]} to {kept[0]}x{kept[1]} (bicubic)",)


def check_size(size: Size | None, max_pixels: int | None) -> None:
    """Raise UsageError for what cannot be."""
    if size is not None and max_pixels is not None:
        raise UsageError("a size and max_pixels exclude each other")
    if size is not None and min(size) < 1:
        raise UsageError(f"a size is width and height of at least 1, not {size}")
    if max_pixels is not None and max_pixels < 1:
        raise UsageError(f"max_pixels must be at least 1, not {max_pixels}")
