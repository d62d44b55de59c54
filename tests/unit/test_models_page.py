"""docs/models.md says of each family what the code has of it, and names no model that transformers has by now.

Run as a module, it prints the page's table: `python -m tests.unit.test_models_page`.
"""

import re
import sys
from importlib.util import find_spec
from pathlib import Path

from tests.unit.test_docs import ROOT, as_markdown, table_rows
from videval.models.families import FAMILIES, Family

PAGE = ROOT / "docs" / "models.md"
HEADING = "## Families"
HEAD = ("`model_type`", "published as", "frames as", "told of time by", "pixels are limited", "thinking", "needs")
PIXELS = {
    "": "set by the checkpoint",
    "frame": "of each frame",
    "clip": "of all frames together",
    "share": "least of each, most of all",
    "tokens": "of each frame, in steps",
}
WRITTEN = (
    (r"\(\?:(\w+)\|\w+\)", r"\1"),
    (r"\(\?P<m>[^)]+\)", "01"),
    (r"\(\?P<s>\\d\\d\)", "05"),
    (r"\(\?P<s>\\d\+\(\?:\\\.\\d\)\?\)", "65` or `65.2 seconds"),
    (r"\(\?P<s>\\d\+\\\.\\d\)", "65.2"),
    (r"\\(.)", r"\1"),
)
"""From a time mark to a time of 65 seconds as it is written."""


def family_rows() -> list[list[str]]:
    """The page's table without its second column: how the models of a family are published."""
    return [
        [f"`{name}`", _frames(family), _time(name, family), PIXELS[family.pixels], _thinking(family), _needs(family)]
        for name, family in FAMILIES.items()
    ]


def _frames(family: Family) -> str:
    if family.form == "frames":
        return "images"
    return "a video" if family.least_frames == 1 else f"a video, {family.least_frames} or more"


def _time(name: str, family: Family) -> str:
    if family.time_mark:
        mark = family.time_mark
        for pattern, sample in WRITTEN:
            mark = re.sub(pattern, sample, mark)
        return f"text: `{mark}`".replace("|", "\\|")
    if family.seen == "drawn":
        return "drawn into each frame"
    return "positions" if "second_per_grid" in _processor_source(name) else "not"


def _processor_source(name: str) -> str:
    """The source of a family's processor in transformers, which is not imported for that; empty if it has none."""
    package = find_spec("transformers")
    assert package and package.origin
    path = Path(package.origin).parent / "models" / name / f"processing_{name}.py"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _thinking(family: Family) -> str:
    if family.thinking is None:
        return "no"
    if family.thinking.switch:
        return "on or off"
    return "always" if family.thinking.unasked else "as the checkpoint has it"


def _needs(family: Family) -> str:
    return ", ".join(family.needs) or "-"


def test_the_table_of_families_is_that_of_the_code() -> None:
    rows = table_rows(PAGE, HEADING)
    assert [[row[0], *row[2:]] for row in rows] == family_rows(), "python -m tests.unit.test_models_page"
    assert all(row[1] for row in rows)


def test_what_transformers_is_said_to_lack_is_not_in_it() -> None:
    package = find_spec("transformers")
    assert package and package.origin
    known = {path.name for path in (Path(package.origin).parent / "models").iterdir() if path.is_dir()}
    lacking = [row[1].strip("`") for row in table_rows(PAGE, "## What transformers lacks")]
    assert lacking and not known & set(lacking)


def test_families_are_sorted() -> None:
    assert list(FAMILIES) == sorted(FAMILIES)


def _page_rows() -> list[list[str]]:
    published = {row[0]: row[1] for row in table_rows(PAGE, HEADING)}
    return [[row[0], published.get(row[0], ""), *row[1:]] for row in family_rows()]


if __name__ == "__main__":
    sys.stdout.write(as_markdown(_page_rows(), HEAD))
