"""From a prompt to messages: what is said and shown, in the form that the endpoint's transport has.

Forms, each with where it is from:

- an image: `image_url` with a data URL (OpenAI, and all others);
- `video`: one `video_url` of `data:video/jpeg;base64,FRAME,FRAME,...`, whatever the frames' format, and in the body
  `media_io_kwargs`, without which vLLM silently keeps 32 of them; `uuid` is what vLLM caches it by (vLLM's
  docs/features/multimodal_inputs.md; tried with 0.32);
- `frame_list`: `{"type": "video", "video": [data URLs], "fps": N}` (Alibaba Cloud Model Studio, "Visual
  understanding");
- `file`, `inline`: `video_url` with `file://` or the file as a data URL (vLLM, SGLang, LMDeploy);
- `gemini`: the file as a data URL in `image_url`, as Google's OpenAI-compatible address takes it.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from videval.errors import ModelFailure
from videval.models.dialects import dialect_of, goes_on
from videval.models.openai_api.media import Encoded, Media
from videval.plain import plain
from videval.types import Clip, Frame, Image, Part, Prompt, Remote, Sound, Text, Video

__all__ = ["Blob", "Spoken", "identity", "spoken"]

Content = dict[str, Any]
"""A message, or a part of one, as JSON has it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Blob:
    """Base64 that stands in a body as it is: not copied, not looked at again."""

    pieces: tuple[bytes, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Spoken:
    """A prompt for an endpoint: messages, what the body says besides, and of how many characters, images and
    pixels it is.

    A Blob may stand where a text does, or a list of texts and Blobs, which is their concatenation.
    """

    messages: list[Content]
    body: Mapping[str, Any] = field(default_factory=dict)
    text: int = 0
    images: int = 0
    pixels: int = 0


def spoken(prompt: Prompt, media: Media, remote: Remote) -> Spoken:
    """The messages of a prompt. Raises ModelFailure for what cannot be shown."""
    dialect, content = dialect_of(remote), _Content(prompt.clips, media, remote)
    for part in prompt.parts:
        content.add(part)
    system, begun = prompt.text("system"), prompt.text("assistant")
    is_begun = bool(begun) and goes_on(remote)
    if begun and not is_begun:
        content.say(f"\n{begun}")
    messages: list[Content] = [{"role": "system", "content": system}] if system.strip() else []
    messages.append({"role": "user", "content": content.said})
    if is_begun:
        messages.append({"role": "assistant", "content": begun, **(dialect.begun or {})})
    body = {**content.body, **((dialect.goes_on or {}) if is_begun else {})}
    text = sum(len(prompt.text(role)) for role in ("system", "user", "assistant"))
    counts = {"text": text, "images": content.images, "pixels": content.pixels}
    return Spoken(messages=messages, body=body, **counts)


def identity(clip: Clip, remote: Remote) -> str:
    """What a server may cache a clip's pixels by: another one for anything that they, or their times, depend on.

    The file's name in the frame cache stands for the video, its span, the sampling and the scaling.
    """
    frames = {name: value for name, value in plain(clip).items() if name not in ("path", "notes")}
    said = {"clip": Path(clip.path).stem, "frames": frames, "sent": plain(remote)}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]


