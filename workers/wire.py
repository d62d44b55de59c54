"""Records on the pipes between a worker and its children: JSON objects out, frozen records back."""

from dataclasses import asdict
from typing import Any

from videval import errors
from videval.types import (
    Clip,
    Frame,
    FrameSampling,
    Generation,
    GenerationSettings,
    Image,
    Part,
    Prompt,
    PromptSet,
    Sound,
    Text,
    Video,
)

__all__ = [
    "clip_from",
    "error_from",
    "error_message",
    "generation_from",
    "prompt_from",
    "prompt_message",
    "sampling_from",
    "settings_from",
]

_PARTS: dict[str, type[Part]] = {kind.__name__: kind for kind in (Text, Video, Frame, Image, Sound)}
_FAILURES = {c.__name__: c for c in errors.RequestFailure.__subclasses__()}


def clip_from(data: dict[str, Any]) -> Clip:
    """A Clip as `asdict` and JSON left it."""
    tuples = {name: tuple(data[name]) for name in ("frame_numbers", "timestamps", "notes")}
    return Clip(**(data | tuples))


def prompt_message(prompt: Prompt) -> dict[str, Any]:
    """A Prompt for the pipe."""
    return {
        "parts": [{"part": type(p).__name__, **asdict(p)} for p in prompt.parts],
        "clips": [asdict(clip) for clip in prompt.clips],
        "prompts": prompt.prompts,
        "steering": dict(prompt.steering),
    }


def _part(data: dict[str, Any]) -> Part:
    fields = dict(data)
    return _PARTS[fields.pop("part")](**fields)


def prompt_from(data: dict[str, Any]) -> Prompt:
    """A Prompt from the pipe."""
    return Prompt(
        parts=tuple(_part(p) for p in data["parts"]),
        clips=tuple(clip_from(clip) for clip in data["clips"]),
        prompts=PromptSet(data["prompts"]),
        steering=data["steering"],
    )


def sampling_from(data: dict[str, Any]) -> FrameSampling:
    """A FrameSampling from the pipe."""
    return FrameSampling(**data)


def settings_from(data: dict[str, Any]) -> GenerationSettings:
    """GenerationSettings from the pipe."""
    return GenerationSettings(**data)


def generation_from(data: dict[str, Any]) -> Generation:
    """A Generation from the pipe."""
    return Generation(**data)


def error_message(error: BaseException, traceback: str) -> dict[str, Any]:
    """A failure for the pipe; what is not one of ours is the model's failure with its type in the message."""
    if isinstance(error, errors.RequestFailure):
        return {"failure": type(error).__name__, "message": str(error), "traceback": traceback}
    if isinstance(error, MemoryError):
        text = f"the machine's memory is full: {error}".rstrip(": ")
        return {"failure": "OutOfMemory", "message": text, "traceback": traceback}
    return {"failure": "ModelFailure", "message": f"{type(error).__name__}: {error}", "traceback": traceback}


def error_from(data: dict[str, Any]) -> errors.RequestFailure:
    """The failure that a child reported; its traceback is kept as a note."""
    error = _FAILURES[data["failure"]](data["message"])
    error.add_note(data["traceback"])
    return error
