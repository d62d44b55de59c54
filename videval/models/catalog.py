"""The models by name, as data: adapter, checkpoint, frame limits, generation defaults. Imports no torch.

A model is named

- by its name here, or as the hub or VLMEvalKit names it, if `videval/models/cards/` has it;
- by a plug-in's entry point in the group `videval.models` (a ModelSpec);
- as `ADAPTER:PATH` or `ADAPTER:ORG/NAME`, e.g. `hf_chat:./my-checkpoint`, `hf_chat:Qwen/Qwen2.5-VL-7B-Instruct`;
- as `vllm:PATH` or `vllm:ORG/NAME`: what hf_chat loads, answered by vLLM;
- as `vlmevalkit:NAME`, by its name in VLMEvalKit, where that is installed;
- as `endpoint:NAME`, by its entry in the file of endpoints, or `openai:MODEL`.

A name of the hub may end in `@REVISION`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from urllib.parse import quote

from videval import registry
from videval.errors import UnknownName, UsageError
from videval.models import endpoints
from videval.models.cards import ADAPTER, cards, family_facts
from videval.models.checkpoints import model_type_of, require_checkpoint
from videval.models.on_vllm import ADAPTER as VLLM
from videval.models.on_vllm import on_vllm
from videval.models.vlmevalkit import names as toolkit_names
from videval.paths import expanded
from videval.protocols import KeepsPrefixes, Model, Server
from videval.types import GenerationSettings, ModelSpec, Variant

__all__ = [
    "DTYPES",
    "MODELS",
    "check_frames",
    "concrete_dtype",
    "known_as",
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
    clips=1,
    images=False,
    frame_counts=(8,),
    policy="stride",
    note="the Hugging Face port of Video-LLaVA-7B",
)
VIDEO_LLAVA_TINY = ModelSpec(
    name="Video-LLaVA-tiny",
    adapter="video_llava",
    checkpoint="package:tiny",
    clips=1,
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
    sound=True,
    steered=True,
    note="no model: deterministic answers, steered by the columns latency_ms, fake_answer and fake_fault",
)

MODELS: Mapping[str, ModelSpec] = {
    spec.name: spec
    for spec in (VIDEO_LLAVA_7B, replace(VIDEO_LLAVA_7B, name="Video-LLaVA-7B-HF"), VIDEO_LLAVA_TINY, FAKE)
}
"""Name -> what it stands for, of the models that have an adapter of their own."""

FAKE_SERVER = replace(FAKE, adapter="fake_server", note="the fake as a server of so many streams")
FAKE_API = replace(FAKE_SERVER, adapter="fake_api", needs_device=False, note="the fake as an endpoint: no device")
FAKES = (FAKE.adapter, FAKE_SERVER.adapter, FAKE_API.adapter)
"""Adapters whose checkpoint is no folder."""
_TEMPLATES: Mapping[str, ModelSpec] = {
    "video_llava": VIDEO_LLAVA_7B,
    "fake": FAKE,
    "fake_server": FAKE_SERVER,
    "fake_api": FAKE_API,
    ADAPTER: ModelSpec(name=ADAPTER, adapter=ADAPTER, checkpoint=""),
}
"""Adapter -> the spec whose limits a checkpoint named `ADAPTER:PATH` shares."""
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
"""A repository on the hub: ORG/NAME."""


def model_names() -> list[str]:
    """All names of models: those with an adapter of their own, the published ones and the plug-ins'."""
    named = [*MODELS, *cards()]
    return [*named, *(name for name in _plugins() if name not in named)]


def known_as(name: str) -> tuple[str, ...]:
    """The other names of a model."""
    return cards()[name].aliases if name in cards() else ()


def model_spec(name: str) -> ModelSpec:
    """The model called `name`. Raises UnknownName, or ModelUnavailable for a folder without a checkpoint."""
    named, at, revision = name.partition("@")
    own = MODELS.get(name) or _plugins().get(name)
    if own is not None:
        return own
    known = _published(named)
    if known is not None:
        return replace(known, name=f"{known.name}@{revision}", revision=revision) if at else known
    adapter, colon, path = name.partition(":")
    if colon and path:
        return _local_spec(adapter, path)
    raise _unknown(name)


