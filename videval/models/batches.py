"""Requests as a processor made them one by one, and as one batch of them goes to the model."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import torch

from videval.types import GenerationSettings, Seen

__all__ = ["IDS", "KINDS", "MASK", "ChatInputs", "batched", "padded", "split_behind"]

IDS, MASK = "input_ids", "attention_mask"
KINDS = ("mm_token_type_ids", "moe_mm_token_type_ids", "token_type_ids")
"""Inputs that say which tokens are of something shown; some families look both ways among these."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ChatInputs:
    """One request on the CPU: what the processor made of it alone, with token ids [1, n], and what is said of it.

    `joined_last`: tensors that are laid end to end along their last axis, not along their first; `places`: those that
    hold places among the patches of another, which are counted on from request to request.

    `shown`: the identity of all that is shown, and how it was asked for; `split`: how many tokens the prompt has up to
    the last one of something shown (0: nothing is shown, or nothing is said behind it).
    """

    tensors: Mapping[str, torch.Tensor]
    settings: GenerationSettings
    seen: tuple[Seen, ...] = ()
    rendered: str = ""
    opened: bool = False
    joined_last: tuple[str, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)
    shown: Hashable = None
    split: int = 0

    @property
    def tokens(self) -> int:
        """How many tokens the prompt has."""
        return int(self.tensors[IDS].shape[1])

    @property
    def shape(self) -> Hashable:
        """What must be equal in requests that are joined: the names of their tensors, and all sizes but the joined."""
        return tuple((name, self._sizes(name)) for name in sorted(self.tensors))

    @property
    def prefix(self) -> Hashable:
        """What is equal in requests that begin with the same: what is shown, and the tokens up to `split`."""
        return self.shown, self.tensors[IDS][0, : self.split].numpy().tobytes()

    def _sizes(self, name: str) -> tuple[int, ...] | None:
        if self.is_per_token(name):
            return None
        sizes = tuple(self.tensors[name].shape)
        return sizes[:-1] if name in self.joined_last else sizes[1:]

    def is_per_token(self, name: str) -> bool:
        """Whether a tensor has a value for each token of the prompt."""
        return self.tensors[name].shape == self.tensors[IDS].shape


def split_behind(tensors: Mapping[str, torch.Tensor], tokens: Sequence[int]) -> int:
    """The length of a prompt up to the last of these tokens, or of those that a processor says are of something shown.

    0 if there is none, or no token behind it.
    """
    ids = tensors[IDS][0]
    marked = torch.isin(ids, torch.tensor(tokens))
    for name in KINDS:
        if name in tensors:
            marked |= tensors[name][0] != 0
    end = int(marked.nonzero()[-1]) + 1 if marked.any() else 0
    return end if end < len(ids) else 0


def batched(batch: Sequence[ChatInputs], pad: int) -> dict[str, torch.Tensor]:
    """Requests of one shape as one batch: what is per token is padded in front, everything else laid end to end."""
    first = batch[0]
    if len(batch) == 1:
        return dict(first.tensors)
    joined = {}
    for name in first.tensors:
        rows = [inputs.tensors[name] for inputs in batch]
        if first.is_per_token(name):
            joined[name], joined[MASK] = padded(rows, pad if name == IDS else 0)
        elif name in first.places:
            joined[name] = torch.cat(_counted_on(rows, [inputs.tensors[first.places[name]] for inputs in batch]))
        else:
            joined[name] = torch.cat(rows, dim=-1 if name in first.joined_last else 0)
    return joined


def padded(rows: Sequence[torch.Tensor], pad: int, *, at: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Values [..., 1, n] of several lengths as one [..., batch, longest], and the mask [batch, longest] (1: not a pad).

    Pads stand in front of the value at place `at`.
    """
    longest = max(row.shape[-1] for row in rows)
    values = [_spread(row, longest, at, pad) for row in rows]
    masks = [
        _spread(torch.ones((1, row.shape[-1]), dtype=torch.long, device=row.device), longest, at, 0) for row in rows
    ]
    return torch.cat(values, dim=-2), torch.cat(masks)


def _spread(row: torch.Tensor, length: int, at: int, pad: int) -> torch.Tensor:
    pads = row.new_full((*row.shape[:-1], length - row.shape[-1]), pad)
    return torch.cat([row[..., :at], pads, row[..., at:]], dim=-1)


def _counted_on(rows: Sequence[torch.Tensor], patches: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Places among the patches [frames, patches, ...] of all requests; one below 0 is no place, and stays."""
    counts = [tensor.shape[0] * tensor.shape[1] for tensor in patches]
    starts = accumulate(counts, initial=0)
    return [torch.where(row < 0, row, row + start) for row, start in zip(rows, starts, strict=False)]
