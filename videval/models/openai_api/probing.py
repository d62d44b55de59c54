"""What an endpoint has and takes, tried by requests that cost nothing: its models, and how large a body may be."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from videval.errors import ApiFailure, VidevalError
from videval.models.endpoint_file import Endpoint
from videval.models.openai_api.addresses import Address, addresses_of
from videval.models.openai_api.body import MEGA, Body
from videval.models.openai_api.failures import Filtered, Throttled, excerpt

__all__ = ["Listed", "list_models", "takes_body"]

TOO_LARGE, SERVERS_FAULT = 413, 500
_HEAD, _TAIL = b'{"model":"videval-size-probe","messages":[],"max_tokens":1,"padding":"', b'"}'
"""No server can answer this: it has no message, for a model that nobody has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """What the address `url` says of its models: their names, and the context of each where it says so; `failure`: why
    it says nothing."""

    url: str
    names: tuple[str, ...] = ()
    contexts: Mapping[str, int] | None = None
    failure: VidevalError | None = None


def list_models(endpoint: Endpoint) -> list[Listed]:
    """The models of each address. ModelUnavailable without a key or certificates."""
    return asyncio.run(_of_all(endpoint))


def takes_body(endpoint: Endpoint, size_mb: float) -> bool | None:
    """Whether a body of so many MB (10^6 bytes) is taken, by the first address; None if that cannot be told now."""
    return asyncio.run(_takes(endpoint, size_mb))


async def _of_all(endpoint: Endpoint) -> list[Listed]:
    addresses = addresses_of(endpoint)
    try:
        return [await _listed(address, endpoint) for address in addresses.every]
    finally:
        await addresses.close()


async def _listed(address: Address, endpoint: Endpoint) -> Listed:
    try:
        content, kind = await address.models()
    except VidevalError as error:
        return Listed(url=address.url, failure=error)
    except (Throttled, Filtered):
        return Listed(url=address.url, failure=ApiFailure(f"{address.url} is overloaded (429)", hint="try again later"))
    return _read(content, kind, address.url, endpoint)


def _read(content: str, kind: str, url: str, endpoint: Endpoint) -> Listed:
    try:
        whole = json.loads(content)
        entries = {str(entry["id"]): entry for entry in whole["data"]}
    except (ValueError, LookupError, TypeError, RecursionError):
        came = excerpt(content) or "nothing"
        right = f"base_url up to /v1 in [endpoints.{endpoint.name}]; a proxy may answer in its place"
        failure = ApiFailure(f"{url} sent {kind or 'something'}, and no list of models: {came}", hint=right)
        return Listed(url=url, failure=failure)
    return Listed(url=url, names=tuple(entries), contexts=_contexts(entries))


def _contexts(entries: Mapping[str, Any]) -> dict[str, int]:
    """By model, as vLLM and SGLang say it (`max_model_len`)."""
    said = {name: entry.get("max_model_len") for name, entry in entries.items() if isinstance(entry, Mapping)}
    return {name: most for name, most in said.items() if isinstance(most, int)}


async def _takes(endpoint: Endpoint, size_mb: float) -> bool | None:
    padding = b"a" * max(0, int(size_mb * MEGA) - len(_HEAD) - len(_TAIL))
    body = Body(pieces=(_HEAD, padding, _TAIL), text=len(_HEAD), images=0, pixels=0, longest=1)
    addresses = addresses_of(endpoint)
    try:
        await addresses.every[0].post(body)
    except Throttled:
        return None
    except ApiFailure as error:
        if error.status is not None and error.status >= SERVERS_FAULT:
            return None
        return error.permanent and error.status != TOO_LARGE
    except (VidevalError, Filtered):  # there is no such model, say: it was read
        return True
    finally:
        await addresses.close()
    return True
