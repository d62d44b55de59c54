"""`videval import` and what is no result file, or not of these questions: refused or listed, and never guessed."""

import json
import re
import shutil
import zipfile
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from tests.cli import Call
from tests.imported import MODEL, NAME, VARIANT, counts, questions, results, the_run
from tests.imported import data as data
from tests.imported import database as database
from tests.imported import settings as settings
from tests.imported import videval as videval
from tests.results import frame_of, write_as_vlmevalkit, write_log
from videval.db.session import Database
from videval.errors import ModelUnavailable
from videval.export import export_table, run_table
from videval.models.catalog import load_model
from videval.report import score_report
from videval.types import ModelSpec


def refused(videval: Call, file: Path, *words: str) -> str:
    """What is said of a file that is refused; nothing is written."""
    said = videval("import", str(file), *words)
    assert said.code == 2, said.out + said.err
    assert not (file.parent / "home" / "videval.db").exists()
    return said.err


@pytest.mark.parametrize("suffix", [".xlsx", ".tsv", ".json", ".pkl"])
@pytest.mark.parametrize("column", ["index", "question", "prediction"])
def test_a_file_without_a_column_is_refused(
    column: str, suffix: str, videval: Call, tmp_path: Path, data: Path
) -> None:
    frame = frame_of(questions(data), {}).drop(columns=column)
    said = refused(videval, write_as_vlmevalkit(frame, tmp_path / f"{NAME}{suffix}"))
    assert f"no column {column}" in said and "there are task_type" in said


def test_an_index_with_two_answers_is_refused_and_with_one_twice_is_listed(
    videval: Call, tmp_path: Path, data: Path
) -> None:
    frame = frame_of(questions(data), {s.id: "A" for s in questions(data)})
    same = write_as_vlmevalkit(pd.concat([frame, frame.iloc[:2]]), tmp_path / f"{NAME}.xlsx")
    said = videval("import", str(same), "--dry-run")
    assert said.code == 0 and "2 rows there twice with the same answer, taken once" in said.err
    other = write_as_vlmevalkit(pd.concat([frame, frame.iloc[:2].assign(prediction="B")]), tmp_path / f"{NAME}.tsv")
    said_of_other = refused(videval, other)
    assert (
        "2 rows with another answer to a question than one before" in said_of_other
        and "row 41 (index 0)" in said_of_other
    )


def test_rows_of_other_questions_are_listed_and_not_imported(
    videval: Call, database: Database, tmp_path: Path, data: Path
) -> None:
    frame = frame_of(questions(data), {s.id: "A" for s in questions(data)})
    frame.loc[3, "question"] = "What was asked in another version?"
    frame.loc[5, "index"] = 4711
    said = videval("import", str(write_as_vlmevalkit(frame, tmp_path / f"{NAME}.xlsx")))
    assert said.code == 1 and counts(database).done == 38
    assert "2 rows of no question, not imported" in said.err
    assert "row 4 (index 3): another question: 'What was asked in another version?'" in said.err
    assert "row 6 (index 4711): no question has this index" in said.err


def test_a_file_of_another_benchmark_is_refused(videval: Call, tmp_path: Path, data: Path) -> None:
    frame = frame_of(questions(data, "Video-MME_8frame"), {"0": "A"})
    said = refused(videval, write_as_vlmevalkit(frame, tmp_path / f"{NAME}.xlsx"))
    assert "no row is of a question of this benchmark" in said and "--benchmark VARIANT" in said


def test_a_file_without_one_answer_is_refused(videval: Call, tmp_path: Path, data: Path) -> None:
    failed = dict.fromkeys((s.id for s in questions(data)), "Failed to obtain answer via API.")
    said = refused(videval, results(tmp_path, data, failed))
    assert "not one answer: a failure message 40" in said


def test_columns_tell_the_benchmark_where_the_name_does_not(videval: Call, tmp_path: Path, data: Path) -> None:
    file = results(tmp_path, data, name="old.xlsx")
    said = refused(videval, file, "--model", MODEL)
    assert "by its columns it is of MVBench, but with how many frames? One of MVBench_8frame" in said
    assert videval("import", str(file), "--benchmark", VARIANT, "--model", MODEL, "--dry-run").code == 0
    assert "its name does not say of which model" in refused(videval, file, "--benchmark", VARIANT)


