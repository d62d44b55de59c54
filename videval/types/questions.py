"""What a benchmark asks: questions about clips, images and sounds, and which frames are shown of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from videval.plain import plain

__all__ = [
    "POLICIES",
    "ClipRef",
    "Fit",
    "FrameSampling",
    "LengthRule",
    "Pixels",
    "ReaderName",
    "Sample",
    "Scalar",
    "Sound",
]

Scalar = str | int | float | bool | None
POLICIES: Mapping[str, tuple[str, ...]] = {
    "interior": ("num_frames",),
    "segment": ("num_frames",),
    "uniform": ("num_frames",),
    "stride": ("num_frames",),
    "rate": ("fps",),
    "qwen2_vl": ("num_frames", "fps"),
    "qwen3_vl": ("num_frames", "fps"),
    "qwen_vl_utils": ("num_frames", "fps"),
    "glm46v": ("fps",),
    "glm4v": ("fps",),
    "minicpmv4_6": ("fps",),
    "molmo2": ("num_frames", "fps"),
    "internvl": ("num_frames", "fps"),
    "smolvlm": ("fps",),
}
"""The names of `FrameSampling.policy`, with the amounts that each takes; `videval.video.sampling` says what it does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pixels:
    """How large a model's processor may make the frames, in pixels (width x height): the least and the most of each,
    and the most of all frames of a video together, as its authors count them (Qwen2.5-VL's two frames of a step once);
    None: as the checkpoint's processor says."""

    min_pixels: int | None = None
    max_pixels: int | None = None
    total_pixels: int | None = None

    def over(self, others: "Pixels") -> "Pixels":
        """These limits, and the others' where these say nothing; where the two cross, the others' give way."""
        least = others.min_pixels if self.min_pixels is None else self.min_pixels
        most = others.max_pixels if self.max_pixels is None else self.max_pixels
        if least is not None and most is not None and least > most:
            least, most = (most, most) if self.max_pixels is not None else (least, least)
        total = others.total_pixels if self.total_pixels is None else self.total_pixels
        return Pixels(min_pixels=least, max_pixels=most, total_pixels=total)


ReaderName = Literal["auto", "pyav", "decord", "torchcodec", "nvdec"]
"""Who may be set to read videos; `auto`: by a rule (`videval.video.choosing`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """How large a model's processor makes the frames of a video, so that no more than that need be kept of them.

    `settings` are the processor's own, by their names in its files; `pixels` the limits that it is told.
    """

    model_type: str
    settings: Mapping[str, Any]
    pixels: Pixels = field(default_factory=Pixels)


@dataclass(frozen=True, kw_only=True, slots=True)
class LengthRule:
    """What is otherwise for a shown part of at most `up_to` seconds (None: for all longer ones); None: as without."""

    up_to: float | None = None
    num_frames: int | None = None
    fps: float | None = None
    max_frames: int | None = None
    pixels: Pixels | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameSampling:
    """Which frames of a video are shown: a policy by name with a frame count or a rate in frames per second.

    `times` says what a second is: "nominal" counts frames at the video's mean rate, as VLMEvalKit does; "real" goes by
    the frames' own times, which differ where the rate varies. Of a rate `min_frames` and `max_frames` are the fewest
    and the most, and the count is a multiple of `multiple`, as the policy rounds. `by_length`: rules by the length of
    what is shown, the first that fits counts.
    """

    policy: str
    num_frames: int | None = None
    fps: float | None = None
    max_frames: int | None = None
    times: Literal["nominal", "real"] = "nominal"
    min_frames: int | None = None
    multiple: int | None = None
    by_length: tuple[LengthRule, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As it is stored and sent: what is at its default is left out."""
        return plain(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipRef:
    """A clip that a question names: a video, the seconds of it (None: the whole), its frames (None: as the run says).

    `video` is a path relative to the data root ("/" separators).
    """

    video: str
    start: float | None = None
    end: float | None = None
    sampling: FrameSampling | None = None

    @property
    def span(self) -> tuple[float, float] | None:
        """The part of the video that is shown, in seconds; None is the whole."""
        return None if self.start is None or self.end is None else (self.start, self.end)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sound:
    """Sound that is heard with a question, and its place in a prompt: an audio file, or the sound of the clip `clip`.

    `path` is relative to the data root. A model is given `path` in any case, absolute, and of a clip's video the
    seconds `start` to `end` (None: all of it).
    """

    clip: int = 0
    path: str = ""
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One question about one video, or about several clips, images and sounds.

    `id` is the benchmark's own index as text, `video` a path relative to the data root ("/" separators),
    `start`/`end` seconds inside the video, `row` the benchmark's own columns in their order. A question about several
    clips names them in `clips` instead, and `video` is then the first one's. `images` are paths like `video`.
    """

    id: str
    question: str
    video: str = ""
    answer: str | None = None
    candidates: tuple[str, ...] = ()
    start: float | None = None
    end: float | None = None
    clips: tuple[ClipRef, ...] = ()
    images: tuple[str, ...] = ()
    sounds: tuple[Sound, ...] = ()
    row: Mapping[str, Scalar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.clips and self.start is None and self.end is None and self.video in ("", self.clips[0].video):
            object.__setattr__(self, "video", self.clips[0].video)
        elif self.clips:
            raise ValueError(f"sample {self.id}: give video, start and end, or clips, not both")
        if self.sounds and any(sound.clip not in range(len(self.shown)) for sound in self.sounds):
            raise ValueError(f"sample {self.id}: the sound of a clip that it does not show (clips count from 0)")

    @property
    def shown(self) -> tuple[ClipRef, ...]:
        """The clips in order, also of a question that names one video only."""
        return self.clips or (ClipRef(video=self.video, start=self.start, end=self.end),)

    @property
    def span(self) -> tuple[float, float] | None:
        """The part of the first video that is shown, in seconds; None is the whole."""
        return self.shown[0].span

    @property
    def has_spans(self) -> bool:
        """Whether only some seconds are shown of any of its videos."""
        return any(ref.span for ref in self.clips) or (self.start is not None and self.end is not None)

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that is shown or heard, relative to the data root, each once."""
        if not (self.clips or self.images or self.sounds):  # nearly every question
            return (self.video,)
        heard = (sound.path for sound in self.sounds if sound.path)
        return tuple(dict.fromkeys((*(ref.video for ref in self.shown), *self.images, *heard)))

    def beside(self) -> dict[str, Any]:
        """What is shown and heard beside one video, as JSON; empty for a question about one video."""
        if not (self.clips or self.images or self.sounds):  # nearly every question
            return {}
        return {name: value for name, value in plain(self).items() if name in ("clips", "images", "sounds")}
