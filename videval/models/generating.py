"""How adapters over Hugging Face transformers generate: a run's settings in its terms, batches, and answers read."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

from videval.types import Generation, GenerationSettings

__all__ = ["Ends", "StopTexts", "generation_config", "penalties", "read_answer", "together", "token_ids"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ends:
    """How an answer ends: at one of the tokens `eos`, or with one of the texts `stop`, which is no part of it."""

    eos: tuple[int, ...]
    stop: tuple[str, ...] = ()


def generation_config(settings: GenerationSettings, *, pad: int, eos: Sequence[int]) -> GenerationConfig:
    """Greedy at temperature 0, else sampling; penalties are `penalties`, as transformers has no presence penalty."""
    common = {"max_new_tokens": settings.max_new_tokens, "pad_token_id": pad, "eos_token_id": list(eos)}
    if settings.temperature <= 0:
        return GenerationConfig(do_sample=False, **common)
    sampling = {"temperature": settings.temperature, "top_p": settings.top_p, "top_k": settings.top_k}
    least = {"min_p": settings.min_p} if settings.min_p else {}
    return GenerationConfig(do_sample=True, **sampling, **least, **common)


def token_ids(value: int | Sequence[int] | None, default: int) -> tuple[int, ...]:
    """Token ids as configs have them: one, several or none, which is `default`."""
    if value is None:
        return (default,)
    return (value,) if isinstance(value, int) else tuple(value)


def together(settings: Sequence[GenerationSettings], shapes: Sequence[Hashable]) -> list[list[int]]:
    """Places of the requests that are generated together: those of equal settings and shapes, if these are greedy.

    What is sampled runs alone, so that its seed decides, not its company.
    """
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for place, (own, shape) in enumerate(zip(settings, shapes, strict=True)):
        groups[own, shape, place if own.temperature > 0 else -1].append(place)
    return list(groups.values())


def penalties(settings: GenerationSettings, mask: torch.Tensor) -> LogitsProcessorList:
    """The penalties that a run asks for; `mask` [batch, prompt] is 0 where the prompts are padded."""
    asked: list[Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = []
    if settings.repetition_penalty != 1:
        asked.append(_Repetition(settings.repetition_penalty, mask))
    if settings.presence_penalty:
        asked.append(_Presence(settings.presence_penalty, mask.shape[1]))
    return LogitsProcessorList(asked)


class _Repetition:
    """Divides what speaks for a token that the prompt or the answer has, and multiplies what speaks against it.

    As transformers' own (Keskar et al., 2019, https://arxiv.org/abs/1909.05858), but pads are no part of a prompt.
    """

    def __init__(self, penalty: float, mask: torch.Tensor) -> None:
        self._penalty, self._is_pad = penalty, mask == 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        prompt = self._is_pad.shape[1]
        said = torch.where(self._is_pad, input_ids[:, prompt - 1 : prompt], input_ids[:, :prompt])
        ids = torch.cat([said, input_ids[:, prompt:]], dim=1)
        own = scores.gather(1, ids)
        return scores.scatter(1, ids, torch.where(own < 0, own * self._penalty, own / self._penalty))


class _Presence:
    """Takes the penalty once from each token that the answer has already; the prompt does not count (OpenAI, vLLM)."""

    def __init__(self, penalty: float, prompt: int) -> None:
        self._penalty, self._prompt = penalty, prompt

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        new = input_ids[:, self._prompt :]
        return scores.scatter(1, new, scores.gather(1, new) - self._penalty)


class StopTexts:
    """Ends a row as soon as its answer holds one of the texts; `after` says with how many new tokens each did."""

    def __init__(self, tokenizer: Any, texts: Sequence[str], prompt: int) -> None:
        self.after: dict[int, int] = {}
        self._tokenizer, self._texts, self._prompt = tokenizer, texts, prompt
        self._tail = 4 * max(map(len, texts), default=0) + 8

    def criteria(self) -> StoppingCriteriaList:
        """As `generate` takes it: none if there are no texts."""
        return StoppingCriteriaList([self] if self._texts else [])

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        count = input_ids.shape[1] - self._prompt
        for row, tail in enumerate(input_ids[:, -min(count, self._tail) :].tolist()):
            text = self._tokenizer.decode(tail, skip_special_tokens=True, clean_up_tokenization_spaces=False)
            if row not in self.after and any(stop in text for stop in self._texts):
                self.after[row] = count
        return torch.tensor([row in self.after for row in range(len(input_ids))], device=input_ids.device)


def read_answer(
    tokenizer: Any, new: Sequence[int], ends: Ends, *, prompt_tokens: int, stopped: int | None = None
) -> Generation:
    """The answer in the newly generated tokens, up to the first end token or, after `stopped` of them, a stop text.

    Without an end it was cut off. The text is what was said, to the character: only special tokens are left out.
    """
    said, count, truncated = said_tokens(new, ends, stopped)
    text = tokenizer.decode(said, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    text = before_stop(text, ends.stop)
    return Generation(text=text, prompt_tokens=prompt_tokens, new_tokens=count, truncated=truncated)


def said_tokens(new: Sequence[int], ends: Ends, stopped: int | None) -> tuple[list[int], int, bool]:
    """What was said of the new tokens, how many were generated for it, and whether it was cut off."""
    end = next((place for place, token in enumerate(new[:stopped]) if token in ends.eos), None)
    if end is not None:
        return list(new[:end]), end + 1, False
    return list(new[:stopped]), len(new[:stopped]), stopped is None


def before_stop(text: str, stop: Sequence[str]) -> str:
    """The text up to the first stop text in it."""
    return text[: min((place for t in stop if (place := text.find(t)) >= 0), default=len(text))]
