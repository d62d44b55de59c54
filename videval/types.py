"""The words of videval as frozen records: what crosses a boundary is one of these, never a dict or a row."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
class Sample:
    """One question about one video.

    `id` is the benchmark's own index as text, `video` a path relative to the data root ("/" separators),
    `start`/`end` seconds inside the video, `row` the benchmark's own columns in their order.
    """

    id: str
    video: str
    question: str
    answer: str | None = None
    candidates: tuple[str, ...] = ()
    start: float | None = None
    end: float | None = None
    row: Mapping[str, Scalar] = field(default_factory=dict)

    @property
    def span(self) -> tuple[float, float] | None:
        """The part of the video that is asked about, in seconds; None is the whole."""
        return None if self.start is None or self.end is None else (self.start, self.end)


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
    """The place in a prompt where the whole clip is shown as one video."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """The place in a prompt where one frame of the clip is shown as an image; 0-based position in the clip."""

    position: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """The place in a prompt where an image file of the benchmark is shown; `path` relative to the data root."""

    path: str


Part = Text | Video | Frame | Image


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """What is said and shown to the model, in order; `clip` is what Video and Frame parts refer to.

    `image_root` is the folder that Image parts are relative to; `row` the (first) sample's own columns, which
    only a model that a test steers looks at. `prompts` says in whose way an adapter joins the texts.
    """

    parts: tuple[Part, ...]
    clip: Clip | None = None
    image_root: str = ""
    row: Mapping[str, Scalar] = field(default_factory=dict)
    prompts: PromptSet = PromptSet.PAPER

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
    """What the model said to a request: raw text, the prompt as sent, the clip it saw, timings."""

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

    `value` is in 0..1 (1.0 right, 0.0 wrong) and None when unparsed; `read` is what was read from the text.
    """

    verdict: Verdict
    value: float | None
    read: str | None = None


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
    policy, which then replaces the variant's; `form`: whether it is shown a video or frames as images; `images`:
    whether it can be shown a question's own image beside the clip.
    """

    name: str
    adapter: str
    checkpoint: str
    revision: str = "main"
    dtype: str = "auto"
    form: Literal["video", "frames"] = "video"
    images: bool = True
    frame_counts: tuple[int, ...] = ()
    max_frames: int | None = None
    policy: str | None = None
    needs_device: bool = True
    generation: GenerationSettings = field(default_factory=GenerationSettings)
    note: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ModelSpec":
        """A spec as `plain` or `asdict` and JSON left it; Unreadable for one of a newer videval."""
        return restored(cls, data)
