"""Endpoints by name, and the models that run there: `endpoint:NAME` by its entry in the file of endpoints
(`videval/models/endpoint_file.py`), `openai:MODEL` without one, by OPENAI_API_KEY and OPENAI_BASE_URL.

Nothing here opens a connection. A key is read from the environment when it is used, and is in no record.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from videval.errors import ModelUnavailable, UnknownName, UsageError
from videval.models.dialects import transport_of
from videval.models.endpoint_file import OPENAI, Endpoint, Limits, Prices, address, read_endpoints
from videval.plain import plain
from videval.types import ModelSpec, Remote

if TYPE_CHECKING:
    from videval.settings import Settings

__all__ = [
    "ADAPTER",
    "OPENAI",
    "PREFIXES",
    "Endpoint",
    "Limits",
    "Prices",
    "endpoint_of",
    "endpoints",
    "key_of",
    "load_part",
    "spec_of",
]

ADAPTER = "openai_api"
PREFIXES = (OPENAI, "endpoint")
"""What stands before the colon in the name of a model that runs elsewhere."""
OPENAI_URL = "https://api.openai.com/v1"


def endpoints(settings: "Settings | None" = None) -> Mapping[str, Endpoint]:
    """The entries of the file by name; none if there is no file. UsageError for what cannot be read or meant."""
    return read_endpoints(_path(settings))


def endpoint_of(spec: ModelSpec | str, settings: "Settings | None" = None) -> Endpoint:
    """The entry of a model's name (`endpoint:lab`, `openai:MODEL`) or, as a run asks it, of its spec.

    UnknownName; ModelUnavailable where a run's endpoint is not what it was, so that no run is answered by two.
    """
    if isinstance(spec, str):
        prefix, _, rest = spec.partition(":")
        return _openai(rest) if prefix == OPENAI else _named(rest, settings)
    if spec.remote is None:
        raise UsageError(f"{spec.name} runs at no endpoint", hint="endpoint:NAME, or openai:MODEL")
    is_openai = spec.remote.endpoint == OPENAI
    found = _openai(spec.checkpoint) if is_openai else _named(spec.remote.endpoint, settings)
    if is_openai and found.remote.base_url != spec.remote.base_url:
        there = spec.remote.base_url or OPENAI_URL
        raise ModelUnavailable(
            f"{spec.name} was enqueued for {there}, and OPENAI_BASE_URL is another one here",
            hint=f"OPENAI_BASE_URL={there} on this host, or enqueue again with the one of here",
        )
    return replace(found, model=spec.checkpoint, remote=spec.remote)


def spec_of(name: str, settings: "Settings | None" = None) -> ModelSpec:
    """The model called `endpoint:NAME` or `openai:MODEL`, with the limits of its entry."""
    found = endpoint_of(name, settings)
    transport = transport_of(found.remote)
    if not found.images and transport.form == "frames":
        raise UsageError(
            f"endpoint {found.name} takes no images, and its transport sends each frame as one",
            hint=f'transport = "video" in [endpoints.{found.name}], or images = true',
        )
    return ModelSpec(
        name=name,
        adapter=ADAPTER,
        checkpoint=found.model,
        revision="",
        form=transport.form,
        clips=transport.clips,
        images=found.images,
        max_frames=_most_frames(found),
        needs_device=False,
        context=found.limits.context,
        remote=found.remote,
        note=f"{found.name}: {transport.said}",
    )


def key_of(endpoint: Endpoint) -> str:
    """Its key, from the environment; "" if it needs none. ModelUnavailable if it is not set. Never log it."""
    key = os.environ.get(endpoint.key_env, "").strip() if endpoint.key_env else ""
    if endpoint.key_env and not key:
        raise ModelUnavailable(
            f"endpoint {endpoint.name} needs a key, and {endpoint.key_env} is not set",
            hint=f"export {endpoint.key_env}=... where the workers run",
        )
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ModelUnavailable(f"{endpoint.key_env} has a space or a character that no key has", hint="copy it again")
    return key


def load_part(remote: Remote) -> str:
    """What makes two ways of asking the same model two loads, for a load key: the endpoint and a digest of how."""
    said = json.dumps(plain(remote), sort_keys=True, separators=(",", ":"))
    return f"endpoint={remote.endpoint}+{hashlib.sha256(said.encode()).hexdigest()[:12]}"


def _most_frames(endpoint: Endpoint) -> int | None:
    limits = endpoint.limits
    as_images = limits.max_images if transport_of(endpoint.remote).form == "frames" else None
    return min((most for most in (limits.max_frames, as_images) if most), default=None)


def _path(settings: "Settings | None") -> Path:
    from videval.settings import Settings  # an engine process, which is given all that it needs, loads none

    return (settings or Settings()).endpoints_path


def _named(name: str, settings: "Settings | None") -> Endpoint:
    known = endpoints(settings)
    if name in known:
        return known[name]
    error = UnknownName("endpoint", name, known)
    if not known:
        path = _path(settings)
        error.hint = f'[endpoints.{name}] with base_url = "http://HOST:PORT/v1" and model = "..." in {path}'
    raise error


def _openai(model: str) -> Endpoint:
    said = os.environ.get("OPENAI_BASE_URL", "").strip()
    url = address(said, "OPENAI_BASE_URL") if said else OPENAI_URL
    remote = Remote(endpoint=OPENAI, base_url=url if said else "")
    return Endpoint(name=OPENAI, model=model, base_urls=(url,), remote=remote, key_env="OPENAI_API_KEY")
