"""A loaded model of any family, as videval asks it."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessorList

from videval.models import generating, hf
from videval.models.families import Family
from videval.models.hf_chat.batches import MASK, ChatInputs, batched
from videval.models.hf_chat.processing import Processing
from videval.models.hf_chat.seen import POSITIONS
from videval.models.hf_chat.thinking import Budget, parted
from videval.types import Generation, GenerationSettings, Prompt

__all__ = ["HfChat"]


class HfChat:
    """A model with its processor."""

    def __init__(
        self, model: Any, processor: Any, family: Family, *, context: int | None, about: Mapping[str, str]
    ) -> None:
        self._model, self._family, self._about = model, family, about
        self._tokenizer = deepcopy(processor.tokenizer)  # answers are read while the next prompts are prepared
        self._eos = generating.token_ids(model.generation_config.eos_token_id, self._tokenizer.eos_token_id)
        self._pad = generating.token_ids(self._tokenizer.pad_token_id, self._eos[0])[0]
        model.generation_config = GenerationConfig()
        self._processing = Processing(processor, family, context=context)

    def prepare(self, prompt: Prompt, settings: GenerationSettings) -> ChatInputs:
        """Frames to tensors and text to token ids. Raises ModelFailure, ContextExceeded, VideoFailure."""
        return self._processing.prepare(prompt, settings)

    def generate(self, batch: Sequence[ChatInputs]) -> list[Generation]:
        """Answer a batch; requests whose tensors cannot be joined are generated one after another."""
        answers: dict[int, Generation] = {}
        for places in generating.together([i.settings for i in batch], [i.shape for i in batch]):
            answers.update(zip(places, self._generate([batch[place] for place in places]), strict=True))
        return [answers[place] for place in range(len(batch))]

    def describe(self) -> Mapping[str, str]:
        """dtype, device, attention, checkpoint with its commit, versions of the libraries."""
        return dict(self._about)

    def _generate(self, batch: Sequence[ChatInputs]) -> list[Generation]:
        settings, device = batch[0].settings, self._model.device
        inputs = batched(batch, self._pad)
        prompt = inputs["input_ids"].shape[1]
        stops = generating.StopTexts(self._tokenizer, settings.stop, prompt)
        what = f"a batch of {len(batch)} x {prompt} tokens + {settings.max_new_tokens} new ones"
        with hf.explained_run(device, what), torch.inference_mode():
            torch.manual_seed(settings.seed)
            out = self._model.generate(
                **{name: self._placed(name, value) for name, value in inputs.items()},
                generation_config=generating.generation_config(settings, pad=self._pad, eos=self._eos),
                logits_processor=self._processors(batch, inputs[MASK].to(device)),
                stopping_criteria=stops.criteria(),
            )
            new = out[:, prompt:].tolist()
        return [
            self._answer(row, inputs, stops.after.get(n))
            for n, (row, inputs) in enumerate(zip(new, batch, strict=True))
        ]

    def _placed(self, name: str, value: torch.Tensor) -> torch.Tensor:
        """An input on the model's device, pixels in its dtype; seconds keep theirs, as 9.4 in bfloat16 is 9.375."""
        is_pixels = value.is_floating_point() and name not in POSITIONS
        kind = self._model.dtype if is_pixels else value.dtype
        return value.to(self._model.device, kind)

    def _processors(self, batch: Sequence[ChatInputs], mask: torch.Tensor) -> LogitsProcessorList:
        settings, marks = batch[0].settings, self._family.thinking
        processors = generating.penalties(settings, mask)
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
