"""Messages as VLMEvalKit's models take them, made of prompts and prompts made of them.

A message is a list of items `{"type": "text" | "image" | "video" | "audio", "value": ..., "role"?: ...}`: a text, or
the path of a file. Facts: VLMEvalKit's `vlm/base.py` and `dataset/video_base.py`, 2026.
"""

import copy
import hashlib
import inspect
import shutil
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image as Picture

from videval.errors import VideoFailure
from videval.types import Clip, Frame, Image, Part, Prompt, PromptSet, Role, Scalar, Sound, Text, Video
from videval.video.clips import load_frames

__all__ = [
    "FrameFiles",
    "Message",
    "Question",
    "Told",
    "below",
    "checked",
    "folder_of",
    "message_of",
    "parts_of",
    "told",
    "unread",
    "worded",
]

Message = list[dict[str, Any]]
_ROLES: Mapping[str, Role] = {"system": "system", "user": "user", "assistant": "assistant"}
_SHOWN = 500
"""Characters of a value that are kept with the stored prompt: it may be a picture in base64."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What a model may want to know of the question that it is told: its row, and what its dataset says of itself.

    `nframe` and `fps`: 0 if the dataset says none. `kind`: as VLMEvalKit's TYPE. `source`: by which name VLMEvalKit
    builds the dataset; empty: it is none of its own. `spans`: of each video, the seconds that are shown, where it is
    not all of it; `folder_fps`: of a video that is a folder of images.
    """

    row: Mapping[str, Scalar] = field(default_factory=dict)
    nframe: int = 0
    fps: float = 0.0
    kind: str = ""
    pack: bool = False
    source: str = ""
    spans: tuple[tuple[float, float] | None, ...] = ()
    folder_fps: float = 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Told(Prompt):
    """A prompt that is given to a model as the message that it is; `dataset`: what the model is told of whose it is.

    An empty message is to be made of the parts, where the model is.
    """

    message: tuple[Mapping[str, Any], ...] = ()
    dataset: str = ""
    question: Question = field(default_factory=Question)

    def copied(self) -> Message:
        """The message for the model, which may change it."""
        return [dict(copy.deepcopy(item)) for item in self.message]


def checked(message: Any, whose: str) -> Message:
    """What a `build_prompt` gave, as a list of items; a text is one. VideoFailure, naming `whose`, if it is none."""
    items = [message] if isinstance(message, str | Mapping) else message
    if not isinstance(items, Sequence):
        raise VideoFailure(f"{whose} gave {_kind(message)}, not a message")
    found = [{"type": "text", "value": item} if isinstance(item, str) else item for item in items]
    for item in found:
        if not isinstance(item, Mapping) or not isinstance(item.get("type"), str) or "value" not in item:
            raise VideoFailure(f"{whose} gave a message with {_kind(item)} in it, not an item with type and value")
    if not found:
        raise VideoFailure(f"{whose} gave an empty message")
    return [dict(item) for item in found]


def worded(dataset: Any, line: Any, *, video_llm: bool) -> Any:
    """What a dataset's `build_prompt` says of a line, called with what it takes: those of VLMEvalKit differ in that."""
    known = {"video_llm": video_llm, "num_frames": getattr(dataset, "nframe", 8), "fps": getattr(dataset, "fps", -1)}
    taken = inspect.signature(dataset.build_prompt).parameters
    return dataset.build_prompt(line, **{name: value for name, value in known.items() if name in taken})


def told(message: Message, *, dataset: str, prompt: Prompt | None = None) -> Told:
    """The prompt that is this message; its parts are for whoever looks at it later: those of the prompt that it was
    made of, if there is one."""
    parts, clips = (prompt.parts, prompt.clips) if prompt else parts_of(message, unread)
    prompts = prompt.prompts if prompt else PromptSet.VLMEVALKIT
    return Told(parts=parts, clips=clips, prompts=prompts, message=tuple(message), dataset=dataset)


def below(root: Path, part: Part) -> Part:
    """A part as it is stored: its file relative to the data root, if it lies there."""
    if not isinstance(part, Image) or not Path(part.path).is_relative_to(root):
        return part
    return Image(path=str(Path(part.path).relative_to(root)))


def parts_of(message: Message, clip: Callable[[str], Clip]) -> tuple[tuple[Part, ...], tuple[Clip, ...]]:
    """A message as a prompt's parts, with the clips of its videos: `clip` gives that of a video's path."""
    parts: list[Part] = []
    clips: list[Clip] = []
    for item in message:
        kind, value = str(item["type"]), item["value"]
        if kind == "video" and isinstance(value, str):
            parts.append(Video(clip=len(clips)))
            clips.append(clip(value))
        elif kind == "image":
            parts.append(Image(path=_named(value)))
        elif kind == "audio":
            parts.append(Sound(path=_named(value)))
        else:
            text = value if kind == "text" and isinstance(value, str) else f"[{kind}: {_named(value)}]"
            parts.append(Text(text=text, role=_ROLES.get(str(item.get("role", "user")), "user")))
    return tuple(parts), tuple(clips)


def unread(path: str) -> Clip:
    """The record of a video that a model reads by itself: nobody here knows which frames."""
    return Clip(
        path=path, frame_numbers=(), timestamps=(), total_frames=0, fps=0.0, width=0, height=0, decoder="none",
        policy="none", notes=("the model reads the video by itself",),
    )  # fmt: skip


def message_of(prompt: Prompt, files: "FrameFiles") -> Message:
    """A prompt as a message; frames are files of `files`, a video is the file that its clip names."""
    return [_item(part, prompt.clips, files) for part in prompt.parts]


def _item(part: Part, clips: Sequence[Clip], files: "FrameFiles") -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "text", "value": part.text} | ({"role": part.role} if part.role != "user" else {})
        case Frame():
            return {"type": "image", "value": files.of(clips[part.clip])[part.position]}
        case Video():
            return {"type": "video", "value": clips[part.clip].path}
        case Image():
            return {"type": "image", "value": part.path}
        case Sound():
            return {"type": "audio", "value": part.path}


class FrameFiles:
    """Frames of clips as PNG files below a folder of its own, which is gone with it; of `most` clips at a time."""

    def __init__(self, most: int = 256) -> None:
        self._folder = folder_of(self)
        self._most = most
        self._clips: OrderedDict[str, list[str]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, clip: Clip) -> list[str]:
        """The paths of a clip's frames, in its order."""
        with self._lock:
            if clip.path not in self._clips:
                self._clips[clip.path] = self._written(clip)
            self._clips.move_to_end(clip.path)
            while len(self._clips) > self._most:
                for path in self._clips.popitem(last=False)[1]:
                    Path(path).unlink(missing_ok=True)
            return self._clips[clip.path]

    def _written(self, clip: Clip) -> list[str]:
        stem = hashlib.sha256(clip.path.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        paths = [str(self._folder / f"{stem}-{n}.png") for n in range(1, clip.num_frames + 1)]
        for path, pixels in zip(paths, load_frames(clip), strict=True):
            Picture.fromarray(pixels).save(path, compress_level=1)
        return paths


def folder_of(owner: object) -> Path:
    """A folder that is gone when its owner is, or the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="videval-shown-"))
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
    return folder


def _named(value: object) -> str:
    return value[:_SHOWN] if isinstance(value, str) else _kind(value)


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
