"""The words of videval as frozen records: what crosses a boundary is one of these, never a dict or a row."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

from videval.plain import plain, restored

Scalar = str | int | float | bool | None
FAIL_MSG = "Failed to obtain answer via API."
"""What VLMEvalKit writes in place of an answer that it did not get; here only ever read, never written."""
Role = Literal["system", "user", "assistant"]


class RequestStatus(StrEnum):
    """Where a request stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RunState(StrEnum):
    """What a run wants; whether it is finished follows from its requests."""

    CREATING = "creating"
    ACTIVE = "active"
    PAUSED = "paused"
    CANCELLED = "cancelled"


class Stage(StrEnum):
    """What an attempt is doing; a process that dies in DECODE or GENERATE is held against the request."""

    CLAIMED = "claimed"
    DECODE = "decode"
    PREPARE = "prepare"
    WAIT = "wait"
    GENERATE = "generate"
    STORE = "store"


class AttemptOutcome(StrEnum):
    """How an attempt ended; RUNNING until then."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    REQUEUED = "requeued"
    RELEASED = "released"
    LOST = "lost"


class PredictionState(StrEnum):
    """Whether a sample's answer could be taken from the response."""

    ANSWERED = "answered"
    ABSENT = "absent"
    UNPARSABLE = "unparsable"


class Verdict(StrEnum):
    """What a rule-based scorer says of one prediction; UNPARSED is a class of its own, not wrong."""

    RIGHT = "right"
    WRONG = "wrong"
    UNPARSED = "unparsed"


class PromptSet(StrEnum):
    """Whose wording, frames and joining of texts a run uses, where the references of a benchmark disagree.

    PAPER is the default: the paper's, or that of the only reference where the paper publishes no prompt.
    """

    PAPER = "paper"
    VLMEVALKIT = "vlmevalkit"
    LMMS_EVAL = "lmms-eval"


POLICIES = ("interior", "segment", "uniform", "stride", "rate")
"""The names of `FrameSampling.policy`; `videval.video.sampling` says what each does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameSampling:
    """Which frames of a video are shown: a policy by name with a frame count or a rate in frames per second.

    `times` says what a second is: "nominal" counts frames at the video's mean rate, as VLMEvalKit does; "real" goes by
    the frames' own times, which differ where the rate varies.
    """

    policy: str
    num_frames: int | None = None
    fps: float | None = None
    max_frames: int | None = None
    times: Literal["nominal", "real"] = "nominal"

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
        if any(sound.clip not in range(len(self.shown)) for sound in self.sounds):
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
    def files(self) -> tuple[str, ...]:
        """Every file that is shown or heard, relative to the data root, each once."""
        heard = (sound.path for sound in self.sounds if sound.path)
        return tuple(dict.fromkeys((*(ref.video for ref in self.shown), *self.images, *heard)))

    def beside(self) -> dict[str, Any]:
        """What is shown and heard beside one video, as JSON; empty for a question about one video."""
        return {name: value for name, value in plain(self).items() if name in ("clips", "images", "sounds")}


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """The decoded frames of one video under one sampling: a uint8 array [n, height, width, 3] in a file.

    `frame_numbers` are 0-based in the policy's own order, `timestamps` seconds, one for each frame.
    `notes` say what was clamped or repaired. `path` is a .npy file that every process maps.
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

    `prompts` says in whose way an adapter joins the texts. `steering`: columns by which a test tells the fake model
    what to do; empty for every other model.
    """

    parts: tuple[Part, ...]
    clips: tuple[Clip, ...] = ()
    prompts: PromptSet = PromptSet.PAPER
    steering: Mapping[str, Scalar] = field(default_factory=dict)

    def text(self, role: Role) -> str:
        """All text of one role, joined as it stands."""
        return "".join(p.text for p in self.parts if isinstance(p, Text) and p.role == role)


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerationSettings:
    """How the model generates; `seed` matters only when `temperature` > 0 (0 is greedy)."""

    max_new_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Generation:
    """One answer of a model, raw, with token counts; `truncated`: it ended at max_new_tokens."""

    text: str
    prompt_tokens: int | None = None
    new_tokens: int | None = None
    truncated: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """One prompt on its way: `alone` never shares a batch; `together` names its clip, whose prefix it may share."""

    id: int
    prompt: Prompt
    settings: GenerationSettings
    alone: bool = False
    together: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a server gives: the generation, and seconds of preparing, waiting for a batch, and generating it."""

    generation: Generation
    prepare_s: float = 0.0
    wait_s: float = 0.0
    generate_s: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Timings:
    """Seconds a request spent in each stage, on the monotonic clock of its worker; `queue` on the database's."""

    queue: float = 0.0
    decode: float = 0.0
    prepare: float = 0.0
    wait: float = 0.0
    generate: float = 0.0
    store: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """What the model said to a request: raw text, the prompt (its files relative to the data root), timings."""

    text: str
    prompt: Prompt
    generation: Generation
    timings: Timings


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """The answer of one sample; `how` says how it was read (whole response, pack key, repaired, ...)."""

    sample_id: str
    state: PredictionState
    text: str | None
    how: str = "response"


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """What a scorer says of one prediction: a verdict, and a value where the scale is not right/wrong.

    `value` is in 0..1 (1.0 right, 0.0 wrong) and None when unparsed; `read` is what was read from the text; `scorer`
    who says so, with its version (choice@1).
    """

    verdict: Verdict
    value: float | None
    read: str | None = None
    scorer: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What was read in a response: a prediction for each of its samples, and scores by sample id."""

    predictions: tuple[Prediction, ...]
    scores: Mapping[str, Score]


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """A benchmark with its sampling and options as its name says them, e.g. Video-MME_8frame_subs.

    Exactly one of `num_frames` and `fps` is set.
    """

    name: str
    benchmark: str
    num_frames: int | None = None
    fps: float | None = None
    pack: bool = False
    subtitles: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSpec:
    """A catalog entry: a name with its adapter, checkpoint and limits.

    `frame_counts`: the only counts the model takes (empty: any up to `max_frames`); `policy`: its own sampling
    policy, which then replaces the variant's; `form`: whether it is shown a video or frames as images; `clips`: the
    most clips that it can be shown at once (None: any number); `images`, `sound`: whether it can be shown a question's
    own images beside the clip, and hear; `steered`: whether a sample's columns tell it what to do (the fake);
    `needs_device`: false for one that runs elsewhere, and is served by api seats only.
    """

    name: str
    adapter: str
    checkpoint: str
    revision: str = "main"
    dtype: str = "auto"
    form: Literal["video", "frames"] = "video"
    clips: int | None = None
    images: bool = True
    sound: bool = False
    steered: bool = False
    frame_counts: tuple[int, ...] = ()
    max_frames: int | None = None
    policy: str | None = None
    needs_device: bool = True
    generation: GenerationSettings = field(default_factory=GenerationSettings)
    note: str = ""

    def fitted(self, sampling: FrameSampling, *, max_frames: int | None = None) -> FrameSampling:
        """The frames as this model takes them: a count by its own policy if it has one, a rate up to its limit.

        `max_frames` caps a rate further.
        """
        if sampling.num_frames is not None:
            return replace(sampling, policy=self.policy or sampling.policy, max_frames=None)
        caps = (cap for cap in (sampling.max_frames, max_frames, self.max_frames) if cap)
        return replace(sampling, max_frames=min(caps, default=None))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ModelSpec":
        """A spec as `plain` or `asdict` and JSON left it; Unreadable for one of a newer videval."""
        return restored(cls, data)
