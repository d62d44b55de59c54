"""What a model computes once for all questions about a clip: the KV cache of a prompt up to where the question begins.

The questions go on from copies of it, several as one batch. Pads stand between the beginning and the question: in front
of all they would move what is computed already. Where a model is told other positions than 0, 1, 2, ... they are those
that it makes for the whole prompt.
"""

import inspect
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig

from videval.models.batches import IDS, MASK, ChatInputs, batched, padded
from videval.models.caches import CACHE, branched, bytes_of, can_branch, compact, takes_pads
from videval.models.encodings import ENCODED, bytes_in, encoded, encoder_inputs

__all__ = ["Joined", "Prefixes"]

POSITIONS = "position_ids"
_Row = dict[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class Joined:
    """What `generate` is told of a batch, and of each request how many tokens of its prompt were computed before."""

    told: Mapping[str, Any]
    cached: Sequence[int | None]


class _Kept:
    """Values by key, of `budget` bytes at most: the one used longest ago goes first."""

    def __init__(self, budget: int) -> None:
        self.budget, self.bytes = budget, 0
        self._values: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def get(self, key: Hashable) -> Any:
        """What there is; None if there is nothing."""
        return self._values.get(key, (None, 0))[0]

    def put(self, key: Hashable, value: Any, size: int) -> None:
        """Keep a value of so many bytes, or use it again, unless it alone is too large."""
        if size > self.budget:
            return
        self.bytes += size - self._values.pop(key, (None, 0))[1]
        self._values[key] = value, size
        while self.bytes > self.budget:
            self.bytes -= self._values.popitem(last=False)[1][1]


class Prefixes:
    """The caches of the last clips of one model, and what its encoders made of these, within a budget.

    `place` brings an input to the model's device, in the type that it takes.
    """

    def __init__(self, model: Any, *, pad: int, place: Callable[[str, torch.Tensor], torch.Tensor]) -> None:
        self._model, self._pad, self._place = model, pad, place
        self._kept = _Kept(0)
        self._takes_pads = False
        self._takes_positions = POSITIONS in inspect.signature(model.forward).parameters

    @property
    def is_on(self) -> bool:
        """Whether beginnings are computed apart."""
        return self._kept.budget > 0

    def keep(self, budget: int) -> None:
        """Keep up to so many bytes, if its model's caches can be gone on from."""
        self._kept = _Kept(budget if budget and can_branch(self._model) else 0)
        self._takes_pads = self.is_on and takes_pads(self._model)

    def forget(self) -> bool:
        """Keep nothing of what there is; whether there was anything."""
        had_any, self._kept = bool(self._kept.bytes), _Kept(self._kept.budget)
        return had_any

    def shape(self, inputs: ChatInputs) -> Hashable:
        """What must be equal in requests that are generated together."""
        if not self._is_shared(inputs):
            return inputs.shape
        behind = 0 if self._takes_pads else inputs.tokens - inputs.split
        return inputs.split, behind

    def joined(self, batch: Sequence[ChatInputs]) -> Joined:
        """Requests of one shape as one batch; what begins like a request before is not computed again."""
        if not self._is_shared(batch[0]):
            told = {name: self._place(name, value) for name, value in batched(batch, self._pad).items()}
            return Joined(told=told, cached=[0 if self.is_on else None] * len(batch))
        return self._gone_on(batch)

    def _gone_on(self, batch: Sequence[ChatInputs]) -> Joined:
        split, rows = batch[0].split, [self._rows(inputs) for inputs in batch]
        caches, cached = self._caches(batch, rows)
        ids, mask = padded([row[IDS] for row in rows], self._pad, at=split)
        told = {IDS: ids, MASK: mask}
        if self._takes_positions:
            told[POSITIONS], _ = padded([row[POSITIONS] for row in rows], 0, at=split)
        told = {name: value.to(self._model.device) for name, value in told.items()}
        room = ids.shape[1] - split + batch[0].settings.max_new_tokens
        return Joined(told={**told, CACHE: branched(caches, room)}, cached=cached)

    def _caches(self, batch: Sequence[ChatInputs], rows: Sequence[_Row]) -> tuple[list[Any], list[int]]:
        """The cache that each goes on from; how many tokens of it were there before."""
        found: dict[Hashable, Any] = {}  # of this batch, also what is too large to be kept
        caches, cached = [], []
        for inputs, row in zip(batch, rows, strict=True):
            key = inputs.prefix
            known = found.get(key, self._kept.get(key))
            found[key] = self._computed(inputs, row) if known is None else known
            self._kept.put(key, found[key], bytes_of(found[key]))
            caches.append(found[key])
            cached.append(0 if known is None else inputs.split)
        return caches, cached

    def _computed(self, inputs: ChatInputs, row: _Row) -> Any:
        """The cache of a prompt up to its split: generating a token computes it, and that token is not in it."""
        told = {
            name: value[:, : inputs.split] if inputs.is_per_token(name) else value
            for name, value in inputs.tensors.items()
        }
        placed = {name: self._place(name, value) for name, value in told.items()}
        placed |= {name: value[..., : inputs.split].to(self._model.device) for name, value in row.items()}
        placed = self._encoded(inputs, placed)
        one = GenerationConfig(max_new_tokens=1, do_sample=False, pad_token_id=self._pad, return_dict_in_generate=True)
        return compact(self._model.generate(**placed, generation_config=one)[CACHE])

    def _encoded(self, inputs: ChatInputs, placed: Mapping[str, Any]) -> dict[str, Any]:
        """What `generate` is told, with what is shown as the model's encoder makes it: once for all that show the same.

        A question that stands before its clip has a prefix of its own, and the same clip.
        """
        names = encoder_inputs(self._model, placed)
        if not names or any(inputs.is_per_token(name) for name in names if name in inputs.tensors):
            return dict(placed)
        key = ENCODED, inputs.shown
        seen = self._kept.get(key)
        if seen is None:
            seen = encoded(self._model, placed)
        self._kept.put(key, seen, bytes_in(seen))
        return {name: value for name, value in placed.items() if name not in names} | {ENCODED: seen}

    def _rows(self, inputs: ChatInputs) -> _Row:
        """The ids [1, n] of a prompt, and its positions ([1, n], or [axes, 1, n]) as `generate` would make them."""
        row = {IDS: inputs.tensors[IDS]}
        if self._takes_positions:
            told = {name: value for name, value in inputs.tensors.items() if name != IDS}
            row[POSITIONS] = self._model._prepare_position_ids_for_generation(row[IDS], told)
        return row

    def _is_shared(self, inputs: ChatInputs) -> bool:
        return self.is_on and inputs.split > 0
