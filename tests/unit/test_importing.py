"""`videval import`: result files become runs, are scored, go on, and come out again as they went in."""

import json
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.cli import Call, caller
from tests.results import frame_of, write_as_vlmevalkit, write_log
from tests.trees import tree
from videval import runs
from videval.benchmarks.catalog import find_benchmark, parse_variant
from videval.db import runs as run_rows
from videval.db.records import RunInfo
from videval.db.session import Database, open_database
from videval.errors import ModelUnavailable
from videval.export import export_table, run_table
from videval.imports import gather
from videval.merge import merge
from videval.models.catalog import load_model
from videval.options import Asked
from videval.orders import make_order
from videval.report import score_report
from videval.settings import Settings
from videval.types import ModelSpec, Sample

MODEL, VARIANT = "Video-LLaVA-7B", "MVBench_8frame"
NAME = f"{MODEL}_{VARIANT}"
AWKWARD = (
    "A",
    '(B) it\'s a "cup"',
    " leading and trailing ",
    "two\nlines\tand a tab",
    "=1+2",
    "NA",
    "3",
    "007",
    "1.50",
    "True",
    "üñí 漢字 😀",
    "http://example.org/a",
    '"quoted"',
    "a_x0041_b",
    "control \x07 sign",
)
Answers = Mapping[str, object]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with three benchmarks in their published layouts."""
    root = tmp_path_factory.mktemp("data")
    for name in ("MVBench", "Video-MME", "MMBench-Video"):
        tree(name, root / name)
    return root


@pytest.fixture
def settings(tmp_path: Path, data: Path) -> Settings:
    """Settings of a scratch home that finds the data."""
    return Settings(home=tmp_path / "home", data_root=data)


@pytest.fixture
def videval(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs `videval WORDS` in a scratch home that finds the data."""
    call = caller(tmp_path / "home", monkeypatch, capsys)
    monkeypatch.setenv("VIDEVAL_DATA_ROOT", str(data))
    monkeypatch.chdir(tmp_path)
    return call


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """The scratch home's database, once a command has made it."""
    found = open_database(settings)
    yield found
    found.close()


def questions(data: Path, variant: str = VARIANT) -> list[Sample]:
    asked = parse_variant(variant)
    return find_benchmark(asked.benchmark).load(data / asked.benchmark, asked)


def all_answered(samples: list[Sample]) -> dict[str, object]:
    return {s.id: AWKWARD[i % len(AWKWARD)] for i, s in enumerate(samples)}


def results(tmp_path: Path, data: Path, answers: Answers | None = None, name: str = f"{NAME}.xlsx") -> Path:
    """A result file of VLMEvalKit's."""
    samples = questions(data)
    frame = frame_of(samples, all_answered(samples) if answers is None else answers)
    return write_as_vlmevalkit(frame, tmp_path / name)


def pickled(value: object, path: Path) -> None:
    """What VLMEvalKit keeps beside a result file while it is not whole."""
    path.write_bytes(pickle.dumps(value))


def the_run(database: Database) -> RunInfo:
    with database.read() as connection:
        (run,) = run_rows.list_runs(connection)
    return run


def counts(database: Database) -> run_rows.Counts:
    with database.read() as connection:
        return run_rows.counts(connection, the_run(database).run_id)


# there and back

READ: dict[str, Callable[[Path], Any]] = {
    ".xlsx": pd.read_excel,
    ".tsv": lambda path: pd.read_csv(path, sep="\t"),
    ".json": lambda path: pd.DataFrame(json.loads(path.read_text(encoding="utf-8"))),
}
"""Each format as VLMEvalKit's evaluators load it."""


@pytest.mark.parametrize("suffix", READ)
def test_a_file_of_vlmevalkit_comes_out_again_and_differs_in_no_cell(
    suffix: str, videval: Call, database: Database, tmp_path: Path, data: Path
) -> None:
    file = results(tmp_path, data, name=f"{NAME}{suffix}")
    assert videval("import", str(file)).code == 0
    out = tmp_path / f"out{suffix}"
    done = export_table(run_table(database, the_run(database)), out, suffix[1:])  # type: ignore[arg-type]
    assert done.cut_cells == done.altered_cells == 0 or suffix != ".xlsx"
    pd.testing.assert_frame_equal(READ[suffix](out), READ[suffix](file))


