"""A run's settings in vLLM's terms."""

from collections.abc import Sequence
from typing import Any

from videval.errors import ModelFailure
from videval.types import GenerationSettings

__all__ = ["sampling"]

INTERVAL = 16
"""New tokens of a request that vLLM hands over at once; its first ones and its last ones come at once anyway."""


def sampling(settings: GenerationSettings, *, eos: Sequence[int]) -> dict[str, Any]:
    """The arguments of vLLM's SamplingParams. Raises ModelFailure for what vLLM cannot do."""
    if settings.thinking_budget is not None:
        raise ModelFailure("a thinking budget is not kept with vLLM", hint="leave --thinking-budget out")
    common: dict[str, Any] = {
        "max_tokens": settings.max_new_tokens,
        "temperature": settings.temperature,
        "repetition_penalty": settings.repetition_penalty,
        "presence_penalty": settings.presence_penalty,
        "stop": list(settings.stop),
        "stop_token_ids": list(eos),
        "detokenize": bool(settings.stop),
        "stream_interval": INTERVAL,
    }
    if settings.temperature <= 0:
        return common
    if not settings.top_p:
        raise ModelFailure("vLLM takes no top_p of 0", hint="--temperature 0 is the likeliest token")
    chosen = {"top_p": settings.top_p, "top_k": settings.top_k, "min_p": settings.min_p, "seed": settings.seed}
    return common | chosen
