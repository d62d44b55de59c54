"""KV caches of transformers that several rows go on from: computed once, copied with room for what is still to come."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any

import torch
from transformers import Cache, DynamicCache, cache_utils
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer, LinearAttentionLayer
from transformers.generation import GenerateDecoderOnlyOutput

__all__ = ["CACHE", "branched", "bytes_of", "can_branch", "compact", "takes_pads"]

CACHE = "cache" if "cache" in GenerateDecoderOnlyOutput.__dataclass_fields__ else "past_key_values"
"""What this version of transformers calls a cache where a model takes it and gives it back."""
STATES = "conv_states", "recurrent_states"
EMPTY = frozenset({cache_utils.DummyLayer} if hasattr(cache_utils, "DummyLayer") else ())
"""Kinds of layers that hold nothing; versions of transformers like 5.19 have none."""


class _Roomy(DynamicLayer):
    """Keys and values [rows, heads, tokens, size] with room for the tokens that are still to come.

    Its base grows by concatenation, which copies all of a long prompt for each new token.
    """

    def __init__(self, layers: Sequence[Any], room: int) -> None:
        super().__init__()
        length = layers[0].keys.shape[-2]
        self._all_keys = _with_room([layer.keys for layer in layers], room)
        self._all_values = _with_room([layer.values for layer in layers], room)
        self.keys, self.values = (held[:, :, :length] for held in (self._all_keys, self._all_values))
        self.device, self.dtype, self.is_initialized = self.keys.device, self.keys.dtype, True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **more: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write these behind the others; all of them."""
        start, end = self.keys.shape[-2], self.keys.shape[-2] + key_states.shape[-2]
        self._all_keys[:, :, start:end], self._all_values[:, :, start:end] = key_states, value_states
        self.keys, self.values = self._all_keys[:, :, :end], self._all_values[:, :, :end]
        return self.keys, self.values


def _with_room(rows: Sequence[torch.Tensor], room: int) -> torch.Tensor:
    """Rows [1, heads, tokens, size] as one tensor with place for `room` tokens more."""
    _, heads, tokens, size = rows[0].shape
    held = rows[0].new_empty((len(rows), heads, tokens + room, size))
    for place, row in enumerate(rows):
        held[place, :, :tokens] = row[0]
    return held


def _sliding(layers: Sequence[Any], room: int) -> Any:
    """A window is never written in place: its rows are joined."""
    made = copy(layers[0])
    made.keys, made.values = (torch.cat([getattr(layer, name) for layer in layers]) for name in ("keys", "values"))
    return made


def _linear(layers: Sequence[Any], room: int) -> Any:
    """States are written in place: `cat` copies also a single one."""
    made = copy(layers[0])
    for name in STATES:
        found = [getattr(layer, name) for layer in layers]
        setattr(
            made, name, {n: None if one is None else torch.cat([s[n] for s in found]) for n, one in found[0].items()}
        )
    return made


def _nothing(layers: Sequence[Any], room: int) -> Any:
    return layers[0]


_BRANCH: Mapping[type, Callable[[Sequence[Any], int], Any]] = {
    DynamicLayer: _Roomy,
    DynamicSlidingWindowLayer: _sliding,
    LinearAttentionLayer: _linear,
    **dict.fromkeys(EMPTY, _nothing),
}
"""How rows of each kind of layer go on; of another kind nothing is known."""


def can_branch(model: Any) -> bool:
    """Whether the caches that a model makes have layers of known kinds only."""
    return _kinds(model) <= _BRANCH.keys()


def takes_pads(model: Any) -> bool:
    """Whether pads may stand between what a cache holds and what follows.

    A window would hold pads in the place of tokens, and a state that runs along would take them in.
    """
    return _kinds(model) <= {DynamicLayer, *EMPTY}


def _kinds(model: Any) -> set[type]:
    """The kinds of layers that `generate` makes a cache of."""
    return {type(layer) for layer in DynamicCache(config=model.config.get_text_config(decoder=True)).layers}


def branched(caches: Sequence[Any], room: int) -> Any:
    """A cache with a row for each of these of one row and one length each, and room for so many tokens more.

    One may be there several times; what is written to the new one changes none of them.
    """
    columns = zip(*(cache.layers for cache in caches), strict=True)
    return Cache(layers=[_BRANCH[type(layers[0])](layers, room) for layers in columns])


def compact(cache: Any) -> Any:
    """The cache, holding no more memory than it needs: a window is a view of all that was computed."""
    for layer in cache.layers:
        if type(layer) is DynamicSlidingWindowLayer:
            layer.keys, layer.values = layer.keys.clone(), layer.values.clone()
    return cache


def bytes_of(cache: Any) -> int:
    """How much memory its tensors take."""
    return sum(tensor.nbytes for layer in cache.layers for tensor in _tensors(layer))


def _tensors(layer: Any) -> list[torch.Tensor]:
    states = [state for name in STATES for state in getattr(layer, name, {}).values()]
    found = [getattr(layer, "keys", None), getattr(layer, "values", None), *states]
    return [tensor for tensor in found if tensor is not None]
