"""Follows "Add a benchmark" of the contributors' page to the letter: if the page is wrong, this fails."""

import ast
import json
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from tests.trees import clip, put, put_zip
from videval.asking import One
from videval.benchmarks import catalog, pages
from videval.benchmarks.base import Shown
from videval.benchmarks.catalog import find_benchmark, parse_variant, published_variants
from videval.datasets.prepare import prepare
from videval.settings import Settings
from videval.types import Clip, Said, Text, Verdict, Video

HERE = Path(__file__).parents[2]
PAGE = HERE / "CONTRIBUTING.md"
SECTION = "## Add a benchmark"
CLIP = Clip(
    path="c.npy", frame_numbers=(0,), timestamps=(0.0,), total_frames=30, fps=10.0, width=64, height=48,
    decoder="test", policy="interior",
)  # fmt: skip


def section() -> str:
    """The section as it stands."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(f"{SECTION}\n")
    assert rest, f"{PAGE.name} has no section {SECTION!r}"
    return re.split(r"\n## ", rest)[0]


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", section(), re.DOTALL)


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The page's file in the package and its line in the catalog; yields the benchmark's name."""
    file, line, several = blocks("python")
    (tmp_path / "package").mkdir()
    modules = [_put_page(block, tmp_path / "package") for block in (file, several)]
    monkeypatch.setattr(pages, "__path__", [*pages.__path__, str(tmp_path / "package")])
    entry = ast.literal_eval(f"{{{line}}}")
    monkeypatch.setattr(catalog, "BENCHMARKS", {**catalog.BENCHMARKS, **entry})
    (name,) = entry
    yield name
    for module in modules:
        sys.modules.pop(f"videval.benchmarks.pages.{module}", None)


def _put_page(block: str, package: Path) -> str:
    """Write a page's file; its module."""
    path = re.match(r"# (videval/benchmarks/pages/\w+\.py)\n", block)
    assert path, "the block begins with the file's path"
    (package / Path(path[1]).name).write_text(block, encoding="utf-8")
    return Path(path[1]).stem


def test_one_file_and_one_line_make_a_benchmark(added: str, tmp_path: Path) -> None:
    found = find_benchmark(added)
    root = tmp_path / "data" / added
    put(root, "questions.json", blocks("json")[0])
    put_zip(root, "videos.zip", {"videos/a.mp4": clip()})
    settings = Settings(home=tmp_path / "home", data_root=tmp_path / "data")
    report = prepare(found, settings).report
    assert report.is_complete, report
    assert not report.notes
    samples = found.load(root, parse_variant(f"{added}_8frame"))
    assert [s.question for s in samples] == [r["question"] for r in json.loads(blocks("json")[0])]
    assert set(found.published) <= set(published_variants())
    shown = Shown(
        clips=(CLIP,),
        form="video",
        root=root,
    )
    said = found.prompt(samples[0], shown)[-1]
    assert isinstance(said, Text)
    assert "(A) once\n(B) twice" in said.text
    verdicts = [One(found).read([s], Said(text="(B)")).scores[s.id].verdict for s in samples]
    assert verdicts == [Verdict.RIGHT, Verdict.WRONG]


def test_a_page_that_shows_two_clips(added: str, tmp_path: Path) -> None:
    page = import_module("videval.benchmarks.pages.more_often").MoreOften()
    row = {"index": 0, "video": "a", "other": "b", "question": "In which?", "answer": "once", "candidates": "['once']"}
    sample = page.sample(row, tmp_path)
    assert sample.files == ("videos/a.mp4", "videos/b.mp4")
    assert [ref.span for ref in sample.shown] == [None, (10.0, 20.0)]
    shown = Shown(clips=(CLIP, CLIP), form="video", root=tmp_path)
    text = [part.text for part in page.prompt(sample, shown) if isinstance(part, Text)]
    assert text == ["First:\n", "Second:\n", "In which?"]
    assert [part for part in page.prompt(sample, shown) if isinstance(part, Video)] == [Video(clip=0), Video(clip=1)]


def test_the_commands_that_the_page_names_exist() -> None:
    from typer.main import get_command

    from videval.cli import app

    known = set(get_command(app.app).list_commands(None))  # type: ignore[attr-defined]
    said = re.findall(r"^\$ videval (\w+)", "\n".join(blocks("console")), re.MULTILINE)
    assert said
    assert set(said) <= known


def test_what_the_page_calls_by_name_is_there() -> None:
    named = set(re.findall(r"`(frame_policy|rate_policy|no_rate|bound|options|answer|scorer_for|pack_prompt"
                           r"|supports_pack|check_subtitles|supports_subtitles|md5|needs|prompt_sets|frame_policies"
                           r"|max_new_tokens|groups_of|metrics|remarks|protocol_version)`", section()))  # fmt: skip
    from videval.benchmarks.published import PublishedBenchmark

    assert len(named) == 20
    assert all(hasattr(PublishedBenchmark, name) for name in named)
