"""Numbers in the pages that stand for constants are those of the code, and every module has its place in the layers.

A number is marked where it stands, invisibly: `2048<!-- = workers.reconcile.LEAST_REFILL -->`, or with the variable of
a setting, `15 minutes<!-- = VIDEVAL_TURN -->`. Times in the code are seconds.
"""

import pkgutil
import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import videval
from videval.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "ARCHITECTURE.md", "GLOSSARY.md", "CONTRIBUTING.md", "SECURITY.md", "docs/python.md")
MARKED = re.compile(r"([\d.,]+)( s| minutes| MB| GB| %)?<!-- = (\S+) -->")
UNITS = {" minutes": 60.0, " %": 0.01}
NUMBER = re.compile(r"(?<![\w.])\d[\d.,]*(?!\w)")
NO_CONSTANTS = {"0", "2", "95"}
"""What stands unmarked in GLOSSARY.md: a value, an example's, and what every interval is."""


def value_of(name: str) -> float:
    """The constant of a module, or the default of the setting with this variable."""
    if name.startswith("VIDEVAL_"):
        return float(Settings.model_fields[name.removeprefix("VIDEVAL_").lower()].default)
    module, _, constant = name.rpartition(".")
    return float(getattr(import_module(module), constant))


def marked() -> list[tuple[str, str, str, str]]:
    """(page, number, unit, what it stands for) of all marked numbers."""
    texts = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}
    return [(page, *found) for page, text in texts.items() for found in MARKED.findall(text)]


@pytest.mark.parametrize(("page", "number", "unit", "name"), marked())
def test_a_marked_number_is_that_of_the_code(page: str, number: str, unit: str, name: str) -> None:
    assert float(number.replace(",", "")) * UNITS.get(unit, 1.0) == value_of(name)


@pytest.mark.parametrize("page", PAGES)
def test_every_mark_stands_right_behind_a_number(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert text.count("<!-- =") == len(MARKED.findall(text))


def test_the_glossary_says_no_number_that_is_not_marked() -> None:
    text = MARKED.sub("", (ROOT / "GLOSSARY.md").read_text(encoding="utf-8"))
    prose = re.sub(r"`[^`]*`|\"[^\"]*\"", "", text)
    assert set(NUMBER.findall(prose)) <= NO_CONSTANTS


def layers() -> list[str]:
    """The lines of the drawing that import-linter checks."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (found,) = [c["layers"] for c in project["tool"]["importlinter"]["contracts"] if c["type"] == "layers"]
    return list(found)


def test_every_module_of_videval_has_its_place_in_the_layers() -> None:
    placed = {name.strip() for line in layers() for name in line.split("|")}
    modules = {f"videval.{m.name}" for m in pkgutil.iter_modules(videval.__path__)} | {"workers", "dashboard"}
    assert placed == modules


def test_the_drawing_of_the_layers_is_the_one_that_is_checked() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    drawn = page.split("```")[1].strip().splitlines()
    assert [re.split(r"\s{2,}", line)[0] for line in drawn] == layers()
