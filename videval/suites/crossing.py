"""Lists of what is asked and of models, crossed: each pair is one run. Pure."""

from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import product
from typing import Any

from videval.benchmarks.table_text import names_a_table
from videval.errors import UsageError
from videval.options import Asked, Suite
from videval.paths import expanded

__all__ = ["crossed", "one", "over", "refuse_twice", "source", "words_of"]


def one(asked: Asked) -> Suite:
    """A suite of one run."""
    return Suite(cells=(asked,))


def crossed(shared: Asked, *, what: Sequence[str], models: Sequence[str | None], name: str = "") -> Suite:
    """Each of these variants and tables with each of these models, all else as `shared` says. UsageError for an empty
    list, or the same pair twice."""
    for said, values in (("what is asked", what), ("models", models)):
        if not values:
            raise UsageError(f"the list of {said} is empty", hint="videval run --data A B --model X Y")
    cells = [replace(shared, model=model, **source(word)) for word, model in product(what, models)]
    refuse_twice(cells)
    return Suite(cells=tuple(cells), name=name)


def source(word: str) -> dict[str, Any]:
    """What a word behind --data means: a file is a table of questions, a variant's name is the variant."""
    path = expanded(word)
    if names_a_table(word) or path.is_file() or (path.exists() and not _is_variant(word)):
        return {"what": None, "data": path}
    return {"what": word, "data": None}


def _is_variant(word: str) -> bool:
    from videval.benchmarks.catalog import parse_variant  # imports much, for a word that is a file and a variant's name

    try:
        parse_variant(word)
    except UsageError:
        return False
    return True


def refuse_twice(cells: Sequence[Asked]) -> None:
    """UsageError for the first run that is asked for twice in the same words."""
    seen: list[Asked] = []
    for cell in cells:
        if cell in seen:
            raise UsageError(f"{words_of(cell)} is asked for twice", hint="name each pair once")
        seen.append(cell)


def words_of(cell: Asked) -> str:
    """A run by the words that it is asked for with."""
    what = cell.what or (str(cell.data) if cell.data else "")
    recipe = f"by {cell.recipe}" if cell.recipe else ""
    return " ".join(filter(None, (what, cell.model, recipe)))


def over(suite: Suite, said: Asked) -> Suite:
    """The suite with what is said on the command line in place of what its runs have: each option that is not at its
    default."""
    names = [f.name for f in fields(Asked) if f.name not in ("what", "model", "data")]
    given = {name: value for name in names if (value := getattr(said, name)) != getattr(_NOTHING, name)}
    return replace(suite, cells=tuple(replace(cell, **given) for cell in suite.cells)) if given else suite


_NOTHING = Asked(what=None, model=None)
