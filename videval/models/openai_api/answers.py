"""From the bytes that an endpoint sent to an answer, or to a failure that says what came."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from videval.errors import ApiFailure
from videval.models.endpoint_file import Prices
from videval.models.families import Thinking
from videval.models.openai_api.failures import excerpt
from videval.types import Generation

__all__ = ["read_answer"]

CUT = ("length", "max_tokens", "max_output_tokens")
"""What servers call an answer that ended at its longest."""
FILTERED = ("content_filter", "safety", "prohibited_content", "blocklist")
"""What they call one that was held back."""
_MARKS = Thinking()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Usage:
    """Tokens as the server counted them; None: it does not say."""

    prompt: int | None
    new: int | None
    cached: int | None
    reasoning: int | None


def read_answer(content: str, kind: str, prices: Prices | None) -> Generation:
    """The answer in a body of this content type. ApiFailure, with what came, if there is none in it."""
    whole = _parsed(content, kind)
    choices = whole.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, Mapping) else None
    if not isinstance(choice, Mapping) or not isinstance(message, Mapping):
        raise _malformed("an answer without choices", content)
    usage = _usage(whole.get("usage"))
    reason = str(choice.get("finish_reason") or "").lower()
    refused = _refused(message, reason)
    thinking, text = _parted(message, reason)
    return Generation(
        text="" if refused else text,
        thinking=thinking,
        truncated=reason in CUT,
        refused=refused,
        prompt_tokens=usage.prompt,
        new_tokens=usage.new,
        cached_tokens=usage.cached,
        reasoning_tokens=usage.reasoning,
        cost=_cost(usage, prices),
    )


def _parsed(content: str, kind: str) -> Mapping[str, Any]:
    try:
        whole = json.loads(content)
    except (ValueError, RecursionError):
        what = "half a JSON" if "json" in kind else f"{kind or 'something without a type'}, not JSON"
        raise _malformed(what, content) from None
    if not isinstance(whole, Mapping):
        raise _malformed("JSON that is no object", content)
    return whole


def _malformed(what: str, content: str) -> ApiFailure:
    came = excerpt(content) or "nothing"
    right = "is it the API's address, and does a proxy stand before it?"
    return ApiFailure(f"the endpoint sent {what}: {came}", hint=right)


def _refused(message: Mapping[str, Any], reason: str) -> str:
    """Why there is no answer, as the server or the model says; "" if there is one."""
    if message.get("refusal"):
        return f"refusal: {excerpt(str(message['refusal']))}"
    return reason if reason in FILTERED else ""


def _parted(message: Mapping[str, Any], reason: str) -> tuple[str | None, str]:
    """Thinking and text: as the server parts them, else by the marks around the thinking."""
    text = _text(message.get("content"))
    thought = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(thought, str):
        return thought, text.lstrip("\n")
    before, mark, after = text.partition(_MARKS.close)
    if mark:
        return before.strip().removeprefix(_MARKS.open).strip(), after.lstrip()
    if text.lstrip().startswith(_MARKS.open) and reason in CUT:
        return text.lstrip().removeprefix(_MARKS.open).strip(), ""
    return None, text


def _text(content: Any) -> str:
    """The content as one text: it may come in parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, Mapping))
    return content if isinstance(content, str) else ""


def _usage(said: Any) -> _Usage:
    usage = said if isinstance(said, Mapping) else {}
    cached = _count(usage, "prompt_tokens_details", "cached_tokens")
    reasoning = _count(usage, "completion_tokens_details", "reasoning_tokens")
    return _Usage(
        prompt=_count(usage, "prompt_tokens"),
        new=_count(usage, "completion_tokens"),
        cached=_count(usage, "prompt_cache_hit_tokens") if cached is None else cached,
        reasoning=_count(usage, "reasoning_tokens") if reasoning is None else reasoning,
    )


def _count(usage: Mapping[str, Any], *path: str) -> int | None:
    """A number of tokens below these names; None if it is not said."""
    value: Any = usage
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _cost(usage: _Usage, prices: Prices | None) -> float | None:
    if prices is None or usage.prompt is None or usage.new is None:
        return None
    return prices.cost(prompt=usage.prompt, new=usage.new, cached=min(usage.cached or 0, usage.prompt))
