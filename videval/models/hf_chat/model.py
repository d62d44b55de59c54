"""A loaded model of any family, as videval asks it."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from transformers import LogitsProcessorList

from videval.models import generating
from videval.models.answering import Answering
from videval.models.batches import ChatInputs
from videval.models.families import Family
from videval.models.hf_chat.processing import Processing
from videval.models.hf_chat.seen import POSITIONS
from videval.models.hf_chat.thinking import Budget, parted
from videval.types import Generation, GenerationSettings, Prompt

__all__ = ["HfChat"]


class HfChat(Answering):
    """A model with its processor."""

    def __init__(
        self, model: Any, processor: Any, family: Family, *, context: int | None, about: Mapping[str, str]
    ) -> None:
        tokenizer = deepcopy(processor.tokenizer)  # answers are read while the next prompts are prepared
        super().__init__(model, tokenizer, about=about, shares=not family.unshared, exact=POSITIONS)
        self._family = family
        self._processing = Processing(processor, family, context=context)

    def prepare(self, prompt: Prompt, settings: GenerationSettings) -> ChatInputs:
        """Frames to tensors and text to token ids. Raises ModelFailure, ContextExceeded, VideoFailure."""
        return self._processing.prepare(prompt, settings)

    def _processors(self, batch: Sequence[ChatInputs], mask: torch.Tensor) -> LogitsProcessorList:
        settings, marks = batch[0].settings, self._family.thinking
        processors = super()._processors(batch, mask)
        if settings.thinking_budget is not None and marks is not None:
            opened = [inputs.opened for inputs in batch]
            budget = settings.thinking_budget
            processors.append(Budget(self._tokenizer, marks, budget, opened=opened, prompt=mask.shape[1]))
        return processors

    def _answer(self, new: Sequence[int], inputs: ChatInputs, stopped: int | None) -> Generation:
        ends = generating.Ends(eos=self._eos, stop=inputs.settings.stop)
        said, count, truncated = generating.said_tokens(new, ends, stopped)
        thinking, text = parted(self._tokenizer, said, self._family.thinking, opened=inputs.opened)
        return Generation(
            text=generating.before_stop(text, ends.stop),
            prompt_tokens=inputs.tokens,
            new_tokens=count,
            truncated=truncated,
            thinking=thinking if thinking is None else generating.before_stop(thinking, ends.stop),
            seen=inputs.seen,
            rendered=inputs.rendered,
        )
