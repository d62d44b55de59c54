"""Cells of a question file come back as they stand, through the prompt, the database and every export."""

import json
from pathlib import Path

import pytest

from tests.seeding import new_database, settings_for
from videval.asking import rule_scorer
from videval.benchmarks.table import TableBenchmark, read_table
from videval.export import FORMATS, ExportFormat, export_table, run_table
from videval.export.read import read_export
from videval.options import Asked
from videval.orders import make_order
from videval.runs import enqueue
from videval.types import Sample, Scalar, Verdict

AS_WRITTEN = (
    "1.50", "2.0", "007", "7", "-3", "1e3", "1E5", "+1", "0x1f", "1,5", "True", "false", "NA", "nan", "None", "null",
    "2024-01-02", "12:30", "½", " padded ", "=1+1", "9007199254740993", "0.1234567890123456789", "-0", ".5", "5.",
)  # fmt: skip


def write(folder: Path, text: str, name: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


def rows_of(path: Path) -> list[dict[str, Scalar]]:
    return [dict(sample.row) for sample in read_table(path)]


@pytest.mark.parametrize("cell", AS_WRITTEN)
def test_a_cell_is_a_text_whatever_it_looks_like(tmp_path: Path, cell: str) -> None:
    path = write(tmp_path, f"video\tquestion\tanswer\tnote\na\t{cell}\t{cell}\t{cell}\n", "q.tsv")
    (sample,) = read_table(path)
    assert (sample.question, sample.answer, sample.row["note"]) == (cell, cell, cell)


def test_a_column_of_numbers_is_texts_whether_or_not_they_have_equally_many_decimals(tmp_path: Path) -> None:
    path = write(tmp_path, "index,video,question,price,n,sparse\n01,a,q,1.50,1,\n02,b,q,2.00,2,3\n", "q.csv")
    assert [s.id for s in read_table(path)] == ["01", "02"]
    assert [list(row.values()) for row in rows_of(path)] == [
        ["01", "a", "q", "1.50", "1", None],
        ["02", "b", "q", "2.00", "2", "3"],
    ]


def test_options_and_the_span_are_what_the_cells_say(tmp_path: Path) -> None:
    text = "video,question,A,B,answer,start,end\n1.50,q,1.50,2.00,2.00,0.50,2\n"
    (sample,) = read_table(write(tmp_path, text, "q.csv"))
    assert (sample.video, sample.candidates, sample.answer) == ("1.50", ("1.50", "2.00"), "2.00")
    assert sample.span == (0.5, 2.0)
    assert (sample.row["start"], sample.row["end"]) == ("0.50", "2")


def test_columns_stay_in_their_place(tmp_path: Path) -> None:
    path = write(tmp_path, "code,video,note,question\n7,a,x,q\n", "q.csv")
    assert list(rows_of(path)[0]) == ["index", "code", "video", "note", "question"]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("1", 1), ("-7", -7), ("1.5", 1.5), ("2.0", 2.0), ("1.50", "1.50"), ("1e3", "1e3"), ("-0.10", "-0.10"),
        ("0.1234567890123456789", "0.1234567890123456789"), ("true", True), ("null", None), ('""', ""),
        ('"1.5"', "1.5"), ("[2.0, 5.50]", "[2.0, 5.50]"), ('["x",  "y"]', '["x",  "y"]'), ("{}", "{}"),
        ('{"a": {"b": [1]}}', '{"a": {"b": [1]}}'),
        (r'["caf\u00e9 \ud83d\ude00", "\n"]', '["café 😀", "\\n"]'), (r'"caf\u00e9"', "café"),
    ],
)  # fmt: skip
def test_jsonl_keeps_numbers_that_python_writes_alike_and_the_text_of_all_else(
    tmp_path: Path, written: str, kept: Scalar
) -> None:
    line = f'{{"video": "a" , "x" : {written} ,"question":"q","y\\"" : {written}}}\n'
    row = rows_of(write(tmp_path, line, "q.jsonl"))[0]
    assert (row["x"], type(row["x"])) == (kept, type(kept))
    assert row['y"'] == kept


def test_lists_and_objects_in_other_columns_travel_as_their_json_text(tmp_path: Path) -> None:
    beside = {"tags": ["x", "y"], "time_reference": [2.0, 5.0], "source": {"site": "x"}}
    line = {"video": "a", "question": "q", "candidates": ["a", "b"], "answer": "a"} | beside
    (sample,) = read_table(write(tmp_path, json.dumps(line), "q.jsonl"))
    assert {name: json.loads(str(sample.row[name])) for name in beside} == beside
    assert sample.candidates == ("a", "b")


def test_what_a_price_costs_is_right_when_it_is_said_as_written(tmp_path: Path) -> None:
    (sample,) = read_table(write(tmp_path, "video,question,answer\na,q,1.50\n", "q.csv"))
    scorer = rule_scorer(str(TableBenchmark().scorer_for(sample)))
    assert scorer.score(sample, "1.50").verdict is Verdict.RIGHT
    assert scorer.score(sample, "15.0").verdict is Verdict.WRONG


@pytest.mark.parametrize("format", FORMATS)
def test_every_export_gives_the_cells_back(tmp_path: Path, format: ExportFormat) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    header = "index,video,question,answer,note,task_type,start,end"
    lines = [f'{i:03},a.mp4,q,"{cell}","{cell}",{i}.0,1.50,3' for i, cell in enumerate(AS_WRITTEN)]
    path = write(tmp_path, "\n".join([header, *lines, ""]), "q.csv")
    settings = settings_for(tmp_path)
    database = new_database(tmp_path)
    run = enqueue(database, make_order(Asked(what=str(path), model="fake"), settings)).run
    target = tmp_path / f"out.{format}"
    export_table(run_table(database, run), target, format)
    database.close()
    names = header.split(",")
    found = [tuple(row[name] for name in names) for row in read_export(target)]
    assert found == [(f"{i:03}", "a.mp4", "q", cell, cell, f"{i}.0", "1.50", "3") for i, cell in enumerate(AS_WRITTEN)]


def test_an_empty_cell_is_no_text_and_no_answer(tmp_path: Path) -> None:
    (sample,) = read_table(write(tmp_path, 'video,question,answer,note,quoted\na,q,,,""\n', "q.csv"))
    assert sample == Sample(
        id="0", video="a", question="q",
        row={"index": 0, "video": "a", "question": "q", "answer": None, "note": None, "quoted": None},
    )  # fmt: skip
