"""`videval import`: result files become runs, are scored, go on, and come out again as they went in."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.cli import Call
from tests.imported import (
    MODEL,
    NAME,
    VARIANT,
    all_answered,
    counts,
    pickled,
    questions,
    results,
    the_run,
)
from tests.imported import data as data
from tests.imported import database as database
from tests.imported import settings as settings
from tests.imported import videval as videval
from tests.results import frame_of, write_as_vlmevalkit, write_log
from videval import runs
from videval.db import runs as run_rows
from videval.db.session import Database
from videval.export import export_table, run_table
from videval.imports import gather
from videval.merge import merge
from videval.options import Asked
from videval.orders import make_order
from videval.report import score_report
from videval.settings import Settings

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
