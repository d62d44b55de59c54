"""Between rows and records: what the rest of videval sees of the tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from videval.errors import NewerRun
from videval.plain import Unreadable, restored
from videval.types import (
    POLICIES,
    Allowance,
    ClipRef,
    FrameSampling,
    GenerationSettings,
    ModelSpec,
    PromptSet,
    RecipeUsed,
    Sample,
    Scalar,
    Sound,
    Wording,
)

__all__ = [
    "Claim",
    "RunConfig",
    "RunInfo",
    "StoredSample",
    "WorkerIdentity",
    "run_config",
    "run_info",
    "sample_of",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """All that a worker must know of a run to answer its requests; fixed when the run is created, but for `allowance`:
    what it may take, where that is limited, as it was when the request was claimed."""

    run_id: int
    name: str
    benchmark: str
    variant: str
    spec: ModelSpec
    load_key: str
    sampling: FrameSampling
    generation: GenerationSettings
    pack: bool
    subtitles: bool
    form: Literal["video", "frames"]
    data_root: str
    max_pixels: int | None
    prompts: str = PromptSet.PAPER
    protocol: int = 1
    recipe: RecipeUsed | None = None
    race_tail: bool = False
    allowance: Allowance | None = None

    @property
    def wording(self) -> Wording | None:
        """How its recipe puts a question in place of the benchmark's page; None: as the page does."""
        return self.recipe.wording if self.recipe else None

    def sampling_of(self, ref: ClipRef) -> FrameSampling:
        """The frames of a clip that a question shows: the run's, unless the clip asks for its own."""
        if ref.sampling is None:
            return self.sampling
        return self.spec.fitted(ref.sampling, max_frames=self.sampling.max_frames)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunInfo:
    """A run as people see it; `prompts`: whose wording, `protocol`: which version of the benchmark's page; `halted`,
    `max_cost`, `max_tokens`: see `RunRow`."""

    run_id: int
    name: str
    benchmark: str
    variant: str
    model: str
    state: str
    load_key: str
    dtype: str | None
    pack: bool
    priority: int
    limit: int | None
    snapshot_id: int
    num_samples: int
    columns: tuple[str, ...]
    data_root: str
    missing: tuple[str, ...]
    card: Mapping[str, Any]
    created_at: float
    prompts: str = PromptSet.PAPER
    protocol: int = 1
    recipe: RecipeUsed | None = None
    halted: str | None = None
    max_cost: float | None = None
    max_tokens: int | None = None

    @property
    def currency(self) -> str:
        """What its answers are paid in, by the prices of its endpoint; empty where these say nothing."""
        return str(self.card.get("endpoint", {}).get("currency") or "")

    @property
    def endpoint(self) -> str:
        """The endpoint that its model runs at; empty: at none."""
        return str(self.card.get("endpoint", {}).get("name", ""))

    @property
    def is_imported(self) -> bool:
        """Whether answers of it were read from result files."""
        return "imported" in self.card

    @property
    def origin(self) -> str:
        """From which files answers of it were read, in words; empty: from none."""
        imported = self.card.get("imported")
        if not imported:
            return ""
        names = [str(file["name"]) for file in imported["files"]]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return f"imported from {', '.join(names[:3])}{more} ({imported['tool']})"


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredSample:
    """A sample with the id of its row."""

    row_id: int
    sample: Sample


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerIdentity:
    """One life of one worker process; `lock_domain`: device locks mean something among workers that share it."""

    id: str
    name: str
    host: str
    lock_domain: str
    pid: int
    device: str
    device_name: str = ""
    environment: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A request that this worker may work on; `attempt` is its fencing token.

    `key` says how its samples are asked (see `videval.asking`), `alone`: never batched with others, `queue_s`: seconds
    since it could first have been claimed, `rung`: whether a bell of its own is, or was, on its way.
    """

    request_id: int
    attempt: int
    key: str
    alone: bool
    retries: int
    queue_s: float
    run: RunConfig
    stored: tuple[StoredSample, ...]
    rung: bool = True

    @property
    def is_race(self) -> bool:
        """Whether another worker holds the request and this one tries it too, as a guest (see `videval.db.races`)."""
        return self.attempt < 0

    @property
    def samples(self) -> tuple[Sample, ...]:
        """What is asked about, without the ids of rows."""
        return tuple(stored.sample for stored in self.stored)


def run_config(row: Any) -> RunConfig:
    """The worker's view of a row of `runs`; NewerRun if it says what this videval does not know."""
    made_here = {"run_id", "allowance"}
    values = {name: getattr(row, name) for name in RunConfig.__dataclass_fields__ if name not in made_here}
    try:
        config = restored(RunConfig, {"run_id": row.id, **values})
    except Unreadable as error:
        raise NewerRun(row.name, str(error)) from error
    if config.sampling.policy not in POLICIES:
        raise NewerRun(row.name, f"sampling.policy {config.sampling.policy!r}")
    return config


def run_info(row: Any) -> RunInfo:
    """People's view of a row of `runs` joined with its snapshot's `num_samples` and `columns`."""
    made_here = {"run_id", "missing", "columns", "recipe"}
    return RunInfo(
        run_id=row.id,
        missing=tuple(row.missing),
        columns=tuple(row.columns),
        recipe=_recipe(row.recipe),
        **{name: getattr(row, name) for name in RunInfo.__dataclass_fields__ if name not in made_here},
    )


def _recipe(stored: Mapping[str, Any] | None) -> RecipeUsed | None:
    """A run's recipe; None of one that only a newer videval can read, whose runs can be looked at all the same."""
    try:
        return restored(RecipeUsed, stored) if stored else None
    except Unreadable:
        return None


def sample_of(row: Any) -> Sample:
    """The Sample of a row of `samples`."""
    return Sample(
        id=row.key,
        video=row.video,
        question=row.question,
        answer=row.answer,
        candidates=tuple(row.candidates),
        start=row.start,
        end=row.end,
        row=row.row,
        **(_beside(row.beside) if row.beside else {}),
    )


def _beside(stored: Mapping[str, Any]) -> dict[str, Any]:
    """What is shown and heard beside one video."""
    return {
        "clips": tuple(restored(ClipRef, ref) for ref in stored.get("clips", ())),
        "images": tuple(stored.get("images", ())),
        "sounds": tuple(restored(Sound, sound) for sound in stored.get("sounds", ())),
    }
