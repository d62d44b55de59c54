"""How much memory a checkpoint needs, and how large a group of devices that is; from its index, headers and config."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from videval.models.checkpoints import here, read_json, weight_files
from videval.models.context import context_of
from videval.models.headers import weights_bytes
from videval.types import ModelSpec

__all__ = ["Memory", "cache_bytes", "devices_needed", "memory_of"]

USABLE = 0.92
"""Of a device's memory; the rest is the driver's, the library's and what a batch needs beside weights and cache."""
BYTES = 2
"""Of a number in the cache: bfloat16."""
GIB = 2**30


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """What a checkpoint needs, in bytes: its weights, and the keys and values of a question as long as its context (0:
    not known)."""

    weights: float
    cache: float = 0.0
    context: int = 0

    def in_words(self) -> str:
        """Both, in 10^9 bytes."""
        cache = f" + {_gb(self.cache)} GB of cache for {self.context:,} tokens" if self.cache else ""
        return f"{_gb(self.weights)} GB of weights{cache}"


def memory_of(spec: ModelSpec) -> Memory | None:
    """What a model needs, by its files if they are here, else by its entry; None if neither says how large it is."""
    weights = _weights(spec)
    if weights is None:
        return None
    folder, context = here(spec), context_of(spec) or 0
    each = cache_bytes(read_json(folder / "config.json")) if folder else 0.0
    return Memory(weights=weights, cache=each * context, context=context)


def devices_needed(needed: float, device_gib: float) -> int:
    """How many devices of so many GiB hold so many bytes."""
    return max(1, math.ceil(needed / (device_gib * GIB * USABLE)))


def cache_bytes(config: Mapping[str, Any]) -> float:
    """Bytes of keys and values for each token, in the layers that keep all of them; 0 if config.json does not say.

    Layers with a window and layers with a state of fixed size are left out: they do not grow with the question.
    """
    whole = config.get("thinker_config", config)
    text = whole.get("text_config", whole)
    try:
        heads = text["num_attention_heads"]
        dim = text.get("head_dim") or text["hidden_size"] // heads
        kinds = text.get("layer_types") or ["full_attention"] * text["num_hidden_layers"]
        return float(2 * BYTES * kinds.count("full_attention") * (text.get("num_key_value_heads") or heads) * dim)
    except (KeyError, TypeError):
        return 0.0


def _gb(count: float) -> str:
    return f"{count / 1e9:.1f}" if count >= 5e7 else "under 0.1"


def _weights(spec: ModelSpec) -> float | None:
    """Bytes of weights: of the files if all are here, else as the entry has them."""
    folder = here(spec)
    files = [folder / name for name in weight_files(folder)] if folder else []
    if files and all(file.is_file() for file in files):
        try:
            return float(sum(weights_bytes(file) for file in files))
        except ValueError:
            return None
    return spec.weights_gb * 1e9 if spec.weights_gb else None