def test_it_is_scored_at_once_by_our_rules(videval: Call, database: Database, tmp_path: Path, data: Path) -> None:
    samples = questions(data)
    file = results(tmp_path, data, {s.id: "(A)" for s in samples})
    said = videval("import", str(file))
    assert said.code == 0 and "50.0 %" in said.out and "coverage: 40 of 40 questions" in said.out
    score = score_report(database, the_run(database))
    assert (score.overall.right, score.overall.wrong) == (20, 20)


@pytest.mark.parametrize("format", ["xlsx", "tsv", "json", "jsonl", "parquet"])
def test_an_export_of_ours_becomes_the_same_run_in_another_home(
    format: str, videval: Call, database: Database, tmp_path: Path, data: Path
) -> None:
    awkward = {s.id: "cut here " + "x" * 40_000 if i == 1 else f"(A) \x07 {i}" for i, s in enumerate(questions(data))}
    file = results(tmp_path, data, awkward, name=f"{NAME}.json")
    assert videval("import", str(file), "--max-new-tokens", "77", "--stop", "Q:", "--prompts", "vlmevalkit").code == 0
    run = the_run(database)
    out = tmp_path / f"renamed.{format}"
    export_table(run_table(database, run), out, format)  # type: ignore[arg-type]
    other = Settings(home=tmp_path / "other", data_root=data)
    (found,) = gather([out], Asked(what=None, model=None), other)
    assert found.files[0].tool == "videval" and found.matched.answers == awkward
    assert [r.name for r in runs.copies_of(database, found.order)] == [run.name]


def test_an_export_that_was_made_with_other_settings_is_refused(
    videval: Call, database: Database, tmp_path: Path, data: Path
) -> None:
    videval("import", str(results(tmp_path, data)), "--max-new-tokens", "77")
    out = tmp_path / "ours.tsv"
    export_table(run_table(database, the_run(database)), out, "tsv")
    said = videval("import", str(out), "--max-new-tokens", "78", "--dry-run")
    assert said.code == 2 and "generation.max_new_tokens 77, here 78" in said.err


# going on


def test_the_same_order_afterwards_asks_only_what_is_missing(
    videval: Call, database: Database, settings: Settings, tmp_path: Path, data: Path
) -> None:
    samples = questions(data)
    missing: dict[str, object] = {
        "3": "Failed to obtain answer via API.",
        "4": "",
        "5": None,
        "6": float("nan"),
        "7": "nan",
    }
    file = results(tmp_path, data, all_answered(samples) | missing)
    said = videval("import", str(file))
    assert "5 rows without an answer, left to be asked: a failure message 1, no answer 4" in said.err
    assert counts(database).done == counts(database).total == 35
    done = runs.enqueue(database, make_order(Asked(what=VARIANT, model=MODEL), settings))
    assert (done.created, done.added) == (False, 5) and counts(database).queued == 5
    assert runs.enqueue(database, make_order(Asked(what=VARIANT, model=MODEL), settings)).added == 0


def test_it_says_the_line_that_asks_the_rest(videval: Call, tmp_path: Path, data: Path) -> None:
    said = videval("import", str(results(tmp_path, data)), "--prompts", "vlmevalkit", "--stop", "a b", "--dry-run")
    line = f"videval enqueue {VARIANT} {MODEL} --prompts vlmevalkit --stop 'a b'"
    assert f"  what is missing is asked by: {line}" in said.lines


KILLED = """
import os, signal, sys
from videval.cli import main
from videval.imports import storing

real, calls = storing.store_imported, 0

def dies(*given):
    global calls
    calls += 1
    done = real(*given)
    if calls == 4:
        os.kill(os.getpid(), signal.SIGKILL)  # before the fourth transaction is committed
    return done

storing.CHUNK, storing.store_imported = 7, dies
main()
"""


