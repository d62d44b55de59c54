"""What goes out comes back: every format, every awkward text, and what other readers see."""

import contextlib
import csv
import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import openpyxl
import pandas as pd
import pytest
import xlsxwriter
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from videval.errors import DataMissing, UsageError
from videval.export import FORMATS, ExportFormat, ExportResult, Table, export_table, read_export
from videval.types import Scalar

RUN = "mvbench-8frame--fake--1"
AWKWARD: tuple[str, ...] = (
    "",
    " ",
    " leading and trailing ",
    "\tA\t",
    "A\nB",
    "A\r\nB",
    "A\rB",
    "\n",
    "nan",
    "NaN",
    "None",
    "NA",
    "N/A",
    "null",
    "#N/A",
    "#DIV/0!",
    "=1+1",
    '=HYPERLINK("http://a.example","b")',
    "+1",
    "-1",
    "@SUM(A1)",
    "{=1+1}",
    "007",
    "1e5",
    "1.0",
    "TRUE",
    "False",
    "2024-01-01",
    "bell \x07 and NUL \x00",
    "\x1b[31mred\x1b[0m",
    "_x0007_",
    "_x0041__x0042_ _x005F_x0007_ __x0041_",
    "<r>bold</r>",
    "<r><t>&amp;</t></r>",
    "mailto:someone@example.org",
    "http://example.org/" + "a" * 3000,
    "internal:Sheet1!A1",
    "file:///etc/passwd",
    "lone \ud800 high",
    "\udfff",
    "\ud83d\ude00",
    "\uffff and \ufffe",
    "\U0001f600" * 20000,
    "x" * 32767,
    "x" * 32768,
    "_x0041_" * 5000,
    "\x01" * 32767,
    "y" * 40000 + "\x00",
    "He said \"B\" and 'C'",
    '"',
    "'",
    "a,b;c|d",
    "\x85\u2028\u2029\xa0\u200b\ufeff",
    "\ufeffB",
    "\x7f\x80\x9f",
    "答案是 B。 א ב é e\u0301",
    "A [altered; whole text: line 1 0123ab of the .full.jsonl beside this file]",
    " [cut from 40000 characters; whole text: line 99 ffffff of the .full.jsonl beside this file]",
    "Failed to obtain answer via API.",
)


def table(rows: list[dict[str, Scalar]], **more: Any) -> Table:
    columns = tuple(dict.fromkeys(c for r in rows for c in r)) or ("index", "prediction")
    return Table(**{"columns": columns, "rows": iter(rows), "card": {}, "failures": (), "run": RUN} | more)


def answers(texts: tuple[str, ...]) -> list[dict[str, Scalar]]:
    return [{"index": n, "question": "Which?", "prediction": text} for n, text in enumerate(texts)]


def there_and_back(folder: Path, format: ExportFormat, rows: list[dict[str, Scalar]]) -> list[dict[str, Scalar]]:
    path = folder / f"t.{format}"
    result = export_table(table(rows), path, format)
    assert result.rows == len(rows)
    return read_export(path)


def exactly(value: Scalar) -> tuple[str, str]:
    return type(value).__name__, repr(value)


@pytest.fixture(params=FORMATS)
def format(request: pytest.FixtureRequest) -> ExportFormat:
    return request.param  # type: ignore[no-any-return]


def test_the_formats_are_those_of_the_type() -> None:
    assert get_args(ExportFormat) == FORMATS


def test_every_awkward_answer_comes_back_to_the_character(tmp_path: Path, format: ExportFormat) -> None:
    assert len(AWKWARD) >= 39
    assert there_and_back(tmp_path, format, answers(AWKWARD)) == answers(AWKWARD)


def test_a_missing_companion_is_said_and_never_read_as_the_answer(tmp_path: Path, format: ExportFormat) -> None:
    path = tmp_path / f"t.{format}"
    result = export_table(table(answers(("\ud83d\ude00",))), path, format)
    assert result.companion is not None
    result.companion.unlink()
    with pytest.raises(DataMissing, match="line 1"):
        read_export(path)