def _published(name: str) -> ModelSpec | None:
    """The published checkpoint of that name, or that VLMEvalKit calls so."""
    found = cards().get(name) or next((c for c in cards().values() if name in c.aliases), None)
    return found.spec if found else None


def _unknown(name: str) -> UnknownName:
    error = UnknownName("model", name, [*model_names(), *(a for c in cards().values() for a in c.aliases)])
    if expanded(name).is_dir():
        error.hint = f"a folder is named with its adapter: {ADAPTER}:{name}"
    elif HUB_ID.fullmatch(name):
        error.hint += f"   or, as it is on the hub: {ADAPTER}:{name}"
    return error


def load_model(
    spec: ModelSpec, *, devices: Sequence[str], dtype: str = "auto", prefix_gb: float | None = 0.0
) -> Model | Server:
    """Load a model on devices (`cpu`, `cuda:0`; none: it runs elsewhere) through its adapter.

    `prefix_gb`: how much it may keep of the last clips' prefixes (None: a share of what is free), if it can.
    Only an engine process calls this. Raises ModelUnavailable, and UsageError for a dtype that does not exist.
    """
    load: Callable[..., Model | Server]
    load = registry.resolve(spec.adapter) if ":" in spec.adapter else _adapter(spec.adapter)
    loaded = load(spec, devices=devices, dtype=concrete_dtype(dtype, devices[0]) if devices else dtype)
    if isinstance(loaded, KeepsPrefixes):
        loaded.keep_prefixes(prefix_gb)
    return loaded


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
    """Stable text for what is loaded: models with one key are served by one load, and share a queue.

    `group_size`: the least number of devices; a larger group serves it too. What is not set is not in it.
    """
    where = quote(spec.checkpoint, safe="/.-_:")
    revision = quote(spec.revision, safe="/.-_")
    how = [f"attention={quote(spec.attention, safe='-_')}"] if spec.attention else []
    how += ["remote-code"] if spec.trust_remote_code else []
    how += [f"here={spec.here}"] if spec.here else []
    how += [endpoints.load_part(spec.remote)] if spec.remote else []
    return ":".join([f"{spec.adapter}:{where}@{revision}:{dtype}:x{group_size}", *how])


def _local_spec(adapter: str, path: str) -> ModelSpec:
    if adapter == toolkit_names.ADAPTER:
        return toolkit_names.spec_of(path)
    if adapter == VLLM:
        return on_vllm(_local_spec(ADAPTER, path))
    if adapter in endpoints.PREFIXES:
        return endpoints.spec_of(f"{adapter}:{path}")
    template = _TEMPLATES.get(adapter)
    if template is None:
        _adapter(adapter)
        template = ModelSpec(name=adapter, adapter=adapter, checkpoint="")
    if adapter in FAKES:
        return replace(template, name=f"{adapter}-{path}", checkpoint=path)
    folder = expanded(path).resolve()
    named, _, revision = path.partition("@")
    if HUB_ID.fullmatch(named) and not folder.exists():
        return _hub_spec(template, named, revision)
    require_checkpoint(folder)
    own = family_facts(model_type_of(folder)) if adapter == ADAPTER else {}
    return replace(
        template, name=folder.name, checkpoint=str(folder), revision="", note=f"{adapter}, local folder", **own
    )


def _hub_spec(template: ModelSpec, named: str, revision: str) -> ModelSpec:
    """A checkpoint of the hub; one that is published here has its own limits."""
    known = _published(named)
    if known is None or template.adapter != known.adapter:
        known = replace(template, name=named, checkpoint=named, note=f"{template.adapter}, from the hub")
    return replace(known, name=f"{known.name}@{revision}", revision=revision) if revision else known


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
