"""Where an export lies, whose it is, and that a failure leaves things as they were."""

import errno
import fcntl
import os
import random
import re
import signal
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import videval.export
import videval.export.files as files
import videval.export.read as read
import videval.export.workbook as workbook
import videval.export.xlsx as xlsx
from videval.errors import EnvironmentProblem, UsageError
from videval.export import FORMATS, ExportFormat, Table, export_path, export_table, owner_of, read_export
from videval.types import Scalar

ROWS: list[dict[str, Scalar]] = [{"index": 1, "prediction": "A\x00\ud83d\ude00"}, {"index": 2, "prediction": "B"}]
FAILURES: list[dict[str, Scalar]] = [{"index": 3, "kind": "video"}]


def table(run: str = "r--1", **more: Any) -> Table:
    parts: dict[str, Any] = {"columns": ("index", "prediction"), "rows": iter(ROWS), "card": {}, "failures": FAILURES}
    return Table(**parts | {"run": run} | more)


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def breaking(error: BaseException) -> Iterator[Mapping[str, Scalar]]:
    yield from ROWS
    raise error


@pytest.fixture(params=FORMATS)
def format(request: pytest.FixtureRequest) -> ExportFormat:
    return request.param  # type: ignore[no-any-return]


# failures


@pytest.mark.parametrize("part", ["rows", "failures"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("database gone"), ConnectionError("gone")])
def test_a_failing_read_leaves_the_old_export_and_nothing_else(
    tmp_path: Path, format: ExportFormat, part: str, error: BaseException
) -> None:
    path = tmp_path / f"t.{format}"
    export_table(table(), path, format)
    before = content(tmp_path)
    with pytest.raises(type(error)):
        export_table(table(**dict[str, Any]({part: breaking(error)})), path, format)
    assert content(tmp_path) == before
    assert not [p for p in tmp_path.iterdir() if p.is_dir()]


def test_a_failing_first_export_leaves_no_folder(tmp_path: Path, format: ExportFormat) -> None:
    path = tmp_path / "outputs" / "model" / f"t.{format}"
    with pytest.raises(RuntimeError):
        export_table(table(rows=breaking(RuntimeError())), path, format)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_with_its_figures(tmp_path: Path, format: ExportFormat) -> None:
    path = tmp_path / f"t.{format}"
    export_table(table(), path, format)
    before = content(tmp_path)
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(EnvironmentProblem, match=r"No space left on device after \d+\.\d MB, \d+\.\d MB are free") as e:
        export_table(table(rows=breaking(full)), path, format)
    assert e.value.exit_code == 3 and "VIDEVAL_OUTPUT_DIR" in e.value.hint
    assert content(tmp_path) == before


LIMITED = """
    import resource, sys
    from pathlib import Path
    from videval.errors import EnvironmentProblem
    from videval.export import Table, export_table
    path, format, limit = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    rows = ({"index": n, "prediction": f"{n} and " * 50 + chr(0)} for n in range(2000))
    try:
        export_table(Table(columns=("index", "prediction"), rows=rows, card={}, failures=(), run="r--1"), path, format)
    except EnvironmentProblem as error:
        print(error)
"""


@pytest.mark.parametrize("limit", [0, 1000, 300_000])
def test_a_write_that_the_system_refuses_leaves_the_old_file(tmp_path: Path, format: ExportFormat, limit: int) -> None:
    path = tmp_path / f"t.{format}"
    export_table(table(), path, format)
    before = content(tmp_path)
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(LIMITED), str(path), format, str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "no room to export" in done.stdout
    assert content(tmp_path) == before and not [p for p in tmp_path.iterdir() if p.is_dir()]


def test_a_disk_that_is_full_at_the_end_of_the_workbook_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(workbook.Workbook, "finish", full)
    with pytest.raises(EnvironmentProblem, match="no room"):
        export_table(table(), tmp_path / "t.xlsx", "xlsx")
    assert list(tmp_path.iterdir()) == []


def noise(count: int) -> list[dict[str, Scalar]]:
    chance = random.Random(0)
    return [{"index": n, "prediction": chance.randbytes(200).hex()} for n in range(count)]


