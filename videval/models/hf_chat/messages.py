"""From a prompt's parts to the text that a chat template makes of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from jinja2 import TemplateError

from videval.errors import ModelFailure
from videval.models.families import Family
from videval.types import Clip, Frame, Image, Part, Prompt, Sound, Text, Video

__all__ = ["Chat", "Said", "Visual", "visuals"]

SYSTEM, USER = "What is said first.", "What is asked."
Content = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Visual:
    """One thing that is shown: a whole clip, one frame of a clip as an image, or an image file; `mark`: text before."""

    kind: Literal["video", "image"]
    clip: int | None = None
    position: int | None = None
    path: str = ""
    mark: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """A prompt as a chat template makes it, and the answer's first words that stand behind it."""

    opening: str
    prefix: str = ""

    @property
    def text(self) -> str:
        """All of it."""
        return self.opening + self.prefix


def visuals(prompt: Prompt, family: Family) -> list[str | Visual]:
    """What the user says and shows, in order; a clip is shown frame by frame where the family takes images."""
    found: list[str | Visual] = []
    for part in prompt.parts:
        found += _shown(part, prompt.clips, family)
    return found


def _shown(part: Part, clips: Sequence[Clip], family: Family) -> list[str | Visual]:
    match part:
        case Text(role="user"):
            return [part.text]
        case Video() if family.form == "video":
            return [Visual(kind="video", clip=part.clip)]
        case Video():
            return [_frame(n, part.clip, clips[part.clip], family) for n in range(clips[part.clip].num_frames)]
        case Frame():
            return [Visual(kind="image", clip=part.clip, position=part.position)]
        case Image():
            return [Visual(kind="image", path=part.path)]
        case Sound():
            raise ModelFailure("the question has sound, which this model cannot hear")
    return []


def _frame(position: int, number: int, clip: Clip, family: Family) -> Visual:
    mark = family.frame_mark.format(n=position + 1, time=clip.timestamps[position]) if family.frame_mark else ""
    return Visual(kind="image", clip=number, position=position, mark=mark)


class Chat:
    """A checkpoint's chat template; `plain` makes words of the special tokens in a text that is not the form's own."""

    def __init__(self, processor: Any, plain: Callable[[str], str]) -> None:
        self._processor, self._plain = processor, plain
        self._says_system: Callable[[str, Content], list[dict[str, Any]]] | None = None

    def text(self, prompt: Prompt, shown: Sequence[str | Visual], switches: Mapping[str, bool]) -> Said:
        """The prompt as text, a placeholder for each thing that is shown, up to where the answer begins."""
        content = self._content(shown)
        system, prefix = (self._plain(prompt.text(role)) for role in ("system", "assistant"))
        messages = self._system(system, content) if system.strip() else [_said("user", content)]
        return Said(opening=_encodable(self._rendered(messages, switches)), prefix=_encodable(prefix))

    def _content(self, shown: Sequence[str | Visual]) -> Content:
        """The user's message; texts that stand side by side are one, so that a template cannot part or trim them."""
        content: Content = []
        for piece in shown:
            text = self._plain(piece) if isinstance(piece, str) else piece.mark
            if text and content and content[-1]["type"] == "text":
                content[-1]["text"] += text
            elif text:
                content.append({"type": "text", "text": text})
            if isinstance(piece, Visual):
                content.append({"type": piece.kind})
        return content

    def _system(self, system: str, content: Content) -> list[dict[str, Any]]:
        """The messages with system text in the way that this template takes it, found out once."""
        if self._says_system is None:
            ways = (_system_parts, _system_string, _system_in_front)
            self._says_system = next(way for way in ways if self._takes(way))
        return self._says_system(system, content)

    def _takes(self, way: Callable[[str, Content], list[dict[str, Any]]]) -> bool:
        """Whether the template says system text once, and the question, without showing its own records."""
        try:
            text = self._rendered(way(SYSTEM, [{"type": "text", "text": USER}]), {})
        except (TemplateError, TypeError, ModelFailure):
            return way is _system_in_front
        return way is _system_in_front or (text.count(SYSTEM) == 1 and USER in text and "{'type'" not in text)

    def _rendered(self, messages: list[dict[str, Any]], switches: Mapping[str, bool]) -> str:
        try:
            return str(
                self._processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False, **switches)
            )
        except TemplateError as error:
            raise ModelFailure(f"the chat template refuses the prompt: {error}") from error


def _said(role: str, content: Content | str) -> dict[str, Any]:
    return {"role": role, "content": content}


def _system_parts(system: str, content: Content) -> list[dict[str, Any]]:
    return [_said("system", [{"type": "text", "text": system}]), _said("user", content)]


def _system_string(system: str, content: Content) -> list[dict[str, Any]]:
    return [_said("system", system), _said("user", content)]


def _system_in_front(system: str, content: Content) -> list[dict[str, Any]]:
    first = content[0].get("text", "") if content else ""
    return [_said("user", [{"type": "text", "text": f"{system}\n{first}"}, *(content[1:] if first else content)])]


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ModelFailure(f"the prompt is not valid Unicode: {error.reason} at {error.start}") from error
    return text
