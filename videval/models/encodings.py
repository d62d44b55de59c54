"""What a model's encoders make of frames and images: kept beside its caches, and given to it instead of pixels."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import torch

__all__ = ["ENCODED", "bytes_in", "encoded", "encoder_inputs"]

ENCODED = "mm_encoder_outputs"
"""What transformers calls it where a model takes it instead of pixels; older versions, and some models, do not."""
ENCODES = "_prepare_multimodal_encoder_kwargs_for_generation"
KINDS = ("image", "video")


def encoder_inputs(model: Any, told: Mapping[str, Any]) -> frozenset[str]:
    """Which of these inputs are its encoders' only; none if it does not take what they make instead."""
    if ENCODED not in inspect.signature(model.forward).parameters or not hasattr(model, ENCODES):
        return frozenset()
    encoders = [getattr(model.base_model, f"get_{kind}_features", None) for kind in KINDS]
    taken = {name for encoder in encoders if encoder is not None for name in inspect.signature(encoder).parameters}
    return frozenset(taken & told.keys())


def encoded(model: Any, told: Mapping[str, Any]) -> Any:
    """What its encoders make of what it is told, as `generate` would have them make it."""
    return getattr(model, ENCODES)(dict(told))[ENCODED]


def bytes_in(value: Any) -> int:
    """How much memory the tensors in a record of transformers, or in lists of them, take."""
    return sum(tensor.nbytes for tensor in _tensors(value))


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
        return
    for one in value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ():
        yield from _tensors(one)