def test_a_model_that_nobody_knows_is_asked_for(videval: Call, tmp_path: Path, data: Path) -> None:
    folder = tmp_path / MODEL
    folder.mkdir()
    said = refused(videval, results(folder, data, name=f"Nobodys-Model_{VARIANT}.xlsx"))
    assert "no model is called 'Nobodys-Model'" in said and "--model NAME" in said and "--unknown-model" in said
    nameless = results(tmp_path, data, name="results.xlsx")
    said = refused(videval, nameless, "--benchmark", VARIANT, "--unknown-model")
    assert "any name beside --unknown-model" in said


def test_a_model_that_nobody_knows_can_be_kept_to_be_compared(
    videval: Call, database: Database, tmp_path: Path, data: Path
) -> None:
    file = results(tmp_path, data, name=f"Nobodys-Model_{VARIANT}.xlsx")
    said = videval("import", str(file), "--unknown-model")
    assert said.code == 0 and "Nobodys-Model is not known here: what is missing cannot be asked" in said.out
    run = the_run(database)
    assert (run.model, run.is_imported, counts(database).done) == ("Nobodys-Model", True, 40)
    with pytest.raises(ModelUnavailable, match="imported answers only"):
        load_model(ModelSpec.from_json(run.card["model"]), devices=["cpu"])
    out = tmp_path / "out.tsv"
    export_table(run_table(database, run), out, "tsv")
    again = videval("import", str(out), "--unknown-model")
    assert again.code == 0 and "0 answers imported, 40 were there" in again.out
    assert videval("import", str(file), "--unknown-model", "--model", MODEL).code == 0, "one that is known, is known"


def test_answers_to_a_table_of_ones_own_are_imported_with_it(videval: Call, database: Database, tmp_path: Path) -> None:
    table = tmp_path / "questions.tsv"
    table.write_text("index\tvideo\tquestion\tanswer\nq1\ta.mp4\tWhat?\tfox\nq2\ta.mp4\tWho?\towl\n")
    asked = ("--data", str(table), "--frames", "8", "--allow-missing")
    frame = pd.DataFrame({"index": ["q1", "q2"], "question": ["What?", "Who?"], "prediction": ["fox", "cat"]})
    file = write_as_vlmevalkit(frame, tmp_path / "fake_questions.tsv")
    assert videval("import", str(file), *asked, "--model", "fake").code == 0
    assert score_report(database, the_run(database)).overall.estimate.mean == 0.5
    out = tmp_path / "out.xlsx"
    export_table(run_table(database, the_run(database)), out, "xlsx")
    unsaid = videval("import", str(out))
    assert unsaid.code == 2 and "--data questions.tsv" in unsaid.err
    assert "0 answers imported, 2 were there" in videval("import", str(out), *asked).out


def test_a_benchmark_that_is_not_here_has_to_be_prepared(videval: Call, tmp_path: Path, data: Path) -> None:
    file = results(tmp_path, data, name=f"{MODEL}_LVBench_8frame.xlsx")
    said = videval("import", str(file))
    assert said.code == 3 and "videval prepare LVBench" in said.err


@pytest.mark.parametrize("suffix", [".xlsx", ".tsv", ".json", ".pkl", ".jsonl"])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.97])
def test_a_torn_file_is_refused(kept: float, suffix: str, videval: Call, tmp_path: Path, data: Path) -> None:
    file = tmp_path / f"{NAME}{suffix}"
    if suffix == ".jsonl":
        write_log(file, questions(data), {s.id: "A" for s in questions(data)})
    else:
        results(tmp_path, data, name=file.name)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * kept)])
    said = refused(videval, file)
    assert "not a whole" in said or "has no rows" in said or "refused" in said


