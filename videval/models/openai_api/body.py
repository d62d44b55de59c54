"""A request's body: JSON around base64 that is made once for a clip and never copied."""

import json
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from videval.errors import ModelFailure
from videval.models.dialects import settings_of
from videval.models.endpoint_file import Limits
from videval.models.openai_api.content import Blob, Spoken
from videval.types import GenerationSettings, Remote

__all__ = ["Body", "Sending", "body_of", "check_size"]

MEGA = 1_000_000
_SECRET = secrets.token_hex(16)
"""Stands for a blob while the JSON around it is made: no text can have it."""
_HOLE = re.compile(_SECRET + r"<(\d+)>")


@dataclass(frozen=True, kw_only=True, slots=True)
class Body:
    """The bytes of a request in pieces, and of how many characters of text, images, pixels and new tokens it is."""

    pieces: tuple[bytes, ...]
    text: int
    images: int
    pixels: int
    longest: int

    @property
    def size(self) -> int:
        """All its bytes."""
        return sum(map(len, self.pieces))


class Sending:
    """A body on its way: its pieces as an HTTP library takes them, and whether it took one, and all."""

    def __init__(self, body: Body) -> None:
        self.body, self.is_begun, self.is_whole = body, False, False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.is_begun = True
        for piece in self.body.pieces:
            yield piece
        self.is_whole = True


def body_of(model: str, said: Spoken, settings: GenerationSettings, remote: Remote) -> Body:
    """What is posted. ModelFailure for a text that is no Unicode."""
    blobs: list[Blob] = []
    own = {"model": model, "messages": _with_holes(said.messages, blobs), **settings_of(settings, remote), **said.body}
    text = json.dumps(_merged(own, remote.extra), ensure_ascii=False, separators=(",", ":"))
    try:
        pieces = tuple(_filled(text, blobs))
    except UnicodeEncodeError as error:
        raise ModelFailure(f"the prompt is not valid Unicode: {error.reason} at {error.start}") from error
    return Body(
        pieces=pieces,
        text=said.text,
        images=said.images,
        pixels=said.pixels,
        longest=settings.max_new_tokens,
    )


def check_size(body: Body, limits: Limits) -> None:
    """Raise ModelFailure for what the endpoint's entry says that it does not take."""
    if limits.max_images is not None and body.images > limits.max_images:
        raise ModelFailure(
            f"the question shows {body.images} images, and the endpoint takes {limits.max_images}",
            hint="fewer frames, or max_images in the endpoint's entry",
        )
    if limits.max_body_mb is not None and body.size > limits.max_body_mb * MEGA:
        raise ModelFailure(
            f"the body has {body.size / MEGA:.1f} MB, and the endpoint takes {limits.max_body_mb:g}",
            hint='fewer frames, smaller ones (--max-pixels), or image = "jpeg" in the endpoint\'s entry',
        )


def _with_holes(value: Any, blobs: list[Blob]) -> Any:
    """The same as JSON has it, a mark in place of each blob, which is added to `blobs`."""
    if isinstance(value, Blob):
        blobs.append(value)
        return f"{_SECRET}<{len(blobs) - 1}>"
    if isinstance(value, list) and any(isinstance(item, Blob) for item in value):
        return "".join(_with_holes(item, blobs) for item in value)
    if isinstance(value, list):
        return [_with_holes(item, blobs) for item in value]
    return {name: _with_holes(item, blobs) for name, item in value.items()} if isinstance(value, dict) else value


def _filled(text: str, blobs: list[Blob]) -> list[bytes]:
    """The JSON with each blob in its place."""
    pieces: list[bytes] = []
    for number, piece in enumerate(_HOLE.split(text)):
        pieces += blobs[int(piece)].pieces if number % 2 else [piece.encode()]
    return pieces


def _merged(own: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Both; where both say something, tables are merged and else `more` counts."""
    merged = dict(own)
    for name, value in more.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _merged(merged[name], value) if both else value
    return merged
