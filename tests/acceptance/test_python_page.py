"""The page about Python and the README's three lines are run as they stand, on real clips, with a real model."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import videval
from tests.acceptance.conftest import Home
from tests.tiny import TINY
from tests.trees import tree
from videval.benchmarks.catalog import find_benchmark
from videval.datasets.prepare import prepare
from videval.settings import Settings

ROOT = Path(__file__).parents[2]


def blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def program(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, dict[str, Any]], None]]:
    """Runs code as a program of the user's would, in a folder of its own."""
    for name, value in home.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("VIDEVAL_DATA_ROOT", str(home.data))
    monkeypatch.chdir(home.folder)
    yield lambda code, names: exec(compile(code, "docs", "exec"), names)


def test_the_page_about_python_runs_from_its_first_line_to_its_last(
    program: Callable[[str, dict[str, Any]], None], capfd: pytest.CaptureFixture[str]
) -> None:
    prepare(find_benchmark("MovingShapes"), Settings())
    names: dict[str, Any] = {}
    for block in blocks("docs/python.md"):
        program(block, names)
    assert names["score"].value > 0.5 and len(names["frame"]) == 12
    folder = str(ROOT / "videval" / "models" / "tiny")
    assert names["evaluate"](100, folder) > 0.5
    out, err = capfd.readouterr()
    assert "14 of 14" in out and err == ""


def test_the_readmes_three_lines_evaluate_a_checkpoint_of_a_training(
    program: Callable[[str, dict[str, Any]], None], home: Home
) -> None:
    (lines,) = (block for block in blocks("README.md") if "videval.enqueue" in block)
    assert len(lines.splitlines()) == 3
    tree("MVBench", home.data / "MVBench")
    TINY["smolvlm"](home.folder / "step-100")
    logged: list[dict[str, float]] = []
    names = {"videval": videval, "folder": str(home.folder / "step-100"), "log": logged.append}
    program(lines.replace('"1"', '"cpu"').replace("limit=200", "limit=4"), names)
    (run,) = videval.list_runs()
    assert run.status().counts.failed == 0
    assert 0 <= logged[0]["mvbench"] <= 1
