"""Requests as a processor made them one by one, and as one batch of them goes to the model."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import torch

from videval.models.generating import left_padded
from videval.types import GenerationSettings, Seen

__all__ = ["ChatInputs", "batched"]

IDS, MASK = "input_ids", "attention_mask"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ChatInputs:
    """One request on the CPU: what the processor made of it alone, with token ids [1, n], and what is said of it.

    `joined_last`: tensors that are laid end to end along their last axis, not along their first; `places`: those that
    hold places among the patches of another, which are counted on from request to request.
    """

    tensors: Mapping[str, torch.Tensor]
    settings: GenerationSettings
    seen: tuple[Seen, ...] = ()
    rendered: str = ""
    opened: bool = False
    joined_last: tuple[str, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """How many tokens the prompt has."""
        return int(self.tensors[IDS].shape[1])

    @property
    def shape(self) -> Hashable:
        """What must be equal in requests that are joined: the names of their tensors, and all sizes but the joined."""
        return tuple((name, self._sizes(name)) for name in sorted(self.tensors))

    def _sizes(self, name: str) -> tuple[int, ...] | None:
        if self.is_per_token(name):
            return None
        sizes = tuple(self.tensors[name].shape)
        return sizes[:-1] if name in self.joined_last else sizes[1:]

    def is_per_token(self, name: str) -> bool:
        """Whether a tensor has a value for each token of the prompt."""
        return self.tensors[name].shape == self.tensors[IDS].shape


def batched(batch: Sequence[ChatInputs], pad: int) -> dict[str, torch.Tensor]:
    """Requests of one shape as one batch: what is per token is padded in front, everything else laid end to end."""
    first = batch[0]
    if len(batch) == 1:
        return dict(first.tensors)
    joined = {}
    for name in first.tensors:
        rows = [inputs.tensors[name] for inputs in batch]
        if first.is_per_token(name):
            joined[name], joined[MASK] = left_padded([row[0] for row in rows], pad if name == IDS else 0)
        elif name in first.places:
            joined[name] = torch.cat(_counted_on(rows, [inputs.tensors[first.places[name]] for inputs in batch]))
        else:
            joined[name] = torch.cat(rows, dim=-1 if name in first.joined_last else 0)
    return joined


def _counted_on(rows: Sequence[torch.Tensor], patches: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Places among the patches [frames, patches, ...] of all requests; one below 0 is no place, and stays."""
    counts = [tensor.shape[0] * tensor.shape[1] for tensor in patches]
    starts = accumulate(counts, initial=0)
    return [torch.where(row < 0, row, row + start) for row, start in zip(rows, starts, strict=False)]
