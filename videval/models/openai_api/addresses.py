"""The addresses of an endpoint: which one is asked, and one request to it."""

import asyncio
import ssl
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress

import httpx2
import openai
from openai import AsyncOpenAI, AsyncStream, DefaultAsyncHttpxClient, Timeout

from videval.errors import ApiFailure, ModelUnavailable
from videval.models.endpoints import OPENAI, Endpoint, key_of
from videval.models.openai_api.body import Body, Sending
from videval.models.openai_api.failures import CHAT, MODELS, Asked, connection_failure, status_failure
from videval.paths import expanded

__all__ = ["Address", "Addresses", "addresses_of"]

MOST_ANSWER = 64 * 2**20
"""Bytes of an answer; what is longer is none."""
CONNECT = 30.0
"""Seconds until a connection is there, TLS and all."""
KEPT = 2.0
"""Seconds for which an idle connection is kept: servers of uvicorn (vLLM, SGLang) end one after 5, and a request that
meets that end is lost."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds for which an address that failed is left out; doubles as it fails again."""
REMEMBERED = 4096
"""Clips of which it is known where their questions go."""


class Address:
    """One base URL with its connections."""

    def __init__(self, url: str, endpoint: Endpoint, key: str) -> None:
        self.url, self.running, self.out_until = url, 0, 0.0
        self._endpoint, self._failures = endpoint, 0
        self._asked = Asked(
            endpoint=endpoint.name, url=url, model=endpoint.model, key_env=endpoint.key_env, key=key,
            is_only=len(endpoint.base_urls) == 1,
        )  # fmt: skip
        self._client = _client(url, endpoint, key)
        self._timeout = Timeout(endpoint.timeout_s, connect=CONNECT)

    async def post(self, body: Body) -> tuple[str, str]:
        """What is answered, with its content type. Raises VidevalError, Throttled, Filtered."""
        sending = Sending(body)
        self.running += 1
        try:
            return await self._in_time(self._sent(sending), sending)
        finally:
            self.running -= 1

    async def models(self) -> tuple[str, str]:
        """Its list of models, with its content type. Raises as `post` does."""
        list_them = self._client.get(
            MODELS,
            cast_to=object,
            options={"timeout": self._timeout},
            stream=True,
            stream_cls=AsyncStream[object],
        )
        return await self._in_time(list_them)

    def worked(self) -> None:
        """It answers, whatever it said."""
        self._failures = 0
        self.out_until = 0.0

    def broke(self) -> None:
        """It does not; it is left out for a while, and longer each time."""
        self.out_until = time.monotonic() + min(FIRST_PAUSE * 2 ** min(self._failures, 16), LONGEST_PAUSE)
        self._failures += 1

    async def close(self) -> None:
        """End its connections."""
        await self._client.close()

    async def _in_time(self, asked: Awaitable[AsyncStream[object]], sending: Sending | None = None) -> tuple[str, str]:
        try:
            async with asyncio.timeout(self._endpoint.timeout_s):
                return await self._told(asked, sending)
        except TimeoutError:
            seconds = f"{self._endpoint.timeout_s:g} s"
            late = ApiFailure(f"{self._asked.endpoint} ({self.url}) gave no whole answer within {seconds}")
            late.hint = f"timeout_s in [endpoints.{self._asked.endpoint}], or is it overloaded?"
        raise late

    async def _told(self, asked: Awaitable[AsyncStream[object]], sending: Sending | None) -> tuple[str, str]:
        """The errors of the libraries are told as ours, without them as a cause: they may have the key in them."""
        try:
            return await self._read(await asked)
        except openai.APIStatusError as error:
            response = error.response
            call = CHAT if sending else MODELS
            failure = status_failure(response.status_code, response.content, response.headers, self._asked, call=call)
        except (openai.APIConnectionError, httpx2.HTTPError, OSError) as error:
            cut_off = sending.body.size if sending and not sending.is_whole else None
            failure = connection_failure(error, self._asked, sent=cut_off)
            if isinstance(failure, ApiFailure):
                failure.is_sent = sending is None or sending.is_begun
        raise failure

    async def _sent(self, sending: Sending) -> AsyncStream[object]:
        """The response, its body not read: it is no stream of events, but may be of any size."""
        headers = {"Content-Type": "application/json", "Content-Length": str(sending.body.size)}
        return await self._client.post(
            CHAT,
            cast_to=object,
            content=sending,
            options={"headers": headers, "timeout": self._timeout},
            stream=True,
            stream_cls=AsyncStream[object],
        )

    async def _read(self, answered: AsyncStream[object]) -> tuple[str, str]:
        content = bytearray()
        try:
            async for piece in answered.response.aiter_bytes():
                content += piece
                if len(content) > MOST_ANSWER:
                    raise ApiFailure(f"{self._asked.endpoint} sent more than {MOST_ANSWER / 2**20:.0f} MB")
        finally:
            with suppress(httpx2.HTTPError, OSError):  # of a connection that broke
                await answered.close()
        return self._asked.keyless(content.decode(errors="replace")), answered.response.headers.get("content-type", "")


class Addresses:
    """Chooses among the addresses: a clip's questions stay at one, others go to the least loaded that works."""

    def __init__(self, every: Sequence[Address], clock: Callable[[], float] = time.monotonic) -> None:
        self.every, self._clock = tuple(every), clock
        self._of_clip: OrderedDict[str, Address] = OrderedDict()

    def choose(self, together: str, tried: Collection[Address] = ()) -> Address:
        """The address for a question about this clip; of those that were tried and failed only if all were."""
        left = [address for address in self.every if address not in tried] or self.every
        working = [address for address in left if address.out_until <= self._clock()]
        kept = self._of_clip.get(together)
        if kept not in working:
            kept = min(working, key=lambda one: one.running, default=None) or min(left, key=lambda one: one.out_until)
        if together:
            self._of_clip[together] = kept
            self._of_clip.move_to_end(together)
        if len(self._of_clip) > REMEMBERED:
            self._of_clip.popitem(last=False)
        return kept

    async def close(self) -> None:
        """End all connections."""
        for address in self.every:
            await address.close()


def _client(url: str, endpoint: Endpoint, key: str) -> AsyncOpenAI:
    limits = httpx2.Limits(max_connections=None, keepalive_expiry=KEPT)
    http = DefaultAsyncHttpxClient(limits=limits, verify=_trusted(endpoint) if endpoint.ca_file else True)
    client = AsyncOpenAI(api_key=key or "none", base_url=url, max_retries=0, http_client=http)
    if endpoint.name != OPENAI:  # what OPENAI_ORG_ID and OPENAI_PROJECT_ID say is nobody else's business
        client.organization = client.project = None
    return client


def _trusted(endpoint: Endpoint) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=expanded(endpoint.ca_file))
    except OSError as error:
        said = f"endpoint {endpoint.name}: {endpoint.ca_file} has no certificates: {error}"
        raise ModelUnavailable(said, hint=f"ca_file in [endpoints.{endpoint.name}]") from error


def addresses_of(endpoint: Endpoint) -> Addresses:
    """Its addresses, with its key. Raises ModelUnavailable without one."""
    key = key_of(endpoint)
    return Addresses([Address(url, endpoint, key) for url in endpoint.base_urls])