def test_a_companion_of_another_export_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    companion = export_table(table(answers(("\x00",))), path, "xlsx").companion
    assert companion is not None
    export_table(table(answers(("other \x00",))), tmp_path / "other.xlsx", "xlsx")
    companion.write_bytes((tmp_path / "other.xlsx.full.jsonl").read_bytes())
    with pytest.raises(DataMissing):
        read_export(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\xff\xfe", b"{", b"3\n", b'"open'])
def test_a_file_that_is_no_export_is_a_usage_error(tmp_path: Path, format: ExportFormat, content: bytes) -> None:
    path = tmp_path / f"t.{format}"
    path.write_bytes(content)
    if format == "tsv" and content == b"3\n":
        pytest.skip("a table with one column and no rows")
    with pytest.raises(UsageError, match="not an export"):
        read_export(path)
    with pytest.raises(UsageError, match="no such file"):
        read_export(tmp_path / f"none.{format}")


def test_an_unknown_suffix_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not an export"):
        read_export(tmp_path / "t.pkl")


def test_a_cut_cell_says_so_and_the_companion_has_it_whole(tmp_path: Path) -> None:
    result = export_table(table(answers(("A", "y" * 40000, "b\x07b"))), tmp_path / "t.xlsx", "xlsx")
    assert (result.cut_cells, result.altered_cells) == (1, 1)
    cells = pd.read_excel(result.path)["prediction"]
    assert cells[0] == "A"
    assert re.fullmatch(
        r"y+ \[cut from 40000 characters; whole text: line 1 \w{6} of the .full.jsonl beside this file\]", cells[1]
    )
    assert len(cells[1]) == 32767
    assert re.fullmatch(r"b␇b \[altered; whole text: line 2 \w{6} of the .full.jsonl beside this file\]", cells[2])
    assert result.companion == tmp_path / "t.xlsx.full.jsonl"
    records = [json.loads(line) for line in result.companion.read_text().splitlines()]
    assert [(r["index"], r["column"], r["text"]) for r in records] == [
        (1, "prediction", "y" * 40000),
        (2, "prediction", "b\x07b"),
    ]


def test_without_awkward_cells_there_is_no_companion(tmp_path: Path, format: ExportFormat) -> None:
    result = export_table(table(answers(("A", "B\nC"))), tmp_path / f"t.{format}", format)
    assert (result.companion, result.cut_cells, result.altered_cells) == (None, 0, 0)


@pytest.mark.parametrize(
    "value", [0, -1, 2**53, 2**53 + 1, -(2**63), 10**30, 0.1 + 0.2, -0.0, 3.0, 1e308, 5e-324, True, False, None]
)
def test_numbers_stay_numbers_to_the_last_digit(tmp_path: Path, format: ExportFormat, value: Scalar) -> None:
    [row] = there_and_back(tmp_path, format, [{"index": 1, "n": value}])
    assert exactly(row["n"]) == exactly(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_come_back(tmp_path: Path, format: ExportFormat, value: float) -> None:
    [row] = there_and_back(tmp_path, format, [{"index": 1, "n": value}])
    assert exactly(row["n"]) == exactly(value)


def test_a_column_of_text_and_numbers_comes_back_as_it_was(tmp_path: Path, format: ExportFormat) -> None:
    rows: list[dict[str, Scalar]] = [{"n": v} for v in ("7", 7, 7.5, True, None, "", 10**30)]
    back = there_and_back(tmp_path, format, rows)
    assert [exactly(r["n"]) for r in back] == [exactly(r["n"]) for r in rows]


def test_parquet_says_which_column_it_wrote_as_text(tmp_path: Path) -> None:
    rows: list[dict[str, Scalar]] = [{"a": 1, "b": "x", "c": 1, "d": 1.5}, {"a": 2, "b": 2, "c": None, "d": 2}]
    result = export_table(table(rows), tmp_path / "t.parquet", "parquet")
    assert result.notes == ("column 'b' mixes text and numbers: written as text",)
    frame = pd.read_parquet(result.path)
    assert [str(t) for t in frame.dtypes] == ["int64", "str", "float64", "float64"]
    assert list(frame["b"]) == ["x", "2"]


def test_awkward_column_names_come_back(tmp_path: Path, format: ExportFormat) -> None:
    row: dict[str, Scalar] = {"index": 1, "_x0041_": 2, "=a": 3, " ": 4, "tab\tnul\x00": 5, "\ud800": 6, "2020": "7"}
    row |= {"\ud83d\ude00": "\x00", "prediction": "A"}
    assert there_and_back(tmp_path, format, [row]) == [row]


def test_rows_without_a_value_and_empty_tables_come_back(tmp_path: Path, format: ExportFormat) -> None:
    empty: dict[str, Scalar] = {"index": None, "prediction": None}
    rows: list[dict[str, Scalar]] = [empty, {"index": 1, "prediction": ""}, empty, empty]
    assert there_and_back(tmp_path, format, rows) == rows
    assert there_and_back(tmp_path, format, []) == []


def test_a_column_that_a_row_lacks_is_a_missing_value(tmp_path: Path, format: ExportFormat) -> None:
    rows: list[dict[str, Scalar]] = [{"index": 1}, {"index": 2, "prediction": "A"}]
    assert there_and_back(tmp_path, format, rows) == [{"index": 1, "prediction": None}, rows[1]]


def test_pandas_reads_the_first_sheet_as_vlmevalkit_does(tmp_path: Path) -> None:
    rows: list[dict[str, Scalar]] = [
        {"index": 3, "video": "a/b.mp4", "question": "Why?", "answer": "A", "start": 1.25, "prediction": "=(A)"},
        {"index": 7, "video": "c.mp4", "question": "_x0041_?", "answer": "B", "start": None, "prediction": "<r>B</r>"},
    ]
    export_table(table(rows), tmp_path / "t.xlsx", "xlsx")
    frame = pd.read_excel(tmp_path / "t.xlsx")
    assert list(frame.columns) == list(rows[0])
    assert frame.drop(columns="start").to_dict("records") == [
        {k: v for k, v in r.items() if k != "start"} for r in rows
    ]
    assert list(frame["index"]) == [3, 7] and frame["index"].dtype == "int64"
    assert frame["start"][0] == 1.25 and math.isnan(frame["start"][1])


def test_a_sorted_workbook_still_finds_its_whole_texts(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    export_table(table(answers(AWKWARD)), path, "xlsx")
    book = openpyxl.load_workbook(path)
    sheet = book.worksheets[0]
    rows = sorted(sheet.iter_rows(min_row=2, values_only=True), key=lambda r: -int(str(r[0])))
    for number, row in enumerate(rows, 2):
        for column, value in enumerate(row, 1):
            sheet.cell(number, column).value = value
            if isinstance(value, str):
                sheet.cell(number, column).data_type = "s"
    book.save(path)
    back = {r["index"]: r["prediction"] or "" for r in read_export(path)}
    assert back == dict(enumerate(AWKWARD))


def test_every_reader_of_xlsx_sees_the_answer_or_a_mark(tmp_path: Path) -> None:
    export_table(table(answers(AWKWARD)), tmp_path / "t.xlsx", "xlsx")
    seen = pd.read_excel(tmp_path / "t.xlsx", keep_default_na=False, dtype=str)["prediction"]
    assert all(a == b or b.endswith(" beside this file]") for a, b in zip(AWKWARD, seen, strict=True))
    assert sum(a == b for a, b in zip(AWKWARD, seen, strict=True)) >= 40


def test_there_is_no_formula_and_no_link_in_the_workbook(tmp_path: Path) -> None:
    import zipfile

    export_table(table(answers(AWKWARD)), tmp_path / "t.xlsx", "xlsx")
    with zipfile.ZipFile(tmp_path / "t.xlsx") as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
        assert not [n for n in book.namelist() if "worksheets/_rels" in n]
    assert "<f>" not in sheet and "hyperlink " not in sheet


def test_the_csv_module_and_pandas_read_the_tsv(tmp_path: Path) -> None:
    texts = tuple(t for t in AWKWARD if "\x00" not in t and "[" not in t and t.encode("utf-8", "ignore").decode() == t)
    export_table(table(answers(texts)), tmp_path / "t.tsv", "tsv")
    with (tmp_path / "t.tsv").open(encoding="utf-8", newline="") as file:
        try:
            csv.field_size_limit(10**6)
            assert [r["prediction"] for r in csv.DictReader(file, dialect="excel-tab")] == list(texts)
        finally:
            csv.field_size_limit(131072)
    frame = pd.read_csv(tmp_path / "t.tsv", sep="\t", keep_default_na=False, dtype=str)
    assert list(frame["prediction"]) == list(texts)


def test_json_and_jsonl_are_read_by_json(tmp_path: Path) -> None:
    rows = answers(AWKWARD[:40])
    export_table(table(rows), tmp_path / "t.json", "json")
    export_table(table(rows), tmp_path / "t.jsonl", "jsonl")
    assert json.loads((tmp_path / "t.json").read_text()) == rows
    assert [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()] == rows


def card_and_failures(format: ExportFormat, path: Path) -> ExportResult:
    card = {
        "run": RUN,
        "model": {"name": "fake", "limits": {"max": 8}},
        "seeds": [1, 2],
        "note": "=1\x00",
        "none": None,
    }
    failures = [{"index": "4", "video": "x.mp4", "kind": "video", "message": "=no\x07", "attempts": 3}]
    return export_table(table(answers(("A",)), card=card | {"libs": [{"torch": "2"}]}, failures=failures), path, format)


def test_the_workbook_has_the_card_and_the_failures(tmp_path: Path) -> None:
    result = card_and_failures("xlsx", tmp_path / "t.xlsx")
    sheets = pd.read_excel(result.path, sheet_name=None)
    assert list(sheets) == ["predictions", "run card", "failures"]
    card = dict(zip(sheets["run card"]["key"], sheets["run card"]["value"], strict=True))
    assert card["model.limits.max"] == 8 and card["seeds"] == "[1, 2]" and card["libs.0.torch"] == "2"
    assert card["note"].startswith("=1␀ [altered")
    assert list(sheets["failures"].columns) == ["index", "video", "kind", "message", "attempts"]
    assert sheets["failures"]["message"][0].startswith("=no␇ [altered")
    assert (result.failures, result.altered_cells, result.card, result.failures_file) == (1, 2, None, None)


@pytest.mark.parametrize("format", ["tsv", "json", "jsonl", "parquet"])
def test_the_other_formats_have_them_beside(tmp_path: Path, format: ExportFormat) -> None:
    result = card_and_failures(format, tmp_path / f"t.{format}")
    assert result.card is not None and result.failures_file is not None and result.failures == 1
    assert json.loads(result.card.read_text())["card"]["model"]["limits"] == {"max": 8}
    assert json.loads(result.failures_file.read_text())["message"] == "=no\x07"


def test_exporting_twice_gives_the_same_bytes(tmp_path: Path, format: ExportFormat) -> None:
    def once() -> dict[str, bytes]:
        export_table(table(answers(AWKWARD)), tmp_path / f"t.{format}", format)
        return {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    assert once() == once()


def test_importing_export_brings_no_pandas_and_no_pyarrow() -> None:
    code = "import sys, videval.export; sys.exit(bool({'pandas', 'pyarrow', 'openpyxl'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# any code points, with those that hurt more often
TEXT = st.text(
    st.one_of(st.characters(exclude_categories=()), st.sampled_from("\x00\r\n\t\"'=_x0041_<r>/\ud800\udc00\uffff [")),
    max_size=40,
)
VALUE = st.one_of(TEXT, st.none(), st.booleans(), st.integers(), st.floats())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(rows=[["_x0041_", "_x", "<r>"]])
@given(rows=st.lists(st.lists(TEXT, min_size=3, max_size=3), min_size=1, max_size=8))
def test_any_text_comes_back(tmp_path: Path, format: ExportFormat, rows: list[list[str]]) -> None:
    records: list[dict[str, Scalar]] = [dict(zip(("index", "a", "prediction"), r, strict=True)) for r in rows]
    assert there_and_back(tmp_path, format, records) == records


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(VALUE, min_size=1, max_size=8), name=TEXT)
def test_any_value_comes_back(tmp_path: Path, format: ExportFormat, values: list[Scalar], name: str) -> None:
    name = f"{name}'"
    back = there_and_back(tmp_path, format, [{"n": n, name: v} for n, v in enumerate(values)])
    if format == "parquet" and {type(v) for v in values if v is not None} == {int, float}:
        assert repr([r[name] for r in back]) in (repr(values), repr([None if v is None else float(v) for v in values]))
    else:
        assert [exactly(r[name]) for r in back] == [exactly(v) for v in values]


CELL = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x7f"), max_size=40).filter(
        lambda text: not re.search("[\x00-\x08\x0b-\x1f\ufffe\uffff]|_x|^<r>", text)
    ),
    st.sampled_from([" a", "a\n", "\tb\t", "=1+1", "007", "1e5", "TRUE", "<a> & </a>", "mailto:a@b", "x" * 32767]),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
)


class Exact(float):
    """A number of which the library writes all digits."""

    def __format__(self, spec: str) -> str:
        return float.__repr__(self)


def by_the_library(path: Path, rows: list[dict[str, Scalar]]) -> None:
    """The same rows, each cell written by xlsxwriter."""
    with xlsxwriter.Workbook(path, {"strings_to_formulas": False, "strings_to_urls": False}) as book:
        sheet = book.add_worksheet("predictions")
        for row, values in enumerate([tuple(rows[0]), *(tuple(r.values()) for r in rows)]):
            for column, value in enumerate(values):
                if isinstance(value, str):
                    sheet.write_string(row, column, value)
                elif isinstance(value, bool):
                    sheet.write_boolean(row, column, value)
                elif value is not None:
                    sheet.write_number(row, column, Exact(value) if isinstance(value, float) else value)


def seen(path: Path, read_only: bool) -> list[list[tuple[str, str]]]:
    """The kind and the value of each cell, as openpyxl reads them."""
    with contextlib.closing(openpyxl.load_workbook(path, read_only=read_only)) as book:
        rows = [[(cell.data_type, repr(cell.value)) for cell in row] for row in book.worksheets[0].iter_rows()]
    return [[("s" if kind == "inlineStr" else kind, value) for kind, value in row] for row in rows]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.lists(CELL, min_size=30, max_size=30), min_size=1, max_size=4), read_only=st.booleans())
def test_every_cell_is_read_as_if_the_library_had_written_it(
    tmp_path: Path, rows: list[list[Scalar]], read_only: bool
) -> None:
    records: list[dict[str, Scalar]] = [{"index": 1, **{f"c{n}": v for n, v in enumerate(row)}} for row in rows]
    export_table(table(records), tmp_path / "t.xlsx", "xlsx")
    by_the_library(tmp_path / "library.xlsx", records)
    assert seen(tmp_path / "t.xlsx", read_only) == seen(tmp_path / "library.xlsx", read_only)


def test_the_sheets_look_as_the_library_makes_them(tmp_path: Path) -> None:
    result = card_and_failures("xlsx", tmp_path / "t.xlsx")
    book = openpyxl.load_workbook(result.path)
    assert [(s.freeze_panes, bool(s.sheet_view.tabSelected)) for s in book] == [("A2", i == 0) for i in range(3)]
    assert (book.properties.creator, book.custom_doc_props["videval_run"].value) == ("videval", RUN)
    assert {font.name for font in book._fonts} == {"Calibri"}