def test_code_in_a_pickle_is_refused_and_not_run(videval: Call, tmp_path: Path, data: Path) -> None:
    file = tmp_path / f"{NAME}.pkl"
    mark = tmp_path / "was_run"
    file.write_bytes(b"cos\nmkdir\n(V" + str(mark).encode() + b"\ntR.")
    said = refused(videval, file)
    assert "nothing in it was run" in said and "os.mkdir" in said and not mark.exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("folder", "a folder, not a result file"),
        ("nothing.xlsx", "there is no such file"),
        ("scores.csv", "not a result file"),
        (f"{NAME}.xlsx.card.json", "stands beside an export"),
        ("table.parquet", "run card"),
        (f"{NAME}.json", "in place of rows"),
    ],
)
def test_what_is_no_result_file_is_refused(name: str, said: str, videval: Call, tmp_path: Path, data: Path) -> None:
    (tmp_path / "folder").mkdir()
    shutil.copy(results(tmp_path, data), tmp_path / "folder" / "a.xlsx")
    for empty in ("scores.csv", f"{NAME}.xlsx.card.json", "table.parquet"):
        (tmp_path / empty).write_text("index,prediction\n")
    (tmp_path / f"{NAME}.json").write_text("7")
    assert said in refused(videval, tmp_path / name)


def test_a_file_without_an_end_is_not_read(
    videval: Call, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videval.imports.files.MOST_BYTES", 20_000)
    frame = frame_of(questions(data), {s.id: "x" * 3000 for s in questions(data)})
    packed = write_as_vlmevalkit(frame, tmp_path / f"{NAME}.xlsx")
    assert packed.stat().st_size < 20_000, "small on the disk, and large when it is unpacked"
    assert "20,000 are the most" in refused(videval, packed)
    assert "20,000 are the most" in refused(videval, write_as_vlmevalkit(frame, tmp_path / f"{NAME}.tsv"))


def test_a_line_of_a_log_that_could_be_two_questions_is_not_imported(
    videval: Call, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = questions(data)
    row = {
        "doc_id": 99,
        "target": "the book",
        "filtered_resps": ["A"],
        "input": f"{samples[0].question}\n{samples[2].question}",
    }
    log = tmp_path / "samples_x.jsonl"
    log.write_text(f"{json.dumps(row)}\n{json.dumps(row | {'input': samples[4].question})}\n")
    said = videval("import", str(log), "--benchmark", VARIANT, "--model", MODEL, "--dry-run")
    assert (
        said.code == 1
        and "line 1 (index 99): could be 2 questions" in said.err
        and "1 answer of 40 questions" in said.out
    )


def test_an_export_that_was_made_with_other_settings_is_refused(
    videval: Call, database: Database, tmp_path: Path, data: Path
) -> None:
    videval("import", str(results(tmp_path, data)), "--max-new-tokens", "77")
    out = tmp_path / "ours.tsv"
    export_table(run_table(database, the_run(database)), out, "tsv")
    said = videval("import", str(out), "--max-new-tokens", "78", "--dry-run")
    assert said.code == 2 and "generation.max_new_tokens 77, here 78" in said.err


def test_an_export_whose_run_card_was_taken_out_is_told_so_and_not_called_torn(
    videval: Call, database: Database, tmp_path: Path, data: Path
) -> None:
    videval("import", str(results(tmp_path, data)))
    out = tmp_path / "ours.xlsx"
    export_table(run_table(database, the_run(database)), out, "xlsx")
    book = openpyxl.load_workbook(out)
    del book["run card"]
    book.save(out)
    said = videval("import", str(out), "--dry-run")
    assert said.code == 2 and "without its sheet 'run card'" in said.err and "MODEL_VARIANT.tsv" in said.err


@pytest.mark.parametrize("place", [-90, 0.1, 0.5])
def test_a_damaged_archive_is_refused(place: float, videval: Call, tmp_path: Path, data: Path) -> None:
    file = results(tmp_path, data)
    damaged = bytearray(file.read_bytes())
    start = len(damaged) + int(place) if place < 0 else int(len(damaged) * place)
    damaged[start : start + 40] = b"\xff" * 40
    file.write_bytes(damaged)
    assert "not a whole xlsx file" in refused(videval, file)


@pytest.mark.timeout(60)
def test_a_sheet_that_numbers_its_rows_without_end_is_refused(
    videval: Call, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videval.export.read.MOST_ROWS", 100)
    file = results(tmp_path, data)
    with zipfile.ZipFile(file) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    sheet = parts["xl/worksheets/sheet1.xml"]
    sheet = re.sub(rb"<dimension[^>]*/>", b"", re.sub(rb'(<row r=")5"', rb'\g<1>5000000000"', sheet))
    with zipfile.ZipFile(file, "w") as book:
        for name, content in (parts | {"xl/worksheets/sheet1.xml": sheet}).items():
            book.writestr(name, content)
    assert "more than 100 rows" in refused(videval, file)
