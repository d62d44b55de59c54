"""Recipe files: TOML, in which recipes that share a setting stand below it.

Each table of a file is a setting, named after who published it; its `recipes` are what it was used for, and may be
groups with `recipes` of their own. What stands nearer to a recipe counts; it is called NAME@SETTING::

    [team-2025-02]
    source = "where it is published"
    date = "2025-02"
    sampling = { policy = "rate", fps = 2.0 }

    [[team-2025-02.recipes]]
    name = "my-model/lvbench"
    model = "Video-LLaVA-7B"
    variant = "LVBench_2fps"
    published = [{ value = 45.3, source = "where" }]
"""

import math
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from videval.benchmarks.table_text import names_a_table
from videval.benchmarks.wording import PLACES
from videval.errors import UsageError
from videval.options import options
from videval.plain import plain
from videval.recipes.recipe import Recipe
from videval.typed import record, refuse_unknown
from videval.types import POLICIES, Published, Wording

__all__ = ["read_file"]

_KEYS = tuple(f.name for f in fields(Recipe))
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d)?)?")
_MOST = 100.0
"""Published numbers are printed as percentages, or on a rating's own scale, which is shorter."""


def read_file(path: Path) -> list[Recipe]:
    """The recipes of a file in order. UsageError for one that is not there, is no TOML, or says what is not known."""
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", hint="is the path right, seen from this folder?") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    found = [recipe for name, table in settings.items() for recipe in _of_setting(path, name, table)]
    if twice := [name for name, count in Counter(r.name for r in found).items() if count > 1]:
        raise UsageError(f"{path}: there are two recipes {twice[0]}", hint="give one another name")
    if not found:
        raise UsageError(f"{path} has no recipes", hint='[mine], then [[mine.recipes]] with name = "MODEL/BENCHMARK"')
    return found


def _of_setting(path: Path, setting: str, table: Any) -> Iterator[Recipe]:
    if not isinstance(table, Mapping):
        raise UsageError(f"{path.name}: {setting!r} stands outside of a setting", hint=f"[mine] above {setting}")
    return _below(f"{path.name}: [{setting}]", {"recipes": [], **table}, setting, {})


def _below(where: str, table: Mapping[str, Any], setting: str, shared: Mapping[str, Any]) -> Iterator[Recipe]:
    """The recipes of a table: those below it, which share what it says, or itself."""
    refuse_unknown(table, (*_KEYS, "recipes"), where)
    said = {**shared, **{name: value for name, value in table.items() if name != "recipes"}}
    if "recipes" not in table:
        yield _recipe(where, said, setting)
        return
    if not isinstance(table["recipes"], list) or not all(isinstance(each, Mapping) for each in table["recipes"]):
        raise UsageError(f"{where}: recipes must be tables", hint=f"[[{setting}.recipes]]")
    for number, each in enumerate(table["recipes"], 1):
        yield from _below(f"{where} recipe {number}", each, setting, said)


def _recipe(where: str, table: Mapping[str, Any], setting: str) -> Recipe:
    named = {**table, "name": f"{table['name']}@{setting}"} if isinstance(table.get("name"), str) else table
    made = record(Recipe, named, where)
    if not _DATE.fullmatch(made.date):
        raise UsageError(f"{where}: date {made.date!r} is not a date", hint='date = "2025-02-05", or "2025-02"')
    if names_a_table(made.variant):
        right = f'variant = "", and name the file beside it: videval run {made.variant} --recipe FILE'
        raise UsageError(f"{where}: variant {made.variant!r} is a file of questions, not a variant", hint=right)
    _check_ranges(made, where)
    _check_published(made.published, where)
    if made.wording and (made.prompts or made.form):
        raise UsageError(f"{where}: it has a wording of its own, and a prompt set", hint="leave prompts and form out")
    if made.wording:
        _check_places(made.wording, where)
    return made


def _check_ranges(recipe: Recipe, where: str) -> None:
    """Refuse a value that its option would refuse."""
    if recipe.sampling and (policy := recipe.sampling.policy) not in POLICIES:
        close = get_close_matches(policy, POLICIES, n=1)
        right = f'policy = "{close[0]}"' if close else f"known are {', '.join(POLICIES)}"
        raise UsageError(f"{where}: unknown sampling policy {policy!r}", hint=right)
    rules = recipe.sampling.by_length if recipe.sampling else ()
    limits = [recipe.pixels, *(rule.pixels for rule in rules if rule.pixels)]
    for of, said in [("generation", recipe.generation.said()), *(("pixels", plain(pixels)) for pixels in limits)]:
        for option in options():
            if option.name in said and not option.told.allows(said[option.name]):
                wrong = f"{where}: {of}: {option.name} cannot be {said[option.name]}"
                raise UsageError(wrong, hint=option.told.in_words())
    if any((pixels.min_pixels or 0) > (pixels.max_pixels or math.inf) for pixels in limits):
        raise UsageError(f"{where}: pixels: min_pixels are more than max_pixels", hint="max_pixels is the larger one")


def _check_published(numbers: Sequence[Published], where: str) -> None:
    for number in numbers:
        if not 0 <= number.value <= _MOST:
            raise UsageError(f"{where}: published: value {number.value:g}", hint=f"it is of {_MOST:g}, or a rating")
        if number.questions is not None and number.questions < 1:
            raise UsageError(f"{where}: published: {number.questions} questions", hint="1 or more, or leave it out")


def _check_places(wording: Wording, where: str) -> None:
    """Refuse a slip of the pen; braces that stand for nothing (`\\boxed{...}`) stay as they are."""
    for name in re.findall(r"\{(\w+)\}", f"{wording.text} {wording.option} {wording.frame_mark}"):
        if name not in PLACES and (close := get_close_matches(name, PLACES, n=1, cutoff=0.75)):
            raise UsageError(f"{where}: wording: {{{name}}} stands for nothing", hint=f"{{{close[0]}}}")
