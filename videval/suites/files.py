"""Suite files: TOML with lists that are crossed, settings that all runs share, and what some of them have otherwise::

    models = ["Qwen/Qwen3-VL-2B-Instruct", "Video-LLaVA-7B"]
    variants = ["MVBench_8frame", "questions.tsv"]

    [settings]
    max_new_tokens = 64

    [[except]]
    variant = "questions.tsv"
    frames = 8

A setting is an option of `videval run` with "_" for "-". An `except` is for the runs that have all of the model,
variant and recipe that it names; later ones win, and `skip = true` leaves the runs out. Paths are relative to the file.
"""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from itertools import product
from pathlib import Path
from typing import Any

from videval.benchmarks.table_text import names_a_table
from videval.errors import UsageError
from videval.options import TEXTS, Asked, OptionField, Suite, options
from videval.paths import expanded
from videval.suites.crossing import refuse_twice, source
from videval.typed import refuse_unknown

__all__ = ["names_a_suite", "read_suite"]

_AXES = {"models": "model", "variants": "variant", "recipes": "recipe"}
"""The lists that are crossed, and what an `except` calls one of their items."""
_NOT_SHARED = ("data", "recipe", "new")
"""Options that are no settings of a suite: what is crossed has lists, and a file asks for the same runs each time."""
_SETTINGS = {field.name: field for field in options() if field.name not in _NOT_SHARED}
_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", Path: "a path as text"}
_Cell = Mapping[str, str | None]


def names_a_suite(word: str | None) -> bool:
    """Whether a word of the command line names a suite file."""
    return word is not None and Path(word).suffix.casefold() == ".toml"


def read_suite(path: Path) -> Suite:
    """The runs of a suite file. UsageError for one that is not there, is no TOML, or says what cannot be."""
    table = _toml(path)
    refuse_unknown(table, ("name", *_AXES, "settings", "except"), str(path))
    lists = {axis: _list(table, axis, path) for axis in _AXES}
    _refuse_empty(lists, path)
    shared = _settings(table.get("settings", {}), f"{path}: [settings]", path.parent)
    exceptions = _exceptions(table.get("except", []), lists, path)
    cells = []
    axes: list[Sequence[str | None]] = [lists[axis] or (None,) for axis in _AXES]
    for values in product(*axes):
        cell = dict(zip(_AXES.values(), values, strict=True))
        own, is_left_out = _own(cell, exceptions)
        if not is_left_out:
            cells.append(_asked(cell, shared | own, path.parent))
    if not cells:
        raise UsageError(f"{path}: every run is skipped", hint="a narrower [[except]]")
    refuse_twice(cells)
    return Suite(cells=tuple(cells), name=_name(table, path))


