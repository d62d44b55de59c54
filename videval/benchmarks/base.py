"""What a benchmark is: facts about it, its questions, its prompt, its frames, its score."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from videval.errors import UsageError
from videval.metrics import GroupMean, Mean, Metric
from videval.types import Clip, Frame, FrameSampling, ModelSpec, Part, PromptSet, Sample, Variant, Video

if TYPE_CHECKING:
    from videval.models.messages import Message

__all__ = ["NO_SCORER", "Benchmark", "Shown"]

NO_SCORER = "none"
"""The `scorer` of a benchmark that no rule can score; its `needs` says what is missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What a prompt is worded around: the clips, in which form the model takes them, and the run's options.

    `form`: "video" for models that take a video, "frames" for models that take images.
    `root` is the benchmark's data folder on this machine (for subtitles). `prompts`: whose wording; None is the
    benchmark's default.
    """

    clips: tuple[Clip, ...]
    form: Literal["video", "frames"]
    root: Path
    subtitles: bool = False
    prompts: PromptSet | None = None

    @property
    def clip(self) -> Clip:
        """The first clip: the only one of most benchmarks."""
        return self.clips[0]


class Benchmark(ABC):
    """A test set with its protocol.

    A subclass is one page: facts as class attributes, then how the questions are read, worded and scored.
    Everything is pure but `load`, which reads the prepared data below `root`.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    authors: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    license: ClassVar[str] = ""
    questions: ClassVar[int | None] = None
    videos: ClassVar[int | None] = None
    size_gb: ClassVar[float | None] = None

    scorer: ClassVar[str]
    """Name of the rule-based scorer; `scorer_for` may choose by sample. NO_SCORER: see `needs`."""
    needs: ClassVar[str] = ""
    """What scoring needs that is not here (a judge), for all or for some of the samples; empty: nothing."""
    vlmevalkit: ClassVar[str] = ""
    """Which of VLMEvalKit's rule paths rates it (`videval.scorers.vlmevalkit.RULES`); empty: none is reproduced."""
    groups: ClassVar[tuple[str, ...]] = ()
    """Columns by which the score is reported, each on its own; `groups_of` says which groups a value belongs to."""
    metrics: ClassVar[tuple[Metric, ...]] = (Mean(), GroupMean())
    """How the score is made, each way by its name; the first is the headline."""

    prompt_sets: ClassVar[tuple[PromptSet, ...]] = (PromptSet.PAPER,)
    """Whose wording and frames the page knows, the default first; a reference without this benchmark is not among
    them."""
    protocol_version: ClassVar[int] = 1
    """Counted up when a released page begins to word or sample otherwise, so that no run goes on in two ways."""
    max_new_tokens: ClassVar[int | None] = None
    """How many new tokens an answer may have, where the reference says so; None: as the model's entry says."""

    frame_policy: ClassVar[str | None] = "interior"
    """Sampling policy of `_{n}frame` variants; None: not supported."""
    frame_policies: ClassVar[Mapping[PromptSet, str]] = {}
    """The policy of prompt sets that show other frames than `frame_policy`."""
    rate_policy: ClassVar[str | None] = "rate"
    """Sampling policy of `_{f}fps` variants; None: not supported, and `no_rate` says why."""
    no_rate: ClassVar[str] = ""
    times: ClassVar[Literal["nominal", "real"]] = "nominal"
    """What a second of a span or of a rate is (see FrameSampling); published numbers were made with nominal ones."""
    supports_pack: ClassVar[bool] = False
    unpacked_suffix: ClassVar[str] = ""
    """What variants that are not packed end in, where the published names say so (_nopack)."""
    supports_subtitles: ClassVar[bool] = False
    subtitles_need_frames: ClassVar[bool] = False
    """Whether subtitles stand between the frames, so that a model that takes a video cannot be told them."""
    published: ClassVar[tuple[str, ...]] = ()
    """The variant names that VLMEvalKit publishes; any other count or rate parses too."""
    stem: ClassVar[str] = ""
    """How variants' names begin; empty: as the benchmark is named."""
    is_foreign: ClassVar[bool] = False
    """Whether another toolkit has its data and words its questions: `message` says how, in place of `prompt`."""
    folder_fps: ClassVar[float] = 3.0
    """Frames per second of a video that is a folder of images."""

    def variant(
        self,
        *,
        num_frames: int | None = None,
        fps: float | None = None,
        pack: bool = False,
        subtitles: bool = False,
    ) -> Variant:
        """The variant with its one name: the same settings are always called the same."""
        amount = f"{num_frames}frame" if fps is None else f"{fps:.6f}".rstrip("0").rstrip(".") + "fps"
        options = "_subs" * subtitles + ("_pack" if pack else self.unpacked_suffix)
        return Variant(
            name=f"{self.stem or self.name}_{amount}{options}",
            benchmark=self.name,
            num_frames=num_frames if fps is None else None,
            fps=fps,
            pack=pack,
            subtitles=subtitles,
        )

    def scorer_for(self, sample: Sample) -> str | None:
        """The scorer of one sample; None: it has no answer to compare with, or no rule can score it."""
        return None if sample.answer is None or self.scorer == NO_SCORER else self.scorer

    def prompt_set(self, name: str | None = None) -> PromptSet:
        """The prompt set of this name, None is the default; UsageError, naming those that the page has."""
        known = self.prompt_sets
        if name is None or name in known:
            return known[0] if name is None else PromptSet(name)
        raise UsageError(
            f"{self.name} has no prompt set {name!r}; it has {', '.join(known)}", hint=f"--prompts {known[0]}"
        )

    def groups_of(self, column: str, value: str) -> tuple[str, ...]:
        """The groups of a column that a question with this value counts in; several where it is published so."""
        return (value,)

    def sampling(self, variant: Variant, prompts: PromptSet | None = None) -> FrameSampling:
        """The variant's frames as the protocol chooses them; UsageError if it does not support that."""
        if variant.pack and not self.supports_pack:
            raise UsageError(f"{self.name} has no pack mode", hint=f"use {variant.name.replace('_pack', '')}")
        if variant.subtitles and not self.supports_subtitles:
            raise UsageError(f"{self.name} has no subtitles", hint=f"use {variant.name.replace('_subs', '')}")
        if variant.fps is not None:
            if self.rate_policy is None:
                raise UsageError(f"{self.name} is not sampled by rate ({variant.fps:g} fps)", hint=self.no_rate)
            return FrameSampling(policy=self.rate_policy, fps=variant.fps, times=self.times)
        if self.frame_policy is None:
            raise UsageError(f"{self.name} is not sampled by frame count", hint=f"use {self.name}_1fps")
        policy = self.frame_policies.get(prompts or self.prompt_sets[0], self.frame_policy)
        return FrameSampling(policy=policy, num_frames=variant.num_frames, times=self.times)

    @abstractmethod
    def load(self, root: Path, variant: Variant) -> Sequence[Sample]:
        """Read the prepared questions below `root`; DataMissing or InvalidTable if not as published."""

    def left_out(self, root: Path, variant: Variant) -> tuple[str, ...]:
        """The published rows that `load` leaves out since they cannot be asked, each named with why."""
        return ()

    def remarks(
        self, samples: Sequence[Sample], variant: Variant, spec: ModelSpec, prompts: PromptSet
    ) -> Iterator[str]:
        """What is odd about these questions, or is not shown to or cannot be asked of this model; said at enqueue."""
        yield from ()

    @abstractmethod
    def prompt(self, sample: Sample, shown: Shown) -> tuple[Part, ...]:
        """The published prompt of one question."""

    def message(self, samples: Sequence[Sample], *, pack: bool, video_llm: bool) -> tuple["Message", str]:
        """Of a foreign benchmark: what is told of a question, or of all about a video, with absolute paths of files;
        and the name that VLMEvalKit's models are told with it. Raises VideoFailure, EnvironmentProblem."""
        raise UsageError(f"{self.name} is not another toolkit's")

    def pack_prompt(self, samples: Sequence[Sample], shown: Shown) -> tuple[Part, ...]:
        """The published prompt of all questions about the same clips at once."""
        raise UsageError(f"{self.name} has no pack mode")

    def bare_question(self, sample: Sample) -> str:
        """The question in itself: without options, where these stand in its text too."""
        return sample.question

    def subtitle_text(self, sample: Sample, shown: Shown, *, once: bool = False) -> str:
        """What is said in the clip as one text, for each frame a line, or each `once`; UsageError if the page has no
        such text."""
        raise UsageError(f"{self.name} has no subtitles as one text", hint="leave {subtitles} out of the wording")

    def frames_or_video(self, shown: Shown, clip: int = 0) -> tuple[Part, ...]:
        """A clip as one video, or as its frames in order, as the model takes it; `clip` is its number, from 0."""
        if shown.form == "video":
            return (Video(clip=clip),)
        return tuple(Frame(position=i, clip=clip) for i in range(shown.clips[clip].num_frames))
