"""What a recipe says: the setting that a published number depends on, and the number."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from videval.plain import plain
from videval.types import FrameSampling, GenerationSettings, Pixels, PromptSet, Published, RecipeUsed, Wording

__all__ = ["Given", "MadeWith", "Recipe"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """What a source says of generating; None: it does not say, and the model's entry counts."""

    max_new_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    stop: tuple[str, ...] | None = None
    thinking: bool | None = None
    thinking_budget: int | None = None

    def over(self, settings: GenerationSettings) -> GenerationSettings:
        """The settings with what the source says in place of theirs."""
        return replace(settings, **self.said())

    def said(self) -> dict[str, Any]:
        """What the source says, by name."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeWith:
    """What else the published number was made with. It is shown beside a run and sets nothing: here videval does as
    the run card says."""

    harness: str = ""
    engine: str = ""
    decoder: str = ""
    extractor: str = ""
    subtitles: str = ""
    times: str = ""
    frames: str = ""

    def said(self) -> tuple[str, ...]:
        """Each fact in words."""
        return tuple(f"{f.name}: {value}" for f in fields(self) if (value := getattr(self, f.name)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A named, versioned setting of all that a published number depends on, as far as its source says.

    `name` is MODEL/BENCHMARK@WHOSE; `model` a name of the catalog, `variant` as it is enqueued (empty: any). `sampling`
    counts in place of the page's for variants with its count or rate. A question is put by `wording`, or by the page in
    the prompt set `prompts` (empty: the page's default), whose words have the digest `form`
    (`videval.benchmarks.forms`). Subtitles are the variant's. What is left out is as model and page have it. `lacks`:
    what videval would need to run it; such a recipe is listed and refused. `note`: what people should know.
    """

    name: str
    model: str
    variant: str
    source: str
    date: str
    version: str = "1"
    note: str = ""
    lacks: str = ""
    sampling: FrameSampling | None = None
    pixels: Pixels = field(default_factory=Pixels)
    prompts: PromptSet | None = None
    form: str = ""
    wording: Wording | None = None
    generation: Given = field(default_factory=Given)
    dtype: str = ""
    made_with: MadeWith = field(default_factory=MadeWith)
    published: tuple[Published, ...] = ()

    @property
    def digest(self) -> str:
        """Of all that is set, 16 hex digits: a name whose digest is another stands for another setting."""
        setting = plain(replace(self, source="", date="", note="", made_with=MadeWith(), published=()))
        line = json.dumps(setting, sort_keys=True, separators=(",", ":")).encode()
        return hashlib.sha256(line).hexdigest()[:16]

    def used(self, deviations: Sequence[str], wording: Wording | None) -> RecipeUsed:
        """What a run keeps of it; `wording`: how it puts its questions in the end."""
        return RecipeUsed(
            name=self.name,
            version=self.version,
            source=self.source,
            date=self.date,
            digest=self.digest,
            wording=wording,
            published=self.published,
            deviations=tuple(deviations),
            made_with=self.made_with.said(),
        )
