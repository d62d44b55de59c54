"""What decoding gives, and where its frames go."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from videval.video.readers import Frames, VideoInfo
from videval.video.sampling import FrameChoice

__all__ = ["Allocate", "Decoded", "InMemory", "Shape", "Sink", "Watch"]

Shape = tuple[int, int, int, int]


class Sink(Protocol):
    """Where frames go, each at its place: an array [n, height, width, 3], or a file."""

    def __setitem__(self, place: int, frame: Frames, /) -> None:
        """Take the frame of this place."""


Allocate = Callable[[Shape], Sink]
"""Makes what frames are decoded into from its shape; may be called again when a decoder gave up."""

Watch = Callable[[str, float], None]
"""Hears the name of the reader that is at work, when it begins and with every frame: who falls silent hangs. And how
many seconds a video of this length may take beyond what any may take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoded:
    """What was decoded: frames [n, height, width, 3] in the policy's order, one timestamp (seconds) each.

    `notes` say all that was clamped, guessed, repaired or scaled; `source`: width and height before they were fitted.
    """

    shape: Shape
    source: tuple[int, int] | None
    timestamps: tuple[float, ...]
    info: VideoInfo
    choice: FrameChoice
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class InMemory(Decoded):
    """The same with its frames, uint8."""

    frames: Frames
