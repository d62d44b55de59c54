"""Prints what videval needs, a requirement a line: for an environment that brings some of it itself.

    python -m tools.requirements --without torch transformers --also pytest > requirements.txt

`--also` names requirements of the extra `dev`.
"""

import argparse
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["requirements"]


def requirements(project: Path, *, without: Iterable[str], also: Iterable[str]) -> Iterator[str]:
    """The dependencies in a pyproject.toml without those named, and of its extra `dev` those named."""
    data = tomllib.loads(project.read_text())["project"]
    yield from (one for one in data["dependencies"] if _name(one) not in set(without))
    yield from (one for one in data["optional-dependencies"]["dev"] if _name(one) in set(also))


def _name(requirement: str) -> str:
    return re.split(r"[\[<>=;~! ]", requirement, maxsplit=1)[0]


def main() -> None:
    """Print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without", nargs="*", default=[])
    parser.add_argument("--also", nargs="*", default=[])
    given = parser.parse_args()
    print("\n".join(requirements(Path("pyproject.toml"), without=given.without, also=given.also)))


if __name__ == "__main__":
    main()
