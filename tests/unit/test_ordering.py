"""What the user sets reaches the order."""

from pathlib import Path

import pytest

from videval.options import Asked
from videval.orders import make_order
from videval.settings import Settings


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of one question."""
    path = tmp_path / "asked.jsonl"
    path.write_text('{"index": 1, "video": "a.mp4", "question": "What?", "answer": "x"}\n')
    return path


def test_the_dtype_and_generation_that_the_user_sets_are_what_the_worker_is_told(table: Path) -> None:
    asked = Asked(what=str(table), model="fake", dtype="float16", max_new_tokens=7, temperature=0.5, seed=3)
    spec = make_order(asked, Settings()).spec
    assert spec.dtype == "float16"
    assert (spec.generation.max_new_tokens, spec.generation.temperature, spec.generation.seed) == (7, 0.5, 3)


def test_what_the_user_leaves_open_stays_the_models_own(table: Path) -> None:
    assert make_order(Asked(what=str(table), model="fake", temperature=0.0), Settings()).spec.dtype == "auto"


def test_a_file_in_the_home_folder_is_found_where_no_shell_expands_it(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    order = make_order(Asked(what="~/asked.jsonl", model="fake"), Settings())
    assert order.root == tmp_path and len(order.samples) == 1