def _toml(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", hint="is the path right, seen from this folder?") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error


def _name(table: Mapping[str, Any], path: Path) -> str:
    name = table.get("name", path.stem)
    if not isinstance(name, str) or not name.strip():
        raise UsageError(f"{path}: name must be a text, not {name!r}", hint='name = "nightly"')
    return name


def _list(table: Mapping[str, Any], axis: str, path: Path) -> list[str] | None:
    """The items of a list, each named once; None where the file has no such list."""
    found = table.get(axis)
    if found is None:
        return None
    if not isinstance(found, list) or not found or not all(isinstance(item, str) and item for item in found):
        raise UsageError(f"{path}: {axis} must be a list of names, not {found!r}", hint=f'{axis} = ["..."]')
    if twice := next((item for item in found if found.count(item) > 1), None):
        raise UsageError(f"{path}: {axis} names {twice} twice", hint="name each once")
    return found


def _refuse_empty(lists: Mapping[str, list[str] | None], path: Path) -> None:
    """Without recipes, which name both, models and variants are needed."""
    for axis in ("models", "variants"):
        if lists[axis] is None and lists["recipes"] is None:
            raise UsageError(f"{path} has no {axis}", hint=f'{axis} = ["..."], or recipes, which name both')


def _settings(table: Any, where: str, folder: Path) -> dict[str, Any]:
    if not isinstance(table, Mapping):
        raise UsageError(f"{where} must be a table, not {table!r}", hint="[settings], then max_new_tokens = 64")
    refuse_unknown(table, tuple(_SETTINGS), where)
    return {name: _value(_SETTINGS[name], value, f"{where}: {name}", folder) for name, value in table.items()}


def _value(field: OptionField, value: Any, where: str, folder: Path) -> Any:
    """The value of a setting as `Asked` has it."""
    if field.type == TEXTS:
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise UsageError(f"{where} must be a list of texts, not {value!r}")
        return tuple(value)
    written = str if field.type is Path else field.type
    if type(value) is not written and not (written is float and type(value) is int):
        raise UsageError(f"{where} must be {_WORDS[field.type]}, not {value!r}")
    _refuse_beyond(field, value, where)
    if field.type is float:
        return float(value)  # as the command line has it: 1 and 1.0 are one run
    return folder / expanded(str(value)) if field.type is Path else value


def _refuse_beyond(field: OptionField, value: Any, where: str) -> None:
    least, most = field.told.least, field.told.most
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{where} must be a finite number, not {value!r}")
    if least is not None and value < least:
        raise UsageError(f"{where} is at least {least:,.10g}, not {value!r}")
    if most is not None and value > most:
        raise UsageError(f"{where} is at most {most:,.10g}, not {value!r}")


_Exception = tuple[Mapping[str, str], Mapping[str, Any], bool]
"""Which runs it is for, what they have otherwise, and whether they are left out."""


def _exceptions(tables: Any, lists: Mapping[str, list[str] | None], path: Path) -> list[_Exception]:
    if not isinstance(tables, list) or not all(isinstance(table, Mapping) for table in tables):
        raise UsageError(f"{path}: except must be tables", hint="[[except]]")
    return [_exception(table, lists, f"{path}: except {n}", path.parent) for n, table in enumerate(tables, 1)]


def _exception(table: Mapping[str, Any], lists: Mapping[str, list[str] | None], where: str, folder: Path) -> _Exception:
    refuse_unknown(table, (*_AXES.values(), "skip", *_SETTINGS), where)
    chosen = {item: table[item] for item in _AXES.values() if item in table}
    if not chosen:
        raise UsageError(f"{where} does not say for which runs", hint="model, variant or recipe; all: [settings]")
    for axis, item in _AXES.items():
        if item in chosen and chosen[item] not in (known := lists[axis] or []):
            close = get_close_matches(str(chosen[item]), known, n=1)
            raise UsageError(
                f"{where}: {axis} has no {chosen[item]!r}", hint=f"{item} = {(close or known or ['...'])[0]!r}"
            )
    skip = table.get("skip", False)
    if not isinstance(skip, bool):
        raise UsageError(f"{where}: skip must be true or false, not {skip!r}")
    own = {name: value for name, value in table.items() if name in _SETTINGS}
    return chosen, _settings(own, where, folder), skip


def _own(cell: _Cell, exceptions: Sequence[_Exception]) -> tuple[dict[str, Any], bool]:
    """What a run has otherwise, and whether it is left out."""
    mine = [found for found in exceptions if all(cell[item] == name for item, name in found[0].items())]
    own: dict[str, Any] = {}
    for _, settings, _ in mine:
        own |= settings
    return own, any(skip for *_, skip in mine)


def _asked(cell: _Cell, settings: Mapping[str, Any], folder: Path) -> Asked:
    variant, recipe = cell["variant"], cell["recipe"]
    asked = Asked(what=None, model=_beside(cell["model"], folder), recipe=_beside(recipe, folder), **settings)
    return replace(asked, **source(_beside(variant, folder) or "")) if variant else asked


def _beside(word: str | None, folder: Path) -> str | None:
    """A word that is a path (it begins with a dot, names a table, or lies beside the suite) as seen from here."""
    if word is None:
        return None
    adapter, colon, rest = word.partition(":")
    if rest.startswith(("./", "../")):
        return f"{adapter}{colon}{folder / rest}"
    path = folder / expanded(word)
    is_recipes = ".toml" in word  # mine.toml:NAME
    if word.startswith(("./", "../")) or names_a_table(word) or is_recipes or path.is_file():
        return str(path)
    return word
