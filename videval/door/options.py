"""The options of `enqueue` as keywords with real types, and from keywords to `Asked`, whose fields they are."""

import math
import operator
import os
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, TypedDict, Unpack

from videval.door.opened import unknown_name
from videval.errors import UsageError
from videval.options import TEXTS, Asked, OptionField, options
from videval.paths import expanded

__all__ = ["Options", "Unpack", "asked_of"]

AnyPath = str | os.PathLike[str]


class Options(TypedDict, total=False):
    """What `enqueue` takes beside variant and model: the fields of `videval.options.Asked`, which say what each is (a
    test compares)."""

    recipe: str | None
    data: AnyPath | None
    data_root: AnyPath | None
    frames: int | None
    fps: float | None
    pack: bool
    policy: str | None
    min_frames: int | None
    max_frames: int | None
    multiple: int | None
    max_pixels: int | None
    min_pixels: int | None
    total_pixels: int | None
    prompts: str | None
    max_new_tokens: int | None
    temperature: float | None
    seed: int | None
    top_p: float | None
    top_k: int | None
    min_p: float | None
    repetition_penalty: float | None
    presence_penalty: float | None
    stop: Sequence[str] | None
    thinking: bool | None
    thinking_budget: int | None
    attention: str | None
    trust_remote_code: bool
    use_vllm: bool
    dtype: str
    priority: int
    limit: int | None
    in_order: bool
    race_tail: bool
    max_attempts: int | None
    max_cost: float | None
    max_tokens_total: int | None
    allow_missing: bool
    new: bool


def asked_of(what: AnyPath | None, model: str | None, given: Mapping[str, Any]) -> Asked:
    """What is asked for, each value of its option's type and within its bounds; else UsageError."""
    known = {field.name: field for field in options()}
    for name in given:
        if name not in known:
            raise unknown_name("option", name, list(known))
    said = {name: _value(known[name], value) for name, value in given.items() if value is not None}
    return Asked(what=None if what is None else os.fspath(what), model=None if model is None else str(model), **said)


def _value(field: OptionField, value: Any) -> Any:
    try:
        found: Any = _TYPED[field.type](value)
    except (TypeError, ValueError):
        raise UsageError(f"{field.name}={value!r}: must be {_WORDS[field.type]}") from None
    least, most = field.told.least, field.told.most
    if least is not None and not found >= least:
        raise UsageError(f"{field.name}={value!r}: must be at least {least:,.10g}")
    if most is not None and not found <= most:
        raise UsageError(f"{field.name}={value!r}: must be at most {most:,.10g}")
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _texts(value: Any) -> tuple[str, ...] | None:
    """One text is a list of one; none at all is as if nothing was said."""
    return tuple(map(_text, [value] if isinstance(value, str) else value)) or None


def _path(value: Any) -> Path:
    return expanded(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise TypeError
    return float(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError
    return operator.index(value)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


_TYPED = {bool: _truth, int: _whole, float: _number, str: _text, Path: _path, TEXTS: _texts}
_WORDS = {bool: "True or False", int: "a whole number", float: "a number", str: "a text", Path: "a path"} | {
    TEXTS: "texts"
}
