"""list recipes, recipe."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from videval.cli import complete
from videval.cli.console import explain, say, say_json, warn
from videval.cli.table import Column, show_table

if TYPE_CHECKING:
    from videval.recipes import Recipe
    from videval.types import Published

__all__ = ["list_recipes", "recipe_command"]

NOTHING = (None, "", ())
"""Values that say nothing."""

RECIPES = (
    Column(title="recipe", kind="name"),
    Column(title="model", kind="name"),
    Column(title="variant", kind="name"),
    Column(title="published", kind="number"),
    Column(title="here"),
    Column(title="date", kind="extra"),
    Column(title="source", kind="words"),
)

AsJson = Annotated[bool, typer.Option("--json", help="for scripts")]


def list_recipes(
    text: Annotated[str | None, typer.Argument(help="only those that say this: a model, a benchmark, a source")] = None,
    as_json: AsJson = False,
) -> None:
    """Published settings and their numbers; TEXT for some."""
    from videval.recipes import recipes

    words = (text or "").casefold().split()
    found = [r for r in recipes() if all(word in _about(r) for word in words)]
    if as_json:
        say_json([_json(recipe) for recipe in found])
        return
    if not found:
        say(f"no recipe says {text!r} -> videval list recipes")
        return
    show_table(RECIPES, [_row(recipe) for recipe in found])
    if any(recipe.lacks for recipe in found):
        say("- is not run here, for what videval lacks: videval recipe NAME")
    say("run one: videval run --recipe NAME, or --recipe ./mine.toml")


def _about(recipe: "Recipe") -> str:
    return f"{recipe.name} {recipe.model} {recipe.variant} {recipe.source} {recipe.date}".casefold()


def _row(recipe: "Recipe") -> list[str | Text]:
    here = Text("-", style="dim") if recipe.lacks else Text("yes", style="green")
    numbers = ", ".join(f"{p.value:g}" for p in recipe.published) or "-"
    return [recipe.name, recipe.model, recipe.variant or "any", numbers, here, recipe.date, recipe.source]


def _json(recipe: "Recipe") -> dict[str, Any]:
    from videval.plain import plain

    return {**plain(recipe), "digest": recipe.digest}


def recipe_command(
    name: Annotated[str, typer.Argument(help="a recipe, or ./mine.toml", autocompletion=complete.recipes)],
    diff: Annotated[
        str | None, typer.Option(help="another one: show what differs", autocompletion=complete.recipes)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a recipe, or what differs from another.

    As a run would have it: field by field, with what it leaves to model and benchmark.
    """
    from videval.recipes import find_recipe

    recipe, other = find_recipe(name), find_recipe(diff) if diff else None
    if other is not None:
        _show_difference(recipe, other, as_json)
    elif as_json:
        say_json({**_json(recipe), "settled": _settled(recipe)[0]})
    else:
        _show(recipe)


def _settled(recipe: "Recipe") -> tuple[dict[str, Any], str]:
    """Each field as a run would have it; of a recipe that cannot be run here, as it sets them, and why it cannot."""
    from videval.errors import UsageError
    from videval.orders import order_of_recipe

    if not recipe.variant:
        return _own(recipe), ""
    try:
        return order_of_recipe(recipe).settled(), ""
    except UsageError as error:
        return _own(recipe), recipe.lacks or str(error)


def _own(recipe: "Recipe") -> dict[str, Any]:
    """Each field that the recipe itself sets."""
    from videval.order import flat
    from videval.plain import plain

    said = {"variant": recipe.variant, "model": recipe.model, "dtype": recipe.dtype, "prompts": recipe.prompts}
    parts: dict[str, Any] = {
        "wording": plain(recipe.wording) if recipe.wording else {},
        "frames": recipe.sampling,
        "pixels": recipe.pixels,
        "generation": recipe.generation,
    }
    found = {name: value for part, record in parts.items() for name, value in flat(part, record)}
    return {**said, **found}


def _show(recipe: "Recipe") -> None:
    settled, why_not = _settled(recipe)
    say(recipe.name)
    if why_not:
        warn(f"  it cannot be run here: {why_not}")
    _say_facts({"source": recipe.source, "date": recipe.date, "digest": recipe.digest, "note": recipe.note})
    _say_facts({"published": "; ".join(map(_number, recipe.published))})
    said = {name for name, value in _own(recipe).items() if value not in NOTHING}
    say("it sets")
    _say_facts({name: value for name, value in settled.items() if name in said})
    if others := {name: value for name, value in settled.items() if name not in said and value not in NOTHING}:
        say("it leaves to model, benchmark and policy")
        _say_facts(others)
    if made_with := recipe.made_with.said():
        say("the published number was made with")
        for fact in made_with:
            explain(f"  {fact}")


def _number(published: "Published") -> str:
    about = [f"of {published.questions:,} questions"] if published.questions else []
    about += filter(None, [published.source, published.date, published.note])
    return f"{published.metric} {published.value:g} ({', '.join(about)})".strip()


def _say_facts(facts: dict[str, Any]) -> None:
    for name, value in facts.items():
        if value not in NOTHING:
            explain(f"  {name:<30}{_in_words(value)}")


def _in_words(value: Any) -> str:
    """A value on one line: of a text, its signs."""
    return repr(value) if isinstance(value, str) and ("\n" in value or value != value.strip()) else str(value)


def _show_difference(recipe: "Recipe", other: "Recipe", as_json: bool) -> None:
    (first, first_why), (second, second_why) = _settled(recipe), _settled(other)
    if first_why or second_why or not (recipe.variant and other.variant):
        first, second = _own(recipe), _own(other)
    known = dict.fromkeys((*first, *second))
    names = [name for name in known if _something(first.get(name)) != _something(second.get(name))]
    if as_json:
        say_json({name: [first.get(name), second.get(name)] for name in names})
        return
    if not names:
        say(f"{recipe.name} and {other.name} set the same")
        return
    columns = [Column(title="field", kind="name"), *(Column(title=r.name, kind="words") for r in (recipe, other))]
    rows = [[name, *(_in_words(_something(side.get(name))) for side in (first, second))] for name in names]
    show_table(columns, rows)
    if first_why or second_why or not (recipe.variant and other.variant):
        say("as both say it, without what they leave to model and benchmark")


def _something(value: Any) -> Any:
    """A value, "-" where nothing is said."""
    return "-" if value in NOTHING else value