@pytest.mark.parametrize(("sheet", "archive"), [(9000, 2**31), (2**31, 12_000)])
def test_a_workbook_over_two_gigabytes_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sheet: int, archive: int
) -> None:
    monkeypatch.setattr(xlsx, "MAX_BYTES", sheet)
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", archive)
    said = [{"response": row["prediction"]} for row in noise(20)]
    with pytest.raises(UsageError, match="2 GB"):
        export_table(table(rows=noise(20), failures=noise(20), responses=said), tmp_path / "t.xlsx", "xlsx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("count", "sheets"), [(0, 1), (2, 1), (3, 2), (4, 2), (5, 3)])
def test_more_rows_than_a_sheet_has_go_on_in_another_one_and_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, sheets: int
) -> None:
    monkeypatch.setattr(xlsx, "MAX_ROWS", 3)
    monkeypatch.setattr(read, "MOST_ROWS", 3)
    many: list[dict[str, Scalar]] = [{"index": n, "prediction": "a\x00" if n == 4 else None} for n in range(count)]
    done = export_table(table(rows=many, failures=many), tmp_path / "t.xlsx", "xlsx")
    names = ["predictions", *(f"predictions {n}" for n in range(2, sheets + 1))]
    with zipfile.ZipFile(tmp_path / "t.xlsx") as book:
        found = re.findall('sheet name="(.*?)"', book.read("xl/workbook.xml").decode())
    assert [name for name in found if name.startswith("predictions")] == names
    assert (done.rows, done.failures, len(done.notes)) == (count, count, int(sheets > 1))
    assert not done.notes or (names[-1] in done.notes[0] and "2 rows" in done.notes[0])
    assert read_export(tmp_path / "t.xlsx") == many


def test_more_columns_than_a_sheet_has_is_a_usage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "MAX_COLUMNS", 1)
    with pytest.raises(UsageError, match="2 columns"):
        export_table(table(), tmp_path / "t.xlsx", "xlsx")


