"""Tiny random models of each family that `hf_chat` loads: the real classes, processor and file layout.

A family is a module here with `build(folder)`, which writes a complete checkpoint of less than a million parameters:
one token a byte, answers that are gibberish and depend on the frames and on the question. If it has a `STRAIGHT`, that
is what `tests.tiny._parts.straight` is told beyond the frames: where a clip is not shown as a video in the plain way.
"""

import os
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest
from filelock import FileLock

__all__ = ["TINY", "straight_of", "tiny"]


def straight_of(family: str) -> Mapping[str, Any]:
    """What the plain script is told of a family."""
    told: Mapping[str, Any] = getattr(import_module(f"tests.tiny.{family}"), "STRAIGHT", {})
    return told


def _build(family: str, folder: Path) -> None:
    import_module(f"tests.tiny.{family}").build(folder)


TINY: Mapping[str, Callable[[Path], None]] = {
    module.name: partial(_build, module.name) for module in iter_modules(__path__) if not module.name.startswith("_")
}
"""Family -> what writes its checkpoint to a folder; a module is imported when its model is built."""


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a family's tiny model, built once for all workers of a session; copy it to change it."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "tiny"
    root.mkdir(exist_ok=True)

    def folder(family: str) -> Path:
        made = root / family
        with FileLock(root / f"{family}.lock"):
            if not made.exists():
                TINY[family](root / f"{family}.part")
                (root / f"{family}.part").rename(made)
        return made

    return folder
