"""What a run card says of the endpoint that answered: how frames travelled there, and who chose them."""

from typing import Any

from videval.models.dialects import transport_of
from videval.models.endpoints import endpoint_of
from videval.types import ModelSpec, Remote

__all__ = ["endpoint_card"]


def endpoint_card(spec: ModelSpec) -> dict[str, Any]:
    """The endpoint of a model with its currency; empty of a model that runs at none. Raises as `endpoint_of` does."""
    if spec.remote is None:
        return {}
    transport, prices = transport_of(spec.remote), endpoint_of(spec).prices
    return {
        "name": spec.remote.endpoint,
        "transport": spec.remote.transport,
        "frames": transport.said,
        "encoding": _encoding(spec.remote) if transport.exact else "the file as it is",
        "sampled_by": "videval" if transport.exact else "the server",
        "currency": prices.currency if prices else None,
    }


def _encoding(remote: Remote) -> str:
    """How a frame is written."""
    return f"jpeg, quality {remote.quality}" if remote.image == "jpeg" else f"{remote.image}, lossless"
