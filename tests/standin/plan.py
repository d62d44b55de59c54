"""What a stand-in is to do: faults by name, by chance or by a mark in the request's text, and its limits."""

import json
import random
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["FAULTS", "Fault", "Plan", "marked"]

FAULTS = {
    "429": "too many, without Retry-After",
    "429-after": "too many, Retry-After of so many seconds (1)",
    "500": "an error of the server",
    "503": "overloaded",
    "stall": "says nothing for so many seconds (30), then answers",
    "half-body": "the connection ends in the middle of the body",
    "half-json": "a whole body that is half a JSON",
    "empty": "an answer without choices",
    "stopped-stream": "a stream that ends in the middle, without an end",
    "html": "a page of a proxy, status 200",
    "large": "an answer of so many MB (10)",
    "reset": "the connection is reset before anything is said",
    "trickle": "the answer, a few bytes at a time, within so many seconds (5)",
    "401": "a wrong key",
    "404": "no such model",
    "context": "the context is exceeded",
    "filter": "a content filter held the answer back (finish_reason)",
    "filter-400": "a content filter held the prompt back (status 400)",
    "refusal": "the model's own refusal",
}
"""What each name means, with the amount that it takes and what that is when it is left out."""

_MARK = re.compile(r"\[\[(?P<fault>[a-z0-9-]+)(?: (?P<amount>[\d.]+))?(?: x(?P<tries>\d+))?\]\]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """A fault with its amount, None for the usual one."""

    name: str
    amount: float | None = None

    def amount_or(self, usual: float) -> float:
        """The amount, or the usual one."""
        return usual if self.amount is None else self.amount


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a stand-in behaves.

    `first`, `later`: the chance of each fault ("stall", "429-after 2") when a body comes for the first time, and when
    it comes again; drawn by `seed`, body and try. `latency`: seconds of each answer. `max_images`, `max_body`,
    `context`: what it takes (images, bytes, tokens). `media_kwargs`: whether it heeds `media_io_kwargs`, as vLLM does
    with --trust-request-mm-kwargs only; else it keeps 32 frames of a video. `streams`: requests at once, others get
    429. `tls`: folder of its certificate.
    """

    seed: int = 0
    first: Mapping[str, float] = field(default_factory=dict)
    later: Mapping[str, float] = field(default_factory=dict)
    latency: float = 0.0
    models: tuple[str, ...] = ("stand-in",)
    key: str = ""
    max_images: int | None = None
    max_body: int | None = None
    context: int = 32768
    media_kwargs: bool = True
    streams: int | None = None
    tls: str = ""

    def to_json(self) -> str:
        """As one argument of a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """As `to_json` wrote it."""
        values: dict[str, Any] = json.loads(text)
        return cls(**(values | {"models": tuple(values["models"])}))

    def drawn(self, key: str, tries: int) -> Fault | None:
        """The fault that this body meets in its try number `tries`, from 1."""
        left = random.Random(f"{self.seed} {key} {tries}").random()
        for words, chance in (self.first if tries == 1 else self.later).items():
            left -= chance
            if left < 0:
                name, _, amount = words.partition(" ")
                return Fault(name=name, amount=float(amount) if amount else None)
        return None


def marked(text: str, tries: int) -> Fault | None:
    """The fault that a text asks for: `[[stall]]` always, `[[stall 2.5]]` with its amount, `[[500 x2]]` twice only.

    Of several marks the first that is not used up counts; each has its tries after those of the one before.
    """
    before = 0
    for mark in _MARK.finditer(text):
        before += int(mark["tries"]) if mark["tries"] else tries
        if tries <= before:
            return Fault(name=mark["fault"], amount=float(mark["amount"]) if mark["amount"] else None)
    return None
