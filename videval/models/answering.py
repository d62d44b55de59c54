"""How a loaded model of transformers answers batches: what all of its adapters do alike."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessorList

from videval.errors import OutOfMemory
from videval.models import generating, hf
from videval.models.batches import IDS, MASK, ChatInputs
from videval.models.prefixes import Prefixes
from videval.types import Generation

__all__ = ["Answering"]


class Answering(ABC):
    """A model with the tokenizer that reads its answers; `exact`: inputs that keep their type on any device.

    `shares`: whether questions about a clip may go on from one computation of it.
    """

    def __init__(
        self, model: Any, tokenizer: Any, *, about: Mapping[str, str], shares: bool, exact: Sequence[str] = ()
    ) -> None:
        self._model, self._tokenizer, self._about = model, tokenizer, about
        self._shares, self._exact = shares, exact
        self._eos = generating.token_ids(model.generation_config.eos_token_id, tokenizer.eos_token_id)
        self._pad = generating.token_ids(tokenizer.pad_token_id, self._eos[0])[0]
        model.generation_config = GenerationConfig()
        self._prefixes = Prefixes(model, pad=self._pad, place=self._placed)

    def keep_prefixes(self, gb: float | None) -> None:
        """Keep what is computed of the last clips, up to so many GB (None: a share of what is free; 0: nothing)."""
        if self._shares:
            self._prefixes.keep(hf.free_share(self._model) if gb is None else int(gb * 1e9))

    def generate(self, batch: Sequence[ChatInputs]) -> list[Generation]:
        """Answer a batch; requests that cannot be joined are generated one after another.

        What is sampled (temperature > 0) runs alone, so that its seed decides, not its company.
        """
        answers: dict[int, Generation] = {}
        for places in generating.together([i.settings for i in batch], [self._prefixes.shape(i) for i in batch]):
            answers.update(zip(places, self._generate([batch[place] for place in places]), strict=True))
        return [answers[place] for place in range(len(batch))]

    def describe(self) -> Mapping[str, str]:
        """dtype, device, checkpoint with its commit, versions of the libraries, whether clips' prefixes are shared."""
        return {**self._about, "prefix": "shared" if self._prefixes.is_on else "off"}

    @abstractmethod
    def _answer(self, new: Sequence[int], inputs: ChatInputs, stopped: int | None) -> Generation:
        """The answer in the new tokens, up to a stop text after `stopped` of them."""

    def _processors(self, batch: Sequence[ChatInputs], mask: torch.Tensor) -> LogitsProcessorList:
        """What changes the scores of the next token; `mask` [batch, prompt] is 0 where the prompts are padded."""
        return generating.penalties(batch[0].settings, mask)

    def _generate(self, batch: Sequence[ChatInputs]) -> list[Generation]:
        """Where memory is short, what is kept of other clips goes first."""
        try:
            return self._generated(batch)
        except OutOfMemory:
            if not self._prefixes.forget():
                raise
        hf.give_memory_back(self._model.device)
        return self._generated(batch)

    def _generated(self, batch: Sequence[ChatInputs]) -> list[Generation]:
        settings = batch[0].settings
        longest = max(inputs.tokens for inputs in batch)
        what = f"a batch of {len(batch)} x {longest} tokens + {settings.max_new_tokens} new ones"
        stops = generating.StopTexts(self._tokenizer, settings.stop, longest)
        with hf.explained_run(self._model.device, what), torch.inference_mode():
            joined = self._prefixes.joined(batch)
            torch.manual_seed(settings.seed)
            out = self._model.generate(
                **joined.told,
                generation_config=generating.generation_config(settings, pad=self._pad, eos=self._eos),
                logits_processor=self._processors(batch, joined.told[MASK]),
                stopping_criteria=stops.criteria(),
            )
            new = out[:, joined.told[IDS].shape[1] :].tolist()
        rows = enumerate(zip(new, batch, joined.cached, strict=True))
        return [
            replace(self._answer(row, inputs, stops.after.get(n)), cached_tokens=cached)
            for n, (row, inputs, cached) in rows
        ]

    def _placed(self, name: str, value: torch.Tensor) -> torch.Tensor:
        """An input on the model's device, pixels in its dtype; seconds keep theirs, as 9.4 in bfloat16 is 9.375."""
        is_pixels = value.is_floating_point() and name not in self._exact
        kind = self._model.dtype if is_pixels else value.dtype
        return value.to(self._model.device, kind)