def test_an_import_that_was_killed_is_finished_by_the_same_one_with_nothing_double(
    videval: Call, database: Database, tmp_path: Path, data: Path
) -> None:
    file = results(tmp_path, data)
    killed = subprocess.run([sys.executable, "-c", KILLED, "import", str(file)], check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (the_run(database).state, counts(database).done, counts(database).total) == ("creating", 21, 21)
    said = videval("import", str(file))
    assert said.code == 0 and "19 answers imported, 21 were there" in said.out
    run = the_run(database)
    assert (run.state, counts(database).done, counts(database).total) == ("active", 40, 40)
    assert [f["name"] for f in run.card["imported"]["files"]] == [file.name]
    again = videval("import", str(file))
    assert not again.err and "0 answers imported, 40 were there" in again.out and counts(database).total == 40


def test_the_ranks_of_a_run_are_one_run(videval: Call, database: Database, tmp_path: Path, data: Path) -> None:
    """Each rank keeps a dictionary of its own until all are finished."""
    samples = questions(data)
    for rank in range(2):
        answers = {np.int64(i): f"({'AB'[rank]})" for i in range(len(samples))[rank::2]}
        pickled(answers, tmp_path / f"{rank}2_{NAME}.pkl")
    said = videval("import", *map(str, sorted(tmp_path.glob("*.pkl"))))
    assert said.code == 0 and "matched by index alone, as these files have no questions: 40" in said.err
    assert counts(database).done == 40 and len(the_run(database).card["imported"]["files"]) == 2


@pytest.mark.parametrize("name", [f"{NAME}_PREV.pkl", f"{NAME}.pkl", f"{MODEL}_MVBench_8frame_nopack_supp.pkl"])
def test_other_pickles_of_vlmevalkit_are_found_by_their_names(
    name: str, videval: Call, tmp_path: Path, data: Path
) -> None:
    pickled(dict.fromkeys(range(40), "A"), tmp_path / name)
    said = videval("import", str(tmp_path / name), "--dry-run")
    assert said.code == 0 and f"{VARIANT}, {MODEL}: 40 answers of 40 questions" in said.out


def test_a_table_that_could_not_be_written_as_xlsx_lies_as_a_pickle(videval: Call, tmp_path: Path, data: Path) -> None:
    said = videval("import", str(results(tmp_path, data, name=f"{NAME}.pkl")), "--dry-run")
    assert said.code == 0 and "40 answers of 40 questions" in said.out and "by index alone" not in said.err


def test_a_run_with_answers_of_its_own_is_not_mixed_with_a_files(
    videval: Call, database: Database, settings: Settings, tmp_path: Path, data: Path
) -> None:
    file = results(tmp_path, data)
    videval("import", str(file), "--dry-run")
    videval("list", "runs")
    runs.enqueue(database, make_order(Asked(what=VARIANT, model=MODEL), settings))
    for words in (("--dry-run",), ()):
        said = videval("import", str(file), *words)
        assert said.code == 2 and "are not mixed" in said.err and "--new" in said.err
    assert videval("import", str(file), "--new").code == 0
    assert videval("import", str(file), "--new").code == 0
    with database.read() as connection:
        found = run_rows.list_runs(connection)
        assert [(r.is_imported, run_rows.counts(connection, r.run_id).done) for r in found] == [(True, 40), (False, 0)]


def test_a_request_that_waits_or_failed_takes_the_files_answer(
    videval: Call, database: Database, settings: Settings, tmp_path: Path, data: Path
) -> None:
    samples = questions(data)
    videval("import", str(results(tmp_path, data, {s.id: "A" for s in samples[:30]})))
    runs.enqueue(database, make_order(Asked(what=VARIANT, model=MODEL), settings))
    assert counts(database).queued == 10
    said = videval("import", str(results(tmp_path, data, {s.id: "A" for s in samples[25:]}, name=f"{NAME}.tsv")))
    assert "10 answers imported, 5 were there" in said.out and "what was there stays as it is" in said.err
    assert (counts(database).queued, counts(database).done, counts(database).total) == (0, 40, 40)


# packs

PACKED = "MMBench-Video_8frame_pack"


def test_answers_of_a_pack_file_are_one_response_for_each_video(
    videval: Call, database: Database, settings: Settings, tmp_path: Path, data: Path
) -> None:
    samples = questions(data, PACKED)
    answers: dict[str, object] = {s.id: f'said "{s.id}" of it\nI1: no' for s in samples[:3]}
    answers[samples[1].id] = None
    file = write_as_vlmevalkit(frame_of(samples, answers), tmp_path / f"{MODEL}_MMBench_Video_8frame_pack.xlsx")
    assert videval("import", str(file)).code == 0
    run = the_run(database)
    assert (run.pack, counts(database).total, counts(database).done) == (True, 1, 1)
    rows = {row["index"]: row["prediction"] for row in run_table(database, run).rows}
    assert {str(k): v for k, v in rows.items()} == {s.id: answers[s.id] for s in samples[:3]}
    assert merge(database, run).predictions == 3
    assert runs.enqueue(database, make_order(Asked(what=PACKED, model=MODEL), settings)).added == 1


def test_the_whole_responses_of_packs_are_read_as_ours_are(
    videval: Call, database: Database, tmp_path: Path, data: Path
) -> None:
    """A rank keeps them by video, before VLMEvalKit takes them apart."""
    said = {
        "vid0_processed": '{"0": "a fox", "1": "two", "2": "red"}',
        "vid1_processed": "Failed to obtain answer via API.",
    }
    pickled(said, tmp_path / f"01_{MODEL}_MMBench_Video_8frame_pack.pkl")
    assert videval("import", str(tmp_path / f"01_{MODEL}_MMBench_Video_8frame_pack.pkl")).code == 0
    rows = [row["prediction"] for row in run_table(database, the_run(database)).rows]
    assert rows == ["a fox", "two", "red"]


# lmms-eval


def test_a_sample_log_of_lmms_eval_is_matched_by_what_the_model_was_told(
    videval: Call, database: Database, tmp_path: Path, data: Path
) -> None:
    """It counts each task's documents from 0, so its numbers are no index of the benchmark's."""
    samples = questions(data)
    folder = tmp_path / "Qwen__Qwen2.5-VL-7B-Instruct"
    file = write_log(
        folder / "20260101_samples_mvbench_part.jsonl", samples[6:20], {s.id: f"A {s.id}" for s in samples}
    )
    said = videval("import", str(file), "--benchmark", VARIANT)
    assert said.code == 0, said.err
    run = the_run(database)
    assert run.model == "Qwen/Qwen2.5-VL-7B-Instruct" and counts(database).done == 14
    assert {str(r["index"]): r["prediction"] for r in run_table(database, run).rows} == {
        s.id: f"A {s.id}" for s in samples[6:20]
    }


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
    assert said.code == 1 and "line 1 (index 99): could be 2 questions" in said.err and "1 answers" in said.out


# what is shown


def test_it_is_marked_wherever_runs_are_shown(videval: Call, database: Database, tmp_path: Path, data: Path) -> None:
    videval("import", str(results(tmp_path, data)))
    name = the_run(database).name
    line = f"{name}: imported from {NAME}.xlsx (VLMEvalKit)"
    assert line in videval("list", "runs").lines and line in videval("status").lines
    (listed,) = json.loads(videval("list", "runs", "--json").out)
    assert listed["imported"]["tool"] == "VLMEvalKit" and listed["imported"]["files"][0]["name"] == f"{NAME}.xlsx"
    card = json.loads(videval("card", name).out)
    assert card["imported"] == listed["imported"] and card["answered_on"] == [{"imported from": "VLMEvalKit"}]
    assert run_table(database, the_run(database)).card["imported"] == listed["imported"]


def test_a_dry_run_says_all_and_writes_nothing(videval: Call, tmp_path: Path, data: Path) -> None:
    said = videval("import", str(results(tmp_path, data)), "--dry-run")
    assert said.code == 0 and "40 requests would be stored in a new run" in said.out
    assert said.lines[-1] == "nothing was written" and not (tmp_path / "home").exists()


def test_for_scripts_it_is_json(videval: Call, database: Database, tmp_path: Path, data: Path) -> None:
    frame = frame_of(questions(data), all_answered(questions(data)) | {"7": None})
    frame.loc[5, "index"] = 4711
    file = write_as_vlmevalkit(frame, tmp_path / f"{NAME}.tsv")
    (rehearsed,) = json.loads(videval("import", str(file), "--dry-run", "--json").out)
    said = videval("import", str(file), "--json")
    (done,) = json.loads(said.out)
    assert said.code == 1 and rehearsed == done | {"run": None} and done["run"] == the_run(database).name
    assert (done["answers"], done["requests"], done["failed"]) == (38, 38, {"no answer": 1})
    assert done["unmatched"] == [f"{NAME}.tsv, row 6 (index 4711): no question has this index"]


# bad input


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
    assert "2 indexes have two different answers" in said_of_other and "row 41 (index 0)" in said_of_other


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
    said = refused(videval, results(tmp_path, data, name=f"Nobodys-Model_{VARIANT}.xlsx"))
    assert "no model is called 'Nobodys-Model'" in said and "--model NAME" in said and "--unknown-model" in said


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
