"""The models by name, as data: adapter, checkpoint, frame limits, generation defaults. Imports no torch.

A model is named by its name here, by a plug-in's entry point in the group `videval.models` (a ModelSpec), or as
`ADAPTER:PATH`, e.g. `video_llava:./my-checkpoint`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from videval import registry
from videval.errors import UnknownName, UsageError
from videval.models.checkpoints import require_checkpoint
from videval.protocols import Model, Server
from videval.types import GenerationSettings, ModelSpec, Variant

__all__ = [
    "DTYPES",
    "MODELS",
    "check_frames",
    "concrete_dtype",
    "load_key",
    "load_model",
    "model_names",
    "model_spec",
]

DTYPES = ("auto", "bfloat16", "float16", "float32")

VIDEO_LLAVA_7B = ModelSpec(
    name="Video-LLaVA-7B",
    adapter="video_llava",
    checkpoint="LanguageBind/Video-LLaVA-7B-hf",
    images=False,
    frame_counts=(8,),
    policy="stride",
    note="the Hugging Face port of Video-LLaVA-7B",
)
VIDEO_LLAVA_TINY = ModelSpec(
    name="Video-LLaVA-tiny",
    adapter="video_llava",
    checkpoint="package:tiny",
    images=False,
    frame_counts=(8,),
    policy="stride",
    generation=GenerationSettings(max_new_tokens=32),
    note="2 million parameters, shipped with videval; answers questions about moving shapes, for demos and tests",
)
FAKE = ModelSpec(
    name="fake",
    adapter="fake",
    checkpoint="fake",
    note="no model: deterministic answers, steered by the columns latency_ms, fake_answer and fake_fault",
)

MODELS: Mapping[str, ModelSpec] = {
    spec.name: spec
    for spec in (VIDEO_LLAVA_7B, replace(VIDEO_LLAVA_7B, name="Video-LLaVA-7B-HF"), VIDEO_LLAVA_TINY, FAKE)
}
"""Name -> what it stands for; the published names, in the order in which they are listed."""

FAKE_SERVER = replace(FAKE, adapter="fake_server", note="the fake as a server of so many streams")
FAKES = (FAKE.adapter, FAKE_SERVER.adapter)
"""Adapters whose checkpoint is no folder."""
_TEMPLATES: Mapping[str, ModelSpec] = {"video_llava": VIDEO_LLAVA_7B, "fake": FAKE, "fake_server": FAKE_SERVER}
"""Adapter -> the spec whose limits a checkpoint named `ADAPTER:PATH` shares."""


def model_names() -> list[str]:
    """All names of models: the catalog's and the plug-ins'."""
    return [*MODELS, *(name for name in _plugins() if name not in MODELS)]


def model_spec(name: str) -> ModelSpec:
    """The model called `name`. Raises UnknownName, or ModelUnavailable for a folder without a checkpoint."""
    if name in MODELS:
        return MODELS[name]
    plugin = _plugins().get(name)
    if plugin is not None:
        return plugin
    adapter, colon, path = name.partition(":")
    if colon and path:
        return _local_spec(adapter, path)
    raise UnknownName("model", name, model_names())


def load_model(spec: ModelSpec, *, devices: Sequence[str], dtype: str = "auto") -> Model | Server:
    """Load a model on devices (`cpu`, `cuda:0`; none: it runs elsewhere) through its adapter.

    Only an engine process calls this. Raises ModelUnavailable, and UsageError for a dtype that does not exist.
    """
    load: Callable[..., Model | Server]
    load = registry.resolve(spec.adapter) if ":" in spec.adapter else _adapter(spec.adapter)
    return load(spec, devices=devices, dtype=concrete_dtype(dtype, devices[0]) if devices else dtype)


def check_frames(spec: ModelSpec, variant: Variant) -> None:
    """Raise UsageError, naming the variant that would do, if the model cannot take the variant's frames."""
    if spec.frame_counts:
        if variant.num_frames in spec.frame_counts:
            return
        takes = f"exactly {_listed(spec.frame_counts)} frames"
    elif spec.max_frames is None or (variant.num_frames or 0) <= spec.max_frames:
        return
    else:
        takes = f"at most {spec.max_frames} frames"
    count = spec.max_frames if not spec.frame_counts else max(spec.frame_counts)
    use = _with_frames(variant, count or 0)
    raise UsageError(f"{variant.name} {spec.name}: {spec.name} takes {takes}, use {use}", hint=f"use {use}")


def concrete_dtype(dtype: str, device: str) -> str:
    """`auto` made concrete for a device: bfloat16 on a GPU, float32 on the CPU. UsageError for an unknown dtype."""
    if dtype not in DTYPES:
        raise UsageError(f"unknown dtype {dtype!r}", hint=f"one of {', '.join(DTYPES)}")
    if dtype != "auto":
        return dtype
    return "float32" if device.startswith("cpu") else "bfloat16"


def load_key(spec: ModelSpec, dtype: str, group_size: int = 1) -> str:
    """Stable text for what is loaded: models with one key are served by one load, and share a queue."""
    where = quote(spec.checkpoint, safe="/.-_:")
    revision = quote(spec.revision, safe="/.-_")
    return f"{spec.adapter}:{where}@{revision}:{dtype}:x{group_size}"


def _local_spec(adapter: str, path: str) -> ModelSpec:
    template = _TEMPLATES.get(adapter)
    if template is None:
        _adapter(adapter)
        template = ModelSpec(name=adapter, adapter=adapter, checkpoint="")
    if adapter in FAKES:
        return replace(template, name=f"{adapter}-{path}", checkpoint=path)
    folder = Path(path).expanduser().resolve()
    require_checkpoint(folder)
    return replace(template, name=folder.name, checkpoint=str(folder), revision="", note=f"{adapter}, local folder")


def _adapter(name: str) -> Callable[..., Model | Server]:
    try:
        adapter: Callable[..., Model | Server] = registry.load("adapter", "models", registry.ADAPTERS, name)
    except UnknownName as error:
        error.hint = f"adapters: {', '.join(sorted(registry.ADAPTERS))}"
        raise
    return adapter


def _plugins() -> dict[str, ModelSpec]:
    """The specs of other packages; an entry point of this group that is not a ModelSpec is an adapter."""
    found = {name: registry.load("model", "models", {}, name) for name in registry.names("models", {})}
    return {name: spec for name, spec in found.items() if isinstance(spec, ModelSpec)}


def _listed(counts: tuple[int, ...]) -> str:
    return " or ".join(str(count) for count in counts)


def _with_frames(variant: Variant, count: int) -> str:
    """The variant's name with another frame count, its other options kept."""
    name, swapped = re.subn(r"_\d+(\.\d+)?(frame|fps)(?=_|$)", f"_{count}frame", variant.name, count=1)
    return name if swapped else f"{variant.benchmark}_{count}frame"