@pytest.mark.parametrize("in_the_way", ["", "outputs"])
def test_a_file_in_the_way_of_the_folder_is_an_environment_problem(tmp_path: Path, in_the_way: str) -> None:
    (tmp_path / "outputs").write_text("mine")
    with pytest.raises(EnvironmentProblem, match="cannot write"):
        export_table(table(), tmp_path / "outputs" / in_the_way / "t.tsv", "tsv")
    assert (tmp_path / "outputs").read_text() == "mine"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"columns": ()}, "no columns"),
        ({"columns": ("a", "b", "a")}, "'a'"),
        ({"run": ""}, "not a run name"),
        ({"run": "a\nb"}, "not a run name"),
        ({"run": "a" * 256}, "not a run name"),
        ({"columns": ("index",)}, r"row 1 has columns that the table does not list: 'prediction'"),
    ],
)
def test_a_table_that_cannot_be_exported_is_a_usage_error(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        export_table(table(**change), tmp_path / "t.xlsx", "xlsx")
    assert list(tmp_path.iterdir()) == []


def test_a_value_that_is_no_scalar_is_a_type_error(tmp_path: Path, format: ExportFormat) -> None:
    with pytest.raises(TypeError, match="not list"):
        export_table(table(rows=[{"index": [1]}]), tmp_path / f"t.{format}", format)


def test_a_suffix_that_says_another_format_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ends in \.tsv"):
        export_table(table(), tmp_path / "t.xlsx", "tsv")


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from videval.export import Table, export_table
    def rows():
        yield {"index": 1}
        os.kill(os.getpid(), signal.SIGKILL)
    export_table(Table(columns=("index",), rows=rows(), card={}, failures=(), run="r"), Path(sys.argv[1]), "xlsx")
"""


def test_what_a_killed_export_left_is_swept_by_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(path)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert [p.is_dir() for p in tmp_path.iterdir()] == [True]
    export_table(table(), path, "xlsx")
    assert sorted(content(tmp_path)) == ["t.xlsx", "t.xlsx.full.jsonl"]
    assert not [p for p in tmp_path.iterdir() if p.is_dir()]


def test_an_export_leaves_the_draft_of_a_living_one_alone(tmp_path: Path) -> None:
    def rows() -> Iterator[Mapping[str, Scalar]]:
        export_table(table("r--2"), tmp_path / "other.tsv", "tsv")
        yield from ROWS

    export_table(table(rows=rows()), tmp_path / "t.tsv", "tsv")
    assert read_export(tmp_path / "t.tsv") == read_export(tmp_path / "other.tsv") == ROWS


# ownership


def test_another_runs_file_is_never_overwritten(tmp_path: Path, format: ExportFormat) -> None:
    path = export_path(tmp_path, "m", "v", "r--1", format)
    export_table(table("r--1"), path, format)
    before = content(tmp_path)
    with pytest.raises(UsageError, match="does not belong to run r--2"):
        export_table(table("r--2"), path, format)
    other = export_path(tmp_path, "m", "v", "r--2", format)
    assert (path, other) == (tmp_path / "m" / f"m_v.{format}", tmp_path / "m" / f"m_v_r--2.{format}")
    export_table(table("r--2"), other, format)
    assert before.items() <= content(tmp_path).items()
    assert export_path(tmp_path, "m", "v", "r--1", format) == path
    assert export_path(tmp_path, "m", "v", "r--2", format) == other
    assert (owner_of(path), owner_of(other)) == ("r--1", "r--2")


def pandas_file(path: Path) -> None:
    pd.DataFrame({"index": [1]}).to_excel(path) if path.suffix == ".xlsx" else path.write_text("index\n1\n")


def broken_link(path: Path) -> None:
    path.symlink_to("nowhere")


@pytest.mark.parametrize("make", [pandas_file, Path.touch, Path.mkdir, broken_link])
def test_a_file_that_is_not_ours_is_never_overwritten(
    tmp_path: Path, format: ExportFormat, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "m" / f"m_v.{format}"
    path.parent.mkdir()
    make(path)
    assert export_path(tmp_path, "m", "v", "r--1", format).name == f"m_v_r--1.{format}"
    with pytest.raises(UsageError, match="does not belong"):
        export_table(table(), path, format)


@pytest.mark.parametrize("suffix", [".full.jsonl", ".failures.jsonl", ".card.json"])
@pytest.mark.parametrize("text", ["", "mine", "[1]\n", '{"videval_run": "other"}\n'])
def test_a_foreign_file_beside_is_not_overwritten_either(tmp_path: Path, suffix: str, text: str) -> None:
    (tmp_path / f"t.tsv{suffix}").write_text(text)
    with pytest.raises(UsageError, match="does not belong"):
        export_table(table(), tmp_path / "t.tsv", "tsv")
    assert (tmp_path / f"t.tsv{suffix}").read_text() == text


def test_numbered_names_follow_when_the_runs_own_is_foreign_too(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "m_v.tsv").touch()
    (tmp_path / "m" / "m_v_r.tsv").touch()
    assert export_path(tmp_path, "m", "v", "r", "tsv").name == "m_v_r_2.tsv"


def test_sidecars_that_are_no_longer_needed_go(tmp_path: Path, format: ExportFormat) -> None:
    path = tmp_path / f"t.{format}"
    export_table(table(), path, format)
    result = export_table(table(rows=[{"index": 1}], failures=()), path, format)
    assert {path, result.card or path} == set(tmp_path.iterdir())


def test_an_edited_workbook_is_still_its_runs(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    export_table(table(), path, "xlsx")
    book = openpyxl.load_workbook(path)
    book.save(path)
    assert owner_of(path) == "r--1"
    assert read_export(path) == ROWS


def test_a_file_that_appears_while_we_write_is_not_overwritten(tmp_path: Path, format: ExportFormat) -> None:
    path = tmp_path / f"t.{format}"

    def rows() -> Iterator[Mapping[str, Scalar]]:
        export_table(table("r--2"), path, format)
        yield from ROWS

    with pytest.raises(UsageError, match="does not belong to run r--1"):
        export_table(table("r--1", rows=rows()), path, format)
    assert owner_of(path) == "r--2"


def test_a_folder_without_locks_is_written_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    (tmp_path / ".videval-export-old").mkdir()
    export_table(table(), tmp_path / "t.tsv", "tsv")
    assert read_export(tmp_path / "t.tsv") == ROWS
    assert (tmp_path / ".videval-export-old").is_dir()


def test_what_is_published_has_the_users_own_permissions(tmp_path: Path, format: ExportFormat) -> None:
    result = export_table(table(), tmp_path / f"t.{format}", format)
    (tmp_path / "usual").touch()
    usual = (tmp_path / "usual").stat().st_mode
    assert {p.stat().st_mode for p in (result.path, result.companion) if p} == {usual}


# names


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("Video-LLaVA-7B", "Video-LLaVA-7B"),
        ("video_llava:./my checkpoint", "video_llava_._my_checkpoint"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("..", "_"),
        ("", "_"),
        ("NUL", "_NUL"),
        ("com1.txt", "_com1.txt"),
        ("a\x00b\ud800", "a_b"),
        ("模型", "模型"),
    ],
)
def test_names_become_one_safe_piece(tmp_path: Path, model: str, name: str) -> None:
    path = export_path(tmp_path, model, "v", "r", "xlsx")
    assert path == tmp_path / name / f"{name}_v.xlsx"


@given(pieces=st.lists(st.text(st.characters(exclude_categories=()), max_size=300), min_size=3, max_size=3))
def test_any_name_stays_in_its_folder_and_can_be_created(pieces: list[str]) -> None:
    names = [files.safe_name(p) for p in pieces]
    for name in names:
        assert name not in ("", ".", "..") and "/" not in name and "\\" not in name and not name.startswith(".")
    longest = "_".join(names) + "_999.parquet.failures.jsonl"
    assert len(os.fsencode(longest)) <= 255


def test_long_names_that_differ_at_the_end_stay_apart(tmp_path: Path) -> None:
    assert files.safe_name("a" * 500 + "1") != files.safe_name("a" * 500 + "2")
    path = export_path(tmp_path, "é" * 500, "é" * 500, "r", "parquet")
    export_table(table(), path, "parquet")
    assert read_export(path) == ROWS


def test_models_whose_safe_names_are_equal_do_not_share_a_file(tmp_path: Path) -> None:
    export_table(table("r--1"), export_path(tmp_path, "a/b", "v", "r--1", "tsv"), "tsv")
    assert export_path(tmp_path, "a:b", "v", "r--2", "tsv").name == "a_b_v_r--2.tsv"


def test_all_names_that_are_public_are_there() -> None:
    assert all(hasattr(videval.export, name) for name in videval.export.__all__)
