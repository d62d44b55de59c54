"""Records on the pipes between a worker and its children: JSON objects out, frozen records back."""

import traceback
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from videval import errors
from videval.models.messages import Question, Told
from videval.plain import plain, restored
from videval.types import (
    Allowance,
    Answer,
    Ask,
    Clip,
    Frame,
    Generation,
    GenerationSettings,
    Image,
    Part,
    Pixels,
    Prompt,
    PromptSet,
    Sound,
    Text,
    Video,
)
from videval.video.clips import Fetched, Wanted

__all__ = [
    "answer_from",
    "answer_message",
    "ask_from",
    "ask_message",
    "clip_from",
    "error_from",
    "error_message",
    "fetched_from",
    "generation_from",
    "prompt_from",
    "prompt_message",
    "settings_from",
    "wanted_from",
    "wanted_message",
]

_PARTS: dict[str, type[Part]] = {kind.__name__: kind for kind in (Text, Video, Frame, Image, Sound)}
_FAILURES: dict[str, type[errors.VidevalError]] = {
    "EnvironmentProblem": errors.EnvironmentProblem,
    "RunHalted": errors.RunHalted,
    "RequestFailure": errors.RequestFailure,
    "GaveUp": errors.GaveUp,
    "ApiRefused": errors.ApiRefused,
    **{c.__name__: c for c in errors.RequestFailure.__subclasses__()},
}


def clip_from(data: dict[str, Any]) -> Clip:
    """A Clip as `asdict` and JSON left it."""
    tuples = {name: tuple(data[name]) for name in ("frame_numbers", "timestamps", "notes")}
    return Clip(**(data | tuples))


def fetched_from(data: dict[str, Any]) -> Fetched:
    """A clip, and whether it was decoded just now, from the pipe."""
    return Fetched(clip=clip_from(data["clip"]), decoded=data["decoded"])


def prompt_message(prompt: Prompt) -> dict[str, Any]:
    """A Prompt for the pipe, also one that is told as a message."""
    return _told_message(prompt) | {
        "parts": [{"part": type(p).__name__, **asdict(p)} for p in prompt.parts],
        "clips": [asdict(clip) for clip in prompt.clips],
        "prompts": prompt.prompts,
        "pixels": [asdict(pixels) for pixels in prompt.pixels],
        "steering": dict(prompt.steering),
    }


def _told_message(prompt: Prompt) -> dict[str, Any]:
    if not isinstance(prompt, Told):
        return {}
    return {"told": {"message": prompt.message, "dataset": prompt.dataset, "question": asdict(prompt.question)}}


def _part(data: dict[str, Any]) -> Part:
    fields = dict(data)
    return _PARTS[fields.pop("part")](**fields)


def prompt_from(data: dict[str, Any]) -> Prompt:
    """A Prompt from the pipe."""
    prompt = Prompt(
        parts=tuple(_part(p) for p in data["parts"]),
        clips=tuple(clip_from(clip) for clip in data["clips"]),
        prompts=PromptSet(data["prompts"]),
        pixels=tuple(Pixels(**pixels) for pixels in data.get("pixels", ())),
        steering=data["steering"],
    )
    return _told_from(prompt, data["told"]) if "told" in data else prompt


def _told_from(prompt: Prompt, data: dict[str, Any]) -> Told:
    own = {field.name: getattr(prompt, field.name) for field in fields(prompt)}
    spans = tuple(None if span is None else (span[0], span[1]) for span in data["question"]["spans"])
    question = Question(**(data["question"] | {"spans": spans}))
    return Told(**own, message=tuple(data["message"]), dataset=data["dataset"], question=question)


def wanted_message(wanted: Wanted) -> dict[str, Any]:
    """Which frames are wanted, for the pipe."""
    return plain(wanted) | {"path": str(wanted.path)}


def wanted_from(data: dict[str, Any]) -> Wanted:
    """Which frames are wanted, from the pipe."""
    span = data.get("span")
    return restored(Wanted, data | {"path": Path(data["path"]), "span": (span[0], span[1]) if span else None})


def settings_from(data: dict[str, Any]) -> GenerationSettings:
    """GenerationSettings from the pipe."""
    return restored(GenerationSettings, data)


def generation_from(data: dict[str, Any]) -> Generation:
    """A Generation from the pipe."""
    return restored(Generation, data)


def ask_message(
    prompt: Prompt,
    settings: GenerationSettings,
    *,
    alone: bool,
    together: str,
    allowance: Allowance | None = None,
) -> dict[str, Any]:
    """An Ask for the pipe; who sends it gives it its id."""
    limited = {} if allowance is None else {"allowance": asdict(allowance)}
    asked = {"prompt": prompt_message(prompt), "settings": asdict(settings)}
    return asked | {"alone": alone, "together": together} | limited


def ask_from(data: dict[str, Any]) -> Ask:
    """An Ask from the pipe."""
    return Ask(
        id=data["id"],
        prompt=prompt_from(data["prompt"]),
        settings=settings_from(data["settings"]),
        alone=data["alone"],
        together=data["together"],
        allowance=restored(Allowance, data["allowance"]) if "allowance" in data else None,
    )


def answer_message(answer: Answer) -> dict[str, Any]:
    """An Answer for the pipe."""
    return asdict(answer)


def answer_from(data: dict[str, Any]) -> Answer:
    """An Answer from the pipe."""
    return Answer(**(data | {"generation": generation_from(data["generation"])}))


def error_message(error: BaseException) -> dict[str, Any]:
    """A failure for the pipe, as the nearest kind that both ends know."""
    failure = errors.as_failure(error)
    return {
        "failure": next(c.__name__ for c in type(failure).__mro__ if c.__name__ in _FAILURES),
        "message": str(failure),
        "hint": failure.hint,
        "traceback": "".join(traceback.format_exception(error)),
    }


def error_from(data: dict[str, Any]) -> errors.VidevalError:
    """The failure that a child reported, with its traceback there, which is a note as well."""
    error = _FAILURES[data["failure"]](data["message"], hint=data["hint"])
    error.elsewhere = data["traceback"]
    error.add_note(error.elsewhere)
    return error