class _Content:
    """The user's message, put together; texts that stand side by side are one."""

    def __init__(self, clips: Sequence[Clip], media: Media, remote: Remote) -> None:
        self._clips, self._media, self._remote = clips, media, remote
        self._parts: list[Content] = []
        self.body: dict[str, Any] = {}
        self.images = self.pixels = 0

    @property
    def said(self) -> str | list[Content]:
        """The content: parts, or only a text where nothing is shown."""
        if all(part["type"] == "text" for part in self._parts):
            return "".join(part["text"] for part in self._parts)
        return self._parts

    def say(self, text: str) -> None:
        """Add a text."""
        if text and self._parts and self._parts[-1]["type"] == "text":
            self._parts[-1]["text"] += text
        elif text:
            self._parts.append({"type": "text", "text": text})

    def add(self, part: Part) -> None:
        """Add what stands next in the prompt."""
        match part:
            case Text(role="user"):
                self.say(part.text)
            case Text():
                return
            case Frame():
                self._frame(part.clip, part.position)
            case Video():
                self._video(part.clip)
            case Image():
                found = self._media.images[part.path]
                self._image(found.mime, Blob(pieces=found.pieces))
            case Sound():
                raise ModelFailure("the question has sound, which is not sent to endpoints")

    def _video(self, number: int) -> None:
        clip, encoded = self._clips[number], self._media.clips[number]
        if self._remote.transport == "frames":
            for position in range(clip.num_frames):
                self._mark(clip, position)
                self._frame(number, position)
            return
        self.pixels += clip.num_frames * clip.width * clip.height
        part, body = _VIDEOS[self._remote.transport](clip, encoded, self._remote)
        self._parts.append(part)
        self.body.update(body)

    def _mark(self, clip: Clip, position: int) -> None:
        if self._remote.frame_mark:
            self.say(self._remote.frame_mark.format(n=position + 1, time=clip.timestamps[position]))

    def _frame(self, number: int, position: int) -> None:
        clip, encoded = self._clips[number], self._media.clips[number]
        self.pixels += clip.width * clip.height
        self._image(encoded.mime, Blob(pieces=(encoded.pieces[position],)))

    def _image(self, mime: str, blob: Blob) -> None:
        detail = {"detail": self._remote.detail} if self._remote.detail else {}
        self.images += 1
        self._parts.append({"type": "image_url", "image_url": {"url": _data(mime, blob), **detail}})


def _data(mime: str, blob: Blob) -> list[str | Blob]:
    return [f"data:{mime};base64,", blob]


_Shown = tuple[Content, Mapping[str, Any]]


def _frames_as_video(clip: Clip, encoded: Encoded, remote: Remote) -> _Shown:
    url = _data("video/jpeg", Blob(pieces=_joined(encoded.pieces)))
    told = {
        "num_frames": -1,
        "fps": clip.fps,
        "frames_indices": list(clip.frame_numbers),
        "total_num_frames": clip.total_frames,
        "duration": clip.total_frames / clip.fps if clip.fps else 0.0,
        "do_sample_frames": False,
    }
    part = {"type": "video_url", "video_url": {"url": url}, "uuid": identity(clip, remote)}
    return part, {"media_io_kwargs": {"video": told}}


def _joined(pieces: Sequence[bytes]) -> tuple[bytes, ...]:
    """Frames with a comma between each two."""
    return tuple(piece for frame in pieces for piece in (b",", frame))[1:]


def _frames_as_list(clip: Clip, encoded: Encoded, remote: Remote) -> _Shown:
    urls = [_data(encoded.mime, Blob(pieces=(frame,))) for frame in encoded.pieces]
    return {"type": "video", "video": urls, **_rate(clip)}, {}


def _rate(clip: Clip) -> Mapping[str, float]:
    """How many of the frames that are shown there are in a second, on average; nothing for a single frame."""
    seconds = max(clip.timestamps, default=0.0) - min(clip.timestamps, default=0.0)
    return {"fps": round((clip.num_frames - 1) / seconds, 4)} if seconds > 0 else {}


def _path(clip: Clip, encoded: Encoded, remote: Remote) -> _Shown:
    return {"type": "video_url", "video_url": {"url": Path(clip.path).absolute().as_uri()}}, {}


def _file(clip: Clip, encoded: Encoded, remote: Remote) -> _Shown:
    return {"type": "video_url", "video_url": {"url": _data(encoded.mime, Blob(pieces=encoded.pieces))}}, {}


def _file_as_image(clip: Clip, encoded: Encoded, remote: Remote) -> _Shown:
    return {"type": "image_url", "image_url": {"url": _data(encoded.mime, Blob(pieces=encoded.pieces))}}, {}


_VIDEOS: Mapping[str, Callable[[Clip, Encoded, Remote], _Shown]] = {
    "video": _frames_as_video,
    "frame_list": _frames_as_list,
    "file": _path,
    "inline": _file,
    "gemini": _file_as_image,
}
"""Transport -> how a whole clip is one part, with what the body says of it."""
