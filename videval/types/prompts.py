"""What a model is told and shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from videval.types.questions import Pixels, Scalar, Sound

__all__ = ["Clip", "Frame", "Image", "Part", "Prompt", "PromptSet", "Role", "Text", "Video"]

Role = Literal["system", "user", "assistant"]


class PromptSet(StrEnum):
    """Whose wording, frames and joining of texts a run uses, where the references of a benchmark disagree.

    PAPER is the default: the paper's, or that of the only reference where the paper publishes no prompt.
    """

    PAPER = "paper"
    VLMEVALKIT = "vlmevalkit"
    LMMS_EVAL = "lmms-eval"


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """The decoded frames of one video under one sampling: a uint8 array [n, height, width, 3] in a file.

    `frame_numbers` are 0-based in the policy's own order, `timestamps` seconds, one for each frame.
    `notes` say what was clamped or repaired. `path` is a .npy file that every process maps. `span_frames`: how many
    frames the shown part of the video has, where it is not the whole of its `total_frames`. `source_width`,
    `source_height`: of frames that are kept at the size that a model sees (see Fit), how large they were.
    """

    path: str
    frame_numbers: tuple[int, ...]
    timestamps: tuple[float, ...]
    total_frames: int
    fps: float
    width: int
    height: int
    decoder: str
    policy: str
    notes: tuple[str, ...] = ()
    span_frames: int | None = None
    source_width: int | None = None
    source_height: int | None = None

    @property
    def num_frames(self) -> int:
        """How many frames the model sees."""
        return len(self.frame_numbers)


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """A piece of a prompt's text with its role."""

    text: str
    role: Role = "user"


@dataclass(frozen=True, kw_only=True, slots=True)
class Video:
    """The place in a prompt where a whole clip is shown as one video; `clip` is its number, from 0."""

    clip: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """The place in a prompt where one frame of a clip is shown as an image; 0-based position in the clip."""

    position: int
    clip: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """The place in a prompt where an image file is shown; `path` relative to the data root, absolute for a model."""

    path: str


Part = Text | Video | Frame | Image | Sound


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """What is said, shown and heard, in order; `clips` are what Video and Frame parts refer to.

    `prompts` says in whose way an adapter joins the texts, `pixels` how large its processor may make the frames of
    each clip (none: as the checkpoint says). `steering`: columns by which a test tells the fake model what to do; empty
    for every other model.
    """

    parts: tuple[Part, ...]
    clips: tuple[Clip, ...] = ()
    prompts: PromptSet = PromptSet.PAPER
    pixels: tuple[Pixels, ...] = ()
    steering: Mapping[str, Scalar] = field(default_factory=dict)

    def text(self, role: Role) -> str:
        """All text of one role, joined as it stands."""
        return "".join(p.text for p in self.parts if isinstance(p, Text) and p.role == role)
