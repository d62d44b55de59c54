"""Follows "Add a recipe" of the contributors' page to the letter: if the page is wrong, this fails."""

import re
from pathlib import Path

import pytest

from tests.cli import Call, caller
from videval.orders import order_of_recipe
from videval.recipes import MadeWith, find_recipe
from videval.types import Pixels, Wording

PAGE = Path(__file__).parents[2] / "CONTRIBUTING.md"


def section() -> str:
    """The section as it stands."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition("## Add a recipe\n")
    return re.split(r"\n## ", rest)[0]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's file, where its commands look for it."""
    (block,) = re.findall(r"```toml\n(.*?)```", section(), re.DOTALL)
    name = re.match(r"# (\w+\.toml)\n", block)
    assert name, "the block begins with the file's name"
    (tmp_path / name[1]).write_text(block, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path / name[1]


@pytest.fixture
def videval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(tmp_path / "home", monkeypatch, capsys)


def test_one_file_makes_a_recipe(written: Path) -> None:
    recipe = find_recipe(f"./{written.name}")
    assert recipe.name == "video-llava-tiny/moving-shapes@paper-2026"
    made = order_of_recipe(recipe)
    assert (made.spec.name, made.dtype, made.generation.max_new_tokens) == ("Video-LLaVA-tiny", "bfloat16", 16)
    assert made.sampling().policy == "uniform" and made.sampling().num_frames == 8
    assert recipe.published[0].value == 98.5


def test_the_commands_of_the_page_say_what_it_sets(written: Path, videval: Call) -> None:
    shown = videval("recipe", f"./{written.name}")
    assert shown.code == 0
    for said in ("98.5 (of 300 questions, table 3, 2026-02)", "appendix B", "the seed is not said", "decord"):
        assert said in shown.out
    assert re.search(r"frames\.policy +uniform", shown.out) and re.search(r"generation\.seed +0", shown.out)
    differs = videval("recipe", f"./{written.name}", "--diff", "qwen2.5-vl-7b/lvbench@team-2025-02")
    assert differs.code == 0 and re.search(r"model +Video-LLaVA-tiny +Qwen/Qwen2\.5-VL-7B-Instruct", differs.out)
    assert videval("recipe", f"./{written.name}", "--diff", f"./{written.name}").lines[0].endswith("set the same")


def test_what_the_page_calls_by_name_is_there() -> None:
    named = set(re.findall(r"`(\w+)`", section()))
    fields = set(MadeWith.__dataclass_fields__) | set(Pixels.__dataclass_fields__)
    assert {"engine", "decoder", "extractor", "subtitles", "times", "frames", "harness"} <= named & fields
    assert {"min_pixels", "max_pixels", "total_pixels"} <= named and Wording(text="x").option
