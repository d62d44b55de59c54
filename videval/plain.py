"""Records as plain JSON values and back: one rule for what is stored, sent, and hashed into a run key.

A field at its default is left out. So a field that is added later changes nothing of what was written before, as long
as its default means "as it was": a default is part of the format and never changes.
"""

import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

__all__ = ["Unreadable", "plain", "restored", "scalar"]

T = TypeVar("T")
_BARE = (int, float, str)
"""What is the same in JSON: a clip has hundreds of times, and none of them is looked at."""
_AS_IT_STANDS = frozenset((str, int, float, bool, type(None)))
"""What needs no second look: nearly every cell of a benchmark."""


class Unreadable(ValueError):
    """A value was written by a videval that knows more than this one; `str()` names the field, as `spec.images`."""


def plain(record: Any) -> dict[str, Any]:
    """The fields of a frozen record that are not at their default, by name, as JSON has them."""
    values = ((name, getattr(record, name), default) for name, default in _defaults(record.__class__))
    return {name: _plain(value) for name, value, default in values if value != default}


def restored(kind: type[T], data: Mapping[str, Any]) -> T:
    """The record that `plain` (or `asdict`) made this of; absent fields are at their default.

    Raises Unreadable for a field, or a choice of a field, that this videval does not have, and for one that it needs
    and that is not there.
    """
    made: T = _record(kind, data, "")
    return made


def _plain(value: Any) -> Any:
    if value.__class__ in _AS_IT_STANDS:
        return value
    if isinstance(value, list | tuple):
        return [v if v.__class__ in _AS_IT_STANDS else _plain(v) for v in value]
    if isinstance(value, dict):
        return {name: v if v.__class__ in _AS_IT_STANDS else _plain(v) for name, v in value.items()}
    if is_dataclass(value):
        return plain(value)
    return {name: _plain(v) for name, v in value.items()} if isinstance(value, Mapping) else value


def _record(kind: Any, data: Mapping[str, Any], where: str) -> Any:
    hints, known = _hints(kind), {f.name: f for f in fields(kind)}
    lacking = [name for name, f in known.items() if name not in data and _default(f) is MISSING]
    for name in [*(data.keys() - known.keys()), *lacking]:
        raise Unreadable(f"{where}{name}")
    return kind(**{name: _restored(hints[name], value, f"{where}{name}") for name, value in data.items()})


def _restored(hint: Any, value: Any, where: str) -> Any:
    if is_dataclass(hint):
        return _record(hint, value, f"{where}.")
    of = next(filter(is_dataclass, get_args(hint)), None)
    if of is not None and isinstance(value, Mapping):  # a record, or None
        return _record(of, value, f"{where}.")
    if get_origin(hint) is Literal and value not in get_args(hint):
        raise Unreadable(f"{where} {value!r}")
    if get_origin(hint) is tuple:
        item = get_args(hint)[0]
        return tuple(value if item in _BARE else (_restored(item, v, where) for v in value))
    return value


def _default(f: "Field[Any]") -> Any:
    return f.default if f.default_factory is MISSING else f.default_factory()


@cache
def _defaults(kind: Any) -> tuple[tuple[str, Any], ...]:
    """The fields of a record with their defaults, which are only compared with."""
    return tuple((f.name, _default(f)) for f in fields(kind))


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def scalar(value: Any) -> str | int | float | bool | None:
    """A cell as it is stored and exported; what is no text and no number is its text."""
    if hasattr(value, "item") and not hasattr(value, "__len__"):  # numpy's numbers
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else value
    return None if type(value).__name__ in ("NAType", "NaTType") else str(value)
