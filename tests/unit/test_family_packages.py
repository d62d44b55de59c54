"""Packages that only some families of models need."""

import tomllib
from pathlib import Path

import pytest

from videval.errors import ModelUnavailable
from videval.models.families import FAMILIES, Family, require_packages

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_a_package_that_is_absent_is_named_with_the_line_that_installs_it() -> None:
    with pytest.raises(ModelUnavailable, match="SmolVLM2 needs no_such_one and no_such_two") as raised:
        require_packages(Family(needs=("no_such_one", "json", "no_such_two")), "SmolVLM2")
    assert raised.value.hint == "pip install no_such_one no_such_two"


def test_packages_that_are_here_are_no_problem() -> None:
    require_packages(Family(needs=("json",)), "SmolVLM2")
    require_packages(Family(), "SmolVLM2")


def test_the_extra_families_holds_what_every_family_needs() -> None:
    extra = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]["families"]
    needed = {package for family in FAMILIES.values() for package in family.needs}
    assert needed == {line.partition(">=")[0].replace("-", "_") for line in extra}
