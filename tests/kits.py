"""A package `vlmeval` of these tests, in the shape of VLMEvalKit's, as if it were installed: `tests/vlmevalkit`."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.trees import clip, tree
from videval.benchmarks import vlmevalkit as page
from videval.models.vlmevalkit import adapter, names
from videval.models.vlmevalkit.toolkit import toolkit

__all__ = ["HERE", "forget_kit", "install", "kit"]

HERE = Path(__file__).parent / "vlmevalkit"


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package is installed, with two films for its dataset and a tree of MVBench; its folder LMUData."""
    for name, folder in {"HOME": "home", "LOCK_DIR": "locks", "DATA_ROOT": "data"}.items():
        monkeypatch.setenv(f"VIDEVAL_{name}", str(tmp_path / folder))
    tree("MVBench", tmp_path / "data" / "MVBench")
    lmu = tmp_path / "lmu"
    (lmu / "films").mkdir(parents=True)
    for name in ("v0", "v1"):
        (lmu / "films" / f"{name}.mp4").write_bytes(clip())
    monkeypatch.setenv("LMUData", str(lmu))
    install(HERE, monkeypatch)
    yield lmu
    forget_kit()


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process, and those that it starts, find the package in a folder."""
    forget_kit()
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.syspath_prepend(str(folder))


def forget_kit() -> None:
    """What this process knows of the package."""
    toolkit().close()
    toolkit.cache_clear()
    names._names.cache_clear()
    page._read.cache_clear()
    adapter._datasets.clear()
    for name in [n for n in sys.modules if n.partition(".")[0] == "vlmeval"]:
        del sys.modules[name]
