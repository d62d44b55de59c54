"""Runs of objects: a model with `generate(message, dataset=...)`, a dataset with `build_prompt(line, video_llm)`.

Both are what VLMEvalKit's users write (its `inference_video.py`, `vlm/base.py` and `dataset/video_base.py`, 2026, say
what is asked of them); they live in this process, and only it can answer with them.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from videval.benchmarks.object_page import ObjectBenchmark
from videval.benchmarks.object_rows import samples_of
from videval.compat.datasets import Dataset
from videval.errors import UsageError
from videval.models.checkpoints import OBJECT
from videval.models.objects import shown_as
from videval.order import Order
from videval.runkey import snapshot_digest
from videval.settings import Settings
from videval.types import GenerationSettings, ModelSpec, Variant

__all__ = ["OrderHere", "adjusted", "check_dataset", "check_model", "order_here"]

MATTERS = (
    "model_path", "model_name", "model", "version", "model_version", "revision", "base_url", "api_base", "min_pixels",
    "max_pixels", "total_pixels", "max_frames", "max_num_frames", "max_new_tokens", "max_tokens", "temperature",
    "top_p", "top_k", "repetition_penalty", "num_beams", "seed", "system_prompt", "img_size", "img_detail",
    "post_process", "use_custom_prompt", "use_audio_in_video", "kwargs", "generate_kwargs", "default_kwargs",
)  # fmt: skip
"""Attributes of a model that its answers depend on: another value of one is another run. Only plain values count."""

STRIKES = 20
"""Deaths of a process in the midst of a question until that is to blame, where nobody says otherwise: who starts such a
process kills it, too, and sees how it ends."""
SECRET = re.compile("key|token|secret|password|auth", re.IGNORECASE)
"""What is not to be read in a run card."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderHere(Order):
    """An order of objects; `about` says in its run card what they are."""

    about: Mapping[str, Any] = field(default_factory=dict)

    def missing_files(self) -> list[str]:
        """Of a dataset that is an object nobody else knows where its videos are."""
        return [] if isinstance(self.benchmark, ObjectBenchmark) else super(OrderHere, self).missing_files()

    def refused(self) -> list[str]:
        """An object says itself what it cannot be asked."""
        return [] if self.spec.adapter == OBJECT else super(OrderHere, self).refused()

    def card(self, content: str) -> dict[str, Any]:
        """With what the objects are."""
        return super(OrderHere, self).card(content) | {"objects": dict(self.about)}


def check_model(model: Any) -> None:
    """Raise UsageError unless it can be asked."""
    if not callable(getattr(model, "generate", None)):
        raise UsageError(
            f"{type(model).__name__} is no model: it has no generate(message, dataset=...)",
            hint="a name (videval list models), or an object with generate",
        )


def check_dataset(dataset: Any) -> None:
    """Raise UsageError unless it looks like VLMEvalKit's VideoBaseDataset."""
    lacking = [name for name in ("data", "dataset_name", "build_prompt") if not hasattr(dataset, name)]
    if lacking:
        raise UsageError(
            f"{type(dataset).__name__} is no dataset: it has no {', '.join(lacking)}",
            hint='build_dataset("MVBench_8frame"), or an object as VLMEvalKit\'s VideoBaseDataset',
        )
    modality = getattr(dataset, "MODALITY", "VIDEO")
    if modality != "VIDEO":
        raise UsageError(f"{dataset.dataset_name} is of {modality}, not of videos")


@contextmanager
def adjusted(model: Any, dataset: Any, name: str) -> Iterator[None]:
    """The model shown as many frames as the dataset says, where it has `nframe` or `fps`; as it was afterwards.

    UsageError if it can only be shown frames in the other way.
    """
    nframe, fps = getattr(dataset, "nframe", 0) or 0, getattr(dataset, "fps", 0) or 0
    with shown_as(model, name, whose=dataset.dataset_name, nframe=nframe, fps=fps):
        if hasattr(model, "set_dump_image") and hasattr(dataset, "dump_image"):
            model.set_dump_image(dataset.dump_image)
        yield


def order_here(
    dataset: Any, settings: Settings, *, spec: ModelSpec | None, model: Any, model_name: str, ticket: str
) -> OrderHere:
    """The order of a dataset's questions, where dataset or model is an object. `spec`: of a model by name; `ticket`:
    that of the call, which it goes on with."""
    own = isinstance(dataset, Dataset)
    samples = dataset.samples if own else samples_of(dataset)
    page = dataset.benchmark if own else ObjectBenchmark(samples)
    variant = dataset.variant if own else _variant(dataset)
    prompts = dataset.prompts if own else page.prompt_set()
    about = {"dataset": _about_dataset(dataset), "model": spec.name if spec else _about_model(model, dataset)}
    content = snapshot_digest(page.name, samples)
    digest = _digest({**about, "content": content, "variant": variant.name, "prompts": prompts, "ticket": ticket})
    made = spec or _spec(model, model_name)
    return OrderHere(
        benchmark=page,
        variant=variant,
        samples=samples,
        root=dataset.root if own else Path("/"),
        spec=replace(made, here=digest),
        dtype=made.dtype,
        generation=made.generation,
        max_attempts=settings.max_attempts if "max_attempts" in settings.model_fields_set else STRIKES,
        prompts=prompts,
        allow_symlinks=settings.allow_symlinks,
        about=about,
    )


def _spec(model: Any, name: str) -> ModelSpec:
    is_video = bool(getattr(model, "VIDEO_LLM", False))
    return ModelSpec(
        name=name or type(model).__name__,
        adapter=OBJECT,
        checkpoint=f"{type(model).__module__}.{type(model).__qualname__}",
        revision="",
        form="video" if is_video else "frames",
        sound=True,
        needs_device=False,
        generation=GenerationSettings(),
        note="an object in its user's process, which generates as it likes",
    )


def _variant(dataset: Any) -> Variant:
    frames, fps = getattr(dataset, "nframe", 0) or 0, getattr(dataset, "fps", 0) or 0
    pack = bool(getattr(dataset, "pack", False))
    amount = f"_{frames}frame" if frames > 0 else f"_{fps:g}fps" if fps > 0 else ""
    return Variant(
        name=f"{dataset.dataset_name}{amount}{'_pack' * pack}",
        benchmark=ObjectBenchmark.name,
        num_frames=int(frames) if frames > 0 or fps <= 0 else None,
        fps=float(fps) if fps > 0 >= frames else None,
        pack=pack,
    )


def _about_dataset(dataset: Any) -> dict[str, Any]:
    kind = type(dataset)
    return {"class": f"{kind.__module__}.{kind.__qualname__}", "name": dataset.dataset_name}


def _about_model(model: Any, dataset: Any) -> dict[str, Any]:
    """Its class, and what its answers depend on."""
    kind = type(model)
    found = {name: getattr(model, name, None) for name in MATTERS}
    plain = {name: _plain(value) for name, value in found.items() if value is not None and _is_plain(value)}
    frames = {key: getattr(dataset, key, None) for key in ("nframe", "fps") if _is_plain(getattr(dataset, key, None))}
    return {"class": f"{kind.__module__}.{kind.__qualname__}", **plain, "frames": frames}


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_is_plain(inner) for inner in value.values())
    if isinstance(value, list | tuple):
        return all(_is_plain(inner) for inner in value)
    return value is None or isinstance(value, str | int | float)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items() if not SECRET.search(str(name))}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _digest(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]
