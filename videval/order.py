"""An order: what a user asks for, before it is a run. Values only; the rows are made by `videval.runs`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from videval import __version__
from videval.benchmarks.base import Benchmark
from videval.errors import UsageError, VideoFailure
from videval.models.catalog import check_frames, load_key
from videval.models.context import Asking, too_long
from videval.models.dialects import reads_itself
from videval.models.endpoint_card import endpoint_card
from videval.models.limits import refuse_thinking, refused
from videval.models.remote_limits import remarks_on_remote
from videval.plain import plain
from videval.runkey import Content, KeyParts, content_of, run_key, sampling_of_key
from videval.types import FrameSampling, GenerationSettings, ModelSpec, PromptSet, RecipeUsed, Sample, Variant
from videval.video.paths import absent, resolve_video
from videval.video.sampling import check_sampling, explicit

__all__ = ["Order", "flat"]


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a user asks for: these questions, sampled and worded like this, of that model.

    `max_frames` and `max_pixels` cap what the model sees; `limit`: so many requests, as a trial that can grow later;
    `in_order`: as the benchmark has them, not longest first; `race_tail`: at the end idle workers may try what another
    one takes long for; `allow_missing`: go on without the questions whose videos are not here. `prompts`: whose wording
    and frames, None is the benchmark's default; `left_out`: rows that cannot be asked, named. `recipe`: by which recipe
    it is made; `sampled`: the frames that it asks for in place of the page's. `max_cost`, `max_tokens`: what all
    answers together may cost and take, of a model at an endpoint. `remembered`: what its questions come to, where that
    is known without looking at them.
    """

    benchmark: Benchmark
    variant: Variant
    samples: Sequence[Sample]
    root: Path
    spec: ModelSpec
    dtype: str = "auto"
    generation: GenerationSettings = field(default_factory=GenerationSettings)
    max_frames: int | None = None
    max_pixels: int | None = None
    max_attempts: int = 3
    priority: int = 0
    limit: int | None = None
    in_order: bool = False
    race_tail: bool = False
    allow_missing: bool = False
    allow_symlinks: bool = False
    prompts: PromptSet | None = None
    left_out: tuple[str, ...] = ()
    recipe: RecipeUsed | None = None
    sampled: FrameSampling | None = None
    max_cost: float | None = None
    max_tokens: int | None = None
    remembered: Content | None = None

    @cached_property
    def content(self) -> Content:
        """What its questions come to; they are gone through once, if it is not remembered."""
        return self.remembered or content_of(self.benchmark.name, self.samples)

    @property
    def prompt_set(self) -> PromptSet:
        """Whose wording and frames; UsageError if the benchmark does not have them."""
        return self.benchmark.prompt_set(self.prompts)

    @property
    def form(self) -> Literal["video", "frames"]:
        """How the model is shown the clip."""
        return self.spec.form

    def sampling(self) -> FrameSampling:
        """The frames that will be shown: count by the variant, policy by the model if it has one of its own, with all
        that the policy fills in.

        UsageError if benchmark or model cannot do that; nothing is clamped silently.
        """
        check_frames(self.spec, self.variant)
        told = self.variant.subtitles and self.prompt_set != PromptSet.VLMEVALKIT  # which leaves them out, as said
        if told and self.benchmark.subtitles_need_frames and self.form == "video":
            raise UsageError(
                f"{self.variant.name} puts subtitles between the frames; {self.spec.name} takes a whole video",
                hint="use the variant without _subs, or a model that takes images",
            )
        base = self.benchmark.sampling(self.variant, self.prompt_set)
        spec = self.spec
        if self.sampled is not None:
            base, spec = self.sampled, replace(spec, policy=None)  # asked for by name: not the model's own
        if base.num_frames is not None and self.max_frames is not None and base.num_frames > self.max_frames:
            raise UsageError(
                f"{self.variant.name} asks for {base.num_frames} frames, --max-frames allows {self.max_frames}",
                hint="choose a smaller variant; --max-frames caps variants by rate",
            )
        sampling = explicit(spec.fitted(base, max_frames=self.max_frames))
        check_sampling(sampling)
        return sampling

    def settled(self) -> dict[str, Any]:
        """All that a recipe may set, and how the model is run, field by field, as it will be: what deviates from a
        recipe is found by this."""
        said: dict[str, Any] = {
            "variant": self.variant.name,
            "model": self.spec.name,
            "adapter": self.spec.adapter,
            "dtype": self.dtype,
            "attention": self.spec.attention,
            "trust_remote_code": self.spec.trust_remote_code,
            "prompts": self.prompt_set.value,
            "wording": plain(self.recipe.wording) if self.recipe and self.recipe.wording else {},
            "frames": self.sampling(),
            "pixels": replace(self.spec.pixels, max_pixels=self.max_pixels or self.spec.pixels.max_pixels),
            "generation": self.generation,
        }
        return {name: value for field, what in said.items() for name, value in flat(field, what)}

    @property
    def races(self) -> bool:
        """Whether its requests may be raced: never at an endpoint."""
        return self.race_tail and self.spec.remote is None

    def remarks(self) -> list[str]:
        """What is not asked, not shown or cannot be answered, to be said before anybody waits for it."""
        said = [f"left out: {row}" for row in self.left_out]
        said += self.benchmark.remarks(self.samples, self.variant, self.spec, self.prompt_set)
        if self.race_tail and not self.races:
            said.append("--race-tail changes nothing at an endpoint, where each call is paid for")
        return [*said, *self.refused()]

    def refused(self) -> list[str]:
        """Remarks on the questions that the model cannot be asked; UsageError if it can be asked none."""
        return list(self._refused)

    @cached_property
    def _refused(self) -> tuple[str, ...]:
        refuse_thinking(self.spec, self.generation)
        said = refused(self.spec, self.samples, max_frames=self.max_frames, sampling=self.sampling())
        if self.benchmark.is_foreign and self.spec.remote and reads_itself(self.spec):
            raise UsageError(
                f"{self.spec.name} is sent files, and the questions of {self.benchmark.name} come with frames",
                hint='transport = "frames" in the endpoint\'s entry',
            )
        said += remarks_on_remote(self.spec, self.generation, self._asking(), max_pixels=self.max_pixels)
        return (*said, *too_long(self.spec, self._asking()))

    def _asking(self) -> Asking:
        """What of the order decides how many tokens a question has."""
        cap = self.max_pixels if self.spec.resizes else None
        return Asking(
            samples=self.samples,
            root=self.root,
            sampling=self.sampling(),
            pixels=replace(self.spec.pixels, max_pixels=cap or self.spec.pixels.max_pixels),
            new_tokens=self.generation.max_new_tokens,
        )

    @property
    def load_key(self) -> str:
        """What must be loaded to answer it."""
        return load_key(self.spec, self.dtype)

    def run_key(self, content: str) -> str:
        """What it shares with every order of the same run; `content` is its snapshot's digest."""
        return run_key(
            KeyParts(
                content=content,
                variant=self.variant.name,
                sampling=sampling_of_key(self.sampling(), has_spans=self.content.has_spans),
                load_key=self.load_key,
                generation=self.generation,
                form=self.form,
                max_pixels=self.max_pixels,
                pack=self.variant.pack,
                subtitles=self.variant.subtitles,
                prompts=self.prompt_set,
                protocol=self.benchmark.protocol_version,
                pixels=self.spec.pixels,
                wording=self.recipe.wording if self.recipe else None,
            )
        )

    def missing_files(self) -> list[str]:
        """The videos, images and sounds (relative paths) that are not below the root; UsageError for one that leaves
        it. Of another toolkit's benchmark only that knows where they are."""
        if self.benchmark.is_foreign:
            return []
        files = self.content.files
        try:
            for file in files:
                resolve_video(self.root, file, allow_symlinks=self.allow_symlinks)
        except VideoFailure as error:
            raise UsageError(f"{self.variant.name}: {error}; nothing was enqueued", hint=error.hint) from error
        return absent(files, self.root)

    def card(self, content: str) -> dict[str, Any]:
        """All that the numbers depend on; hardware and library versions are added from the attempts when it is
        shown."""
        return {
            "videval": __version__,
            "benchmark": {
                "name": self.benchmark.name,
                "title": self.benchmark.title,
                "paper": self.benchmark.paper,
                "variant": self.variant.name,
                "questions": self.content.questions,
                "content": content,
                "pack": self.variant.pack,
                "subtitles": self.variant.subtitles,
                "prompts": self.prompt_set,
                "protocol": self.benchmark.protocol_version,
                "remarks": self.remarks(),
            },
            "model": asdict(self.spec) | {"dtype": self.dtype},
            **({"endpoint": endpoint_card(self.spec)} if self.spec.remote else {}),
            "frames": asdict(self.sampling()) | {"form": self.form, "max_pixels": self.max_pixels},
            "generation": asdict(self.generation),
        }


def flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A record or a mapping as its fields with their full names, in order; anything else as it stands."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if not isinstance(value, Mapping):
        yield name, value
        return
    for field_name, inner in value.items():
        yield f"{name}.{field_name}", inner
