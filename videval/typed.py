"""From tables of TOML to records: each key known, each value of its type, or a UsageError with what is right."""

import json
from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from enum import Enum
from functools import cache
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from videval.errors import UsageError

__all__ = ["record", "refuse_unknown"]

T = TypeVar("T")
_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", NoneType: "nothing"}


def record(kind: type[T], table: Mapping[str, Any], where: str) -> T:
    """The record that a table says; `where` names the table. UsageError for a key or a value that cannot be."""
    made: T = _record(kind, table, where)
    return made


def refuse_unknown(table: Mapping[str, Any], known: Collection[str], where: str) -> None:
    """Raise UsageError for the first key that is not known, with the line that was meant if one comes close."""
    for name in table:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            right = f"{close[0]} = {json.dumps(table[name])}" if close else f"known are {', '.join(sorted(known))}"
            raise UsageError(f"{where}: unknown key {name!r}", hint=right)


def _record(kind: Any, table: Any, where: str) -> Any:
    if not isinstance(table, Mapping):
        raise UsageError(f"{where} must be a table, not {table!r}", hint=f"{{ {fields(kind)[0].name} = ... }}")
    hints = _hints(kind)
    refuse_unknown(table, hints, where)
    needed = (f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING)
    for name in needed:
        if name not in table:
            raise UsageError(f"{where}: {name} is missing", hint=f"{name} = ...")
    return kind(**{name: _value(hints[name], value, f"{where}: {name}") for name, value in table.items()})


def _value(hint: Any, value: Any, where: str) -> Any:
    of = [kind for kind in get_args(hint) if kind is not NoneType] if NoneType in get_args(hint) else [hint]
    if is_dataclass(of[0]):
        return _record(of[0], value, where)
    if get_origin(of[0]) is Mapping and isinstance(value, Mapping):
        return dict(value)
    if get_origin(of[0]) is tuple and isinstance(value, list):
        return tuple(_value(get_args(of[0])[0], item, f"{where}[{n}]") for n, item in enumerate(value))
    if get_origin(of[0]) is Literal:
        return _one_of(get_args(of[0]), value, where)
    if isinstance(of[0], type) and issubclass(of[0], Enum):
        return of[0](_one_of([choice.value for choice in of[0]], value, where))
    if get_origin(of[0]) is None and (type(value) in of or (float in of and type(value) is int)):
        return value
    words = " or ".join(_WORDS.get(kind, "a list") for kind in of)
    right = f'{where.rpartition(": ")[2]} = "{value}"' if of == [str] else ""
    raise UsageError(f"{where} must be {words}, not {value!r}", hint=right)


def _one_of(choices: Collection[Any], value: Any, where: str) -> Any:
    if value not in choices:
        raise UsageError(f"{where} must be {' or '.join(map(repr, choices))}, not {value!r}")
    return value


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)
