"""What a chat completion endpoint says: answers with their usage, and errors in OpenAI's form."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.standin.plan import Fault, Plan

__all__ = ["Refusal", "Turn", "answer", "chunks", "models", "turn"]

TOKENS_OF_A_FRAME = 16
MOST_FRAMES = 32
"""Frames that vLLM keeps of a `data:video/jpeg` URL when nothing says how many (`num_frames` of its media loader)."""


@dataclass(frozen=True)
class Refusal(Exception):
    """A status that is not 200, with its error as OpenAI writes it."""

    status: int
    message: str
    code: str | None = None
    retry_after: float | None = None

    def body(self) -> bytes:
        """The JSON."""
        error = {"message": self.message, "type": "error", "param": None, "code": self.code}
        return json.dumps({"error": error}).encode()

    def headers(self) -> dict[str, object]:
        """Retry-After, if it says that."""
        return {} if self.retry_after is None else {"Retry-After": self.retry_after}


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What is asked: all text, how many images and frames of videos, the largest answer."""

    model: str
    text: str
    images: int
    frames: int
    max_tokens: int
    stream: bool

    @property
    def prompt_tokens(self) -> int:
        """What it costs here: a token a word, and as many as each picture."""
        return len(self.text.split()) + TOKENS_OF_A_FRAME * (self.images + self.frames)


def turn(body: Mapping[str, Any], plan: Plan) -> Turn:
    """What a request asks. Raises Refusal for what the plan does not allow."""
    parts = list(_parts(body))
    asked = Turn(
        model=body["model"],
        text="\n".join(part["text"] for part in parts if part["type"] == "text"),
        images=sum(part["type"] == "image_url" for part in parts),
        frames=sum(_frames(part, body, plan) for part in parts if part["type"] == "video_url"),
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens") or 16,
        stream=bool(body.get("stream")),
    )
    _check(asked, plan)
    return asked


def _parts(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for message in body["messages"]:
        content = message["content"]
        yield from [{"type": "text", "text": content}] if isinstance(content, str) else content


def _frames(part: Mapping[str, Any], body: Mapping[str, Any], plan: Plan) -> int:
    frames = len(part["video_url"]["url"].partition("base64,")[2].split(","))
    told = body.get("media_io_kwargs", {}).get("video", {}) if plan.media_kwargs else {}
    return frames if told.get("num_frames") == -1 else min(frames, MOST_FRAMES)


def _check(asked: Turn, plan: Plan) -> None:
    if asked.model not in plan.models:
        raise Refusal(404, f"The model `{asked.model}` does not exist.", "model_not_found")
    if plan.max_images is not None and asked.images > plan.max_images:
        raise Refusal(400, f"At most {plan.max_images} image(s) may be provided in one prompt.")
    if asked.prompt_tokens + asked.max_tokens > plan.context:
        raise _too_long(asked.prompt_tokens, plan.context)


def _too_long(tokens: int, context: int) -> Refusal:
    message = f"This model's maximum context length is {context} tokens. However, your messages resulted in {tokens}."
    return Refusal(400, message, "context_length_exceeded")


def refused(fault: Fault) -> Refusal | None:
    """The status that a fault is, if it is one."""
    seconds = fault.amount_or(1)
    return {
        "429": Refusal(429, "Rate limit reached.", "rate_limit_exceeded"),
        "429-after": Refusal(429, "Rate limit reached.", "rate_limit_exceeded", retry_after=seconds),
        "500": Refusal(500, "The server had an error while processing your request."),
        "503": Refusal(503, "The engine is currently overloaded."),
        "401": Refusal(401, "Incorrect API key provided.", "invalid_api_key"),
        "404": Refusal(404, "The model `nobody` does not exist.", "model_not_found"),
        "context": _too_long(99999, 4096),
        "filter-400": Refusal(400, "The prompt was held back by the content policy.", "content_filter"),
    }.get(fault.name)


def answer(number: int, asked: Turn, fault: Fault | None) -> dict[str, Any]:
    """The body of a completion: a letter that follows from the text."""
    name = fault.name if fault else ""
    said = "ABCD"[hashlib.sha256(asked.text.encode()).digest()[0] % 4]
    if fault is not None and name == "large":
        said *= int(fault.amount_or(10) * 2**20)
    message = {"role": "assistant", "content": said}
    reason = "stop"
    if name == "filter":
        message, reason = message | {"content": ""}, "content_filter"
    if name == "refusal":
        message |= {"content": "", "refusal": "I cannot help with that."}
    choices = [] if name == "empty" else [{"index": 0, "message": message, "finish_reason": reason}]
    tokens, new = asked.prompt_tokens, 1
    usage = {"prompt_tokens": tokens, "completion_tokens": new, "total_tokens": tokens + new}
    more = {"prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}}
    head = {"id": f"chatcmpl-{number}", "object": "chat.completion", "created": 0, "model": asked.model}
    return head | {"choices": choices, "usage": usage | more}


def chunks(whole: Mapping[str, Any]) -> list[bytes]:
    """The same as events of a stream, the last of which carries the usage, and its end."""
    head = {name: whole[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    events = []
    for choice in whole["choices"]:
        begun = {"index": 0, "delta": choice["message"], "finish_reason": None}
        ended = {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}
        events += [head | {"choices": [begun]}, head | {"choices": [ended]}]
    events.append(head | {"choices": [], "usage": whole["usage"]})
    return [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events] + [b"data: [DONE]\n\n"]


def models(plan: Plan) -> dict[str, Any]:
    """The list of models."""
    known = [{"id": name, "object": "model", "created": 0, "owned_by": "tests"} for name in plan.models]
    return {"object": "list", "data": known}
