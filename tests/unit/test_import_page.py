"""Follows docs/import.md to the letter: if the page is wrong, this fails."""

import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.cli import Call, caller
from tests.results import frame_of, write_as_vlmevalkit
from videval.benchmarks.pages.moving_shapes import FOLDER, MovingShapes
from videval.benchmarks.published import write_table
from videval.benchmarks.shapes.clips import demo_rows
from videval.imports.files import _READERS, MOST_BYTES

PAGE = Path(__file__).parents[2] / "docs" / "import.md"
NAME = "Video-LLaVA-tiny_MovingShapes_8frame"


@pytest.fixture
def videval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs `videval WORDS` where the page's files lie; the questions are there, the clips are not."""
    bench, root = MovingShapes(), tmp_path / "data" / "MovingShapes"
    root.mkdir(parents=True)
    write_table(root / bench.table, [asdict(row) for row in demo_rows(bench.clips(), FOLDER)])
    (tmp_path / "old").mkdir()
    samples = bench.load(root, bench.variant(num_frames=8))
    answers: dict[str, object] = {s.id: s.answer for s in samples}
    answers |= {samples[3].id: "Failed to obtain answer via API.", samples[4].id: None}
    frame = frame_of(samples, answers)
    write_as_vlmevalkit(frame, tmp_path / "old" / f"{NAME}.xlsx")
    write_as_vlmevalkit(frame, tmp_path / "old" / "answers.tsv")
    write_as_vlmevalkit(frame, tmp_path / "old" / "GPT4o_MovingShapes_8frame.json")
    (tmp_path / "old" / f"02_{NAME}.pkl").write_bytes(b"cos\nsystem\n(Vtrue\ntR.")
    call = caller(tmp_path / "home", monkeypatch, capsys)
    monkeypatch.setenv("VIDEVAL_DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return call


def examples() -> Iterator[tuple[str, list[str]]]:
    """Each command of the page with what it prints, in order."""
    for block in re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        for example in block.split("$ videval ")[1:]:
            command, *shown = example.splitlines()
            yield command, shown


def test_the_commands_of_the_page_print_what_it_shows(videval: Call) -> None:
    found = list(examples())
    assert len(found) == 6
    for command, shown in found:
        said = videval(*command.split())
        assert said.code == (2 if shown[0].startswith("error:") else 0), said.err
        lines = [line.rstrip() for line in (said.out + said.err).splitlines()]
        assert not [line for line in shown if line not in lines], said.out + said.err


def test_every_ending_that_is_read_stands_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [suffix for suffix in _READERS if suffix not in (".parquet",) and suffix not in text] == []
    assert f"may have {MOST_BYTES >> 30} GiB" in text
