"""HTTP/1.1 by hand: what a real server would never let one send."""

import asyncio
import json
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["chunk", "head", "json_response", "reset", "response", "trickle", "write"]

REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 413: "Request Entity Too Large"}
REASONS |= {429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable"}


def head(status: int, content: str, more: Mapping[str, object]) -> bytes:
    """Status line and headers, with the empty line after them."""
    lines = [f"HTTP/1.1 {status} {REASONS[status]}", f"Content-Type: {content}"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in more.items()), "", ""]).encode()


def response(
    status: int, body: bytes, *, content: str = "application/json", more: Mapping[str, object] | None = None
) -> bytes:
    """A whole response; `more` are headers."""
    return head(status, content, {"Content-Length": len(body), **(more or {})}) + body


def json_response(values: Mapping[str, Any]) -> bytes:
    """These values, status 200."""
    return response(200, json.dumps(values).encode())


def chunk(data: bytes) -> bytes:
    """One piece of a chunked body; an empty one ends it."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


async def write(writer: asyncio.StreamWriter, *pieces: bytes) -> None:
    """Send these, one after the other. OSError if nobody is there any more."""
    for piece in pieces:
        writer.write(piece)
        await writer.drain()


async def trickle(writer: asyncio.StreamWriter, pieces: Sequence[bytes], seconds: float) -> None:
    """Send these within so many seconds."""
    for piece in pieces:
        await asyncio.sleep(seconds / len(pieces))
        await write(writer, piece)


def reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with a reset, so that who reads gets an error and no end."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
