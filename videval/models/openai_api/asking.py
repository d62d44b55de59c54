"""One request from its body to its answer: through the gate, to an address, as often as it takes."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from videval.errors import ApiFailure, VidevalError
from videval.models.endpoint_file import PIXELS_PER_TOKEN, Endpoint
from videval.models.openai_api.addresses import Address, Addresses
from videval.models.openai_api.answers import read_answer
from videval.models.openai_api.body import Body
from videval.models.openai_api.failures import Filtered, Throttled
from videval.protocols import Gate, Permit
from videval.types import Ask, Generation, Stage

__all__ = ["Answered", "Asking", "Estimate"]

CHARACTERS_PER_TOKEN = 3
"""Of English text a tokenizer makes fewer tokens than a third of its characters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """A generation, and the seconds that the endpoint took for it."""

    generation: Generation
    generate_s: float


class Estimate:
    """How many tokens a body has: at first a guess, then what the endpoint counted of earlier ones."""

    def __init__(self) -> None:
        self._per_pixel = 1 / PIXELS_PER_TOKEN
        self._is_counted = False

    def tokens(self, body: Body) -> int:
        """At most so many, prompt and longest answer."""
        return body.text // CHARACTERS_PER_TOKEN + round(body.pixels * self._per_pixel) + body.longest

    def learn(self, body: Body, prompt_tokens: int | None) -> None:
        """The endpoint counted so many in the prompt."""
        if prompt_tokens is None or not body.pixels:
            return
        counted = max(0, prompt_tokens - body.text // CHARACTERS_PER_TOKEN) / body.pixels
        self._per_pixel = max(self._per_pixel, counted) if self._is_counted else counted
        self._is_counted = True


class Asking:
    """Sends bodies to an endpoint, none again that was answered."""

    def __init__(self, endpoint: Endpoint, addresses: Addresses) -> None:
        self._endpoint, self._addresses = endpoint, addresses
        self._estimate = Estimate()

    async def answer(self, body: Body, ask: Ask, gate: Gate, entered: Callable[[Stage], None]) -> Answered:
        """Wait for leave, send, and again after a 429, or if it was sent to see whether the endpoint still fails: that
        costs the request nothing. One that an address did not answer goes to the others. Raises VidevalError."""
        tried: list[Address] = []
        while True:
            entered(Stage.WAIT)
            permit = await self._leave(body, ask, gate)
            entered(Stage.GENERATE)
            address = self._addresses.choose(ask.together, tried)
            try:
                return await self._once(address, body, permit)
            except Throttled:
                continue
            except ApiFailure as error:
                if permit.is_probe and not error.permanent:
                    continue
                tried.append(address)
                if error.permanent or len(tried) >= len(self._addresses.every):
                    raise

    async def _leave(self, body: Body, ask: Ask, gate: Gate) -> Permit:
        tokens, prices = self._estimate.tokens(body), self._endpoint.prices
        cost = prices.cost(prompt=tokens - body.longest, new=body.longest) if prices else 0.0
        return await gate.enter(tokens, cost=cost, allowance=ask.allowance)

    async def _once(self, address: Address, body: Body, permit: Permit) -> Answered:
        """Send it, and tell the gate and the address how that went."""
        began = time.monotonic()
        try:
            generation = read_answer(*await address.post(body), self._endpoint.prices)
        except Throttled as throttled:
            permit.throttled(throttled.retry_after)
            raise
        except Filtered:
            generation = Generation(text="", refused="content_filter")
            permit.refused()
        except VidevalError as error:
            self._failed(address, permit, error)
            raise
        except BaseException:  # it is forgotten, or a library failed: nobody knows what the endpoint did
            permit.dropped()
            raise
        else:
            self._done(body, permit, generation)
        address.worked()
        return Answered(generation=generation, generate_s=time.monotonic() - began)

    def _failed(self, address: Address, permit: Permit, error: VidevalError) -> None:
        if isinstance(error, ApiFailure) and not error.permanent:
            permit.failed(error.status, why=str(error), is_sent=error.is_sent)
            address.broke()
        else:
            permit.refused()

    def _done(self, body: Body, permit: Permit, generation: Generation) -> None:
        self._estimate.learn(body, generation.prompt_tokens)
        counted = generation.prompt_tokens is not None and generation.new_tokens is not None
        tokens = (generation.prompt_tokens or 0) + (generation.new_tokens or 0)
        permit.done(tokens=tokens if counted else None, cost=generation.cost)
