"""What a run is of: a variant of a benchmark, a model, and how it generates."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from videval.plain import restored
from videval.types.questions import POLICIES, FrameSampling, Pixels

__all__ = ["GenerationSettings", "ModelSpec", "Remote", "Variant"]


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerationSettings:
    """How the model generates; `seed`, `top_p`, `top_k` and `min_p` matter only when `temperature` > 0 (0 is greedy).

    `top_k` 0: from all tokens. `stop`: texts that end an answer and are not part of it. `thinking`: whether the chat
    template lets the model think first (None: as the template has it), for at most `thinking_budget` tokens, at which
    its thinking is ended for it.
    """

    max_new_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    stop: tuple[str, ...] = ()
    thinking: bool | None = None
    thinking_budget: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Remote:
    """At which endpoint a model runs, and how it is asked there: all of the endpoint's entry that answers depend on.

    `endpoint`: its name; `base_url`: its address where no entry says one (OPENAI_BASE_URL). `transport`: how frames
    travel, `server`: whose fields its body has (empty: of the first that takes the transport); both are in
    `videval/models/dialects.py`. `image`: how a frame is written, `quality`: of a JPEG; `detail`: how closely OpenAI
    looks at an image (low, high; empty: as it likes); `frame_mark`: the text in front of a frame that is an image, with
    {n} from 1 and {time} in seconds. `prefix`: how the beginning of an answer is given (continue: it goes on with it,
    question: it stands below the question; empty: as the server can). `longest`: the field of max_new_tokens (empty: as
    the server calls it); `omit`: fields of the body that the model refuses, and which are not sent; `extra`: what is
    sent besides.
    """

    endpoint: str
    base_url: str = ""
    transport: Literal["frames", "video", "frame_list", "file", "inline", "gemini"] = "frames"
    server: Literal["", "openai", "vllm", "sglang", "lmdeploy", "gemini", "dashscope"] = ""
    image: Literal["png", "webp", "jpeg"] = "png"
    quality: int = 95
    detail: Literal["", "low", "high", "auto"] = ""
    frame_mark: str = ""
    prefix: Literal["", "continue", "question"] = ""
    longest: Literal["", "max_tokens", "max_completion_tokens"] = ""
    omit: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


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
    `needs_device`: false for one that runs elsewhere, and is served by api seats only. `family`: of which entry in
    `videval.models.families` it is (empty: as its config says). `resizes`: whether its processor takes `pixels` as
    limits; of one that does not, frames are scaled when they are decoded. `attention`: the attention implementation
    (empty: the library's choice); `trust_remote_code`: whether code of the checkpoint may run. `context`: how many
    tokens it takes, `weights_gb`: what its weights need (10^9 bytes); None: its files say. `source`: where these
    settings are published. `here`: of a model or dataset that is an object in somebody's process, a digest of what the
    answers depend on there: only a process that has such objects answers for it (empty: any worker does). `told`:
    whether it is given messages with files in them, reads these by itself and generates by settings of its own, as
    VLMEvalKit's models do. `remote`: at which endpoint it runs, and how it is asked there (None: at none).
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
    family: str = ""
    resizes: bool = False
    pixels: Pixels = field(default_factory=Pixels)
    attention: str = ""
    trust_remote_code: bool = False
    context: int | None = None
    weights_gb: float | None = None
    source: str = ""
    here: str = ""
    told: bool = False
    remote: Remote | None = None

    def fitted(self, sampling: FrameSampling, *, max_frames: int | None = None) -> FrameSampling:
        """The frames as this model takes them: by its own policy if that takes such an amount, a rate up to its limit.

        `max_frames` caps a rate further; rules by length stay as they are, up to the same limit.
        """
        if sampling.num_frames is not None and not sampling.by_length:
            return replace(sampling, policy=self._own(sampling.policy, "num_frames"), max_frames=None)
        caps = [cap for cap in (max_frames, self.max_frames) if cap]
        rules = tuple(
            replace(rule, max_frames=min([rule.max_frames, *caps])) if rule.max_frames else rule
            for rule in sampling.by_length
        )
        most = min([*caps, *([sampling.max_frames] if sampling.max_frames else [])], default=None)
        policy = sampling.policy if rules else self._own(sampling.policy, "fps")
        return replace(sampling, policy=policy, max_frames=most, by_length=rules)

    def _own(self, policy: str, amount: str) -> str:
        """The model's own policy in place of this one, if it has one and that takes such an amount."""
        return self.policy if self.policy and amount in POLICIES.get(self.policy, (amount,)) else policy

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ModelSpec":
        """A spec as `plain` or `asdict` and JSON left it; Unreadable for one of a newer videval."""
        return restored(cls, data)
