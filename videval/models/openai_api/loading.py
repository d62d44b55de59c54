"""Makes the Server of a model that runs at an endpoint; nothing is sent."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import openai

from videval.models.dialects import goes_on, transport_of
from videval.models.endpoints import Endpoint, endpoint_of
from videval.models.openai_api.addresses import addresses_of
from videval.models.openai_api.server import ApiServer
from videval.settings import Settings
from videval.types import ModelSpec, Remote

__all__ = ["load"]

OF_DEADLINE = 0.9
"""The share of VIDEVAL_GENERATE_DEADLINE that one request may take: past that its process would be taken to hang."""


def load(spec: ModelSpec, *, devices: Sequence[str], dtype: str) -> ApiServer:
    """The Server. Raises ModelUnavailable without a key or certificates, UsageError, UnknownName."""
    settings = Settings()
    found = endpoint_of(spec, settings)
    endpoint = replace(found, timeout_s=min(found.timeout_s, OF_DEADLINE * settings.generate_deadline))
    return ApiServer(endpoint, addresses_of(endpoint), _about(endpoint), slots=settings.api_nproc)


def _about(endpoint: Endpoint) -> Mapping[str, str]:
    remote, transport = endpoint.remote, transport_of(endpoint.remote)
    return {
        "adapter": "openai_api",
        "endpoint": endpoint.name,
        "model": endpoint.model,
        "transport": f"{remote.transport}: {transport.said}",
        "server": remote.server or transport.servers[0],
        "frames": _frames(remote) if transport.exact else "chosen by the server",
        "beginning": "gone on with" if goes_on(remote) else "below the question",
        "openai": openai.__version__,
    }


def _frames(remote: Remote) -> str:
    return f"jpeg, quality {remote.quality}" if remote.image == "jpeg" else f"{remote.image}, lossless"
