"""Recipes: the settings with which published numbers were made, by name. A new one is a table in a file of this folder
(`videval/recipes/files.py` says its form)."""

from functools import cache
from pathlib import Path

from videval.errors import UnknownName, UsageError
from videval.paths import expanded
from videval.recipes.files import read_file
from videval.recipes.recipe import Given, MadeWith, Recipe

__all__ = ["Given", "MadeWith", "Recipe", "find_recipe", "recipe_names", "recipes"]

_HERE = Path(__file__).parent
_FILE = ".toml"


@cache
def recipes() -> tuple[Recipe, ...]:
    """All recipes that come with videval, by file and in its order."""
    return tuple(recipe for path in sorted(_HERE.glob(f"*{_FILE}")) for recipe in read_file(path))


def recipe_names() -> list[str]:
    """Their names."""
    return [recipe.name for recipe in recipes()]


def find_recipe(name: str) -> Recipe:
    """The recipe of this name, or of a file: ./mine.toml, or ./mine.toml:NAME where it has several.

    Raises UnknownName with close matches, UsageError for a file that cannot be read or has several.
    """
    path, is_file, rest = name.partition(_FILE)
    if is_file and rest[:1] in ("", ":"):
        return _of_file(expanded(f"{path}{_FILE}"), rest[1:])
    for recipe in recipes():
        if recipe.name == name:
            return recipe
    raise UnknownName("recipe", name, recipe_names())


def _of_file(path: Path, name: str) -> Recipe:
    known = {recipe.name: recipe for recipe in read_file(path)}
    if name in known or (not name and len(known) == 1):
        return known[name or next(iter(known))]
    said = f"{path} has no recipe {name!r}" if name else f"{path} has {len(known)} recipes"
    raise UsageError(said, hint=" or ".join(f"--recipe {path}:{each}" for each in known))
