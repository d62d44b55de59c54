"""The main job as a user does it: enqueue, two bare workers, export."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.acceptance.conftest import BIN, Home
from tests.servers import dashboard_answers, free_port
from tests.tiny_model import build_tiny_model
from videval.export import read_export


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random checkpoint of the real architecture."""
    return build_tiny_model(tmp_path_factory.mktemp("model") / "tiny-llava")


def rows(clips: list[str], n: int = 9) -> list[dict[str, object]]:
    """Questions over real clips, with columns of the user's own."""
    return [
        {
            "index": i,
            "video": clips[i % 3],
            "question": f"What is it, number {i}?",
            "A": "bikes",
            "B": "a rabbit",
            "C": "a man",
            "answer": "BAC"[i % 3],
            "task_type": "seen" if i % 2 else "guessed",
            "note": "=1+1",
            "weight": 0.5 * i,
            "fake_answer": "BAC"[i % 3],
        }
        for i in range(n)
    ]


def test_two_bare_workers_answer_every_question_with_the_real_model_code_and_the_file_reads_back(
    home: Home, clips: list[str], checkpoint: Path
) -> None:
    table = home.questions(rows(clips))
    said = home.run("enqueue", table, f"video_llava:{checkpoint}", "--max-new-tokens", "4").stdout
    assert "9 requests added" in said
    assert "the model's own, in place of 'interior'" in said
    for _ in range(2):
        home.worker("cpu:0,cpu:1")
    assert home.wait(timeout=180)["done"] == 9
    home.run("export", "questions")
    path = next(home.folder.glob("outputs/*/*.xlsx"))
    assert path.name == "tiny-llava_questions_8frame.xlsx"
    sheet = pd.read_excel(path)
    columns = ["index", "video", "question", "A", "B", "C", "answer", "task_type", "note", "weight", "fake_answer"]
    assert list(sheet.columns) == [*columns, "prediction"]
    assert list(sheet["index"]) == list(range(9))
    assert list(sheet["note"]) == ["=1+1"] * 9
    assert list(sheet["weight"]) == [0.5 * i for i in range(9)]
    read = read_export(path)
    assert len(read) == 9 and all(isinstance(r["prediction"], str) for r in read)
    card = json.loads(home.run("card", "questions").stdout)
    assert card["frames"]["policy"] == "stride"
    assert card["dtype"] == "float32"
    assert card["answered_on"][0]["torch"]


def test_each_worker_takes_a_device_and_one_too_many_is_told_so(home: Home, clips: list[str]) -> None:
    home.run("enqueue", home.questions(rows(clips)), "fake")
    for _ in range(2):
        home.worker("cpu:0,cpu:1")
    home.wait()
    third = home.worker("cpu:0,cpu:1")
    assert third.wait(timeout=60) == 3
    assert "no free device" in home.logs()


def test_the_same_enqueue_resumes_and_a_trial_grows(home: Home, clips: list[str]) -> None:
    table = home.questions(rows(clips))
    assert "3 requests added" in home.run("enqueue", table, "fake", "--limit", "3").stdout
    again = home.run("enqueue", table, "fake").stdout
    assert "goes on with run questions-8frame--fake--1" in again
    assert "6 requests added" in again
    assert "0 requests added" in home.run("enqueue", table, "fake").stdout
    assert "new run questions-8frame--fake--2" in home.run("enqueue", table, "fake", "--new").stdout
    assert home.run("enqueue", table, "fake", "--limit", "2").stdout.count("0 requests added") == 1


def test_a_worker_on_an_empty_redis_finds_its_work_in_the_rows(home: Home, clips: list[str]) -> None:
    home.run("enqueue", home.questions(rows(clips)), "fake")
    home.run("broker", "stop", expect=None)
    home.worker()
    assert home.wait()["done"] == 9


def test_run_does_everything_in_one_command_and_stops_what_it_started(home: Home, clips: list[str]) -> None:
    done = home.run("run", home.questions(rows(clips)), "fake", "--devices", "cpu*2")
    assert "100.0 %" in done.stdout
    assert "coverage: 9 of 9" in done.stdout
    assert list(home.folder.glob("outputs/fake/fake_questions_8frame.xlsx"))
    assert home.run("broker", "status", expect=3).stdout.startswith("no broker answers")
    states = home.run("status").stdout
    assert "cpu0" not in states
    assert "is finished: nothing to cancel" in home.run("cancel", "questions").stdout


def test_packs_are_asked_at_once_and_taken_apart(home: Home, clips: list[str]) -> None:
    asked = rows(clips, 6)
    for row in asked:
        row["fake_answer"] = json.dumps({str(r["index"]): r["answer"] for r in asked if r["video"] == row["video"]})
    done = home.run("run", home.questions(asked), "fake", "--pack", "--devices", "cpu:0")
    assert "3/3" in done.stdout or "100.0 %" in done.stdout
    read = read_export(next(home.folder.glob("outputs/fake/*_pack.xlsx")))
    assert [r["prediction"] for r in read] == [r["answer"] for r in asked]
    merged = home.run("merge", "questions").stdout
    assert "3 responses, 6 predictions, 6 scored" in merged
    assert "PARSE_OK" in merged


def test_what_a_pack_did_not_answer_is_asked_again_alone(home: Home, clips: list[str]) -> None:
    asked = [row | {"video": clips[0]} for row in rows(clips, 3)]
    asked[0]["fake_answer"] = '{"0": "B"}'
    home.run("run", home.questions(asked), "fake", "--pack", "--devices", "cpu:0")
    assert "2 requests will be tried again" in home.run("retry", "questions", "--unanswered").stdout
    home.worker()
    home.wait()
    home.run("export", "questions")
    read = read_export(next(home.folder.glob("outputs/fake/*_pack.xlsx")))
    assert [r["prediction"] for r in read] == ["B", asked[1]["fake_answer"], asked[2]["fake_answer"]]


def test_sigterm_drains_a_worker_and_nothing_is_lost(home: Home, clips: list[str]) -> None:
    asked = [row | {"latency_ms": 700} for row in rows(clips)]
    home.run("enqueue", home.questions(asked), "fake")
    first = home.worker()
    while not home.counts().done:
        time.sleep(0.1)
    first.send_signal(signal.SIGTERM)
    assert first.wait(timeout=60) == 0
    counts = home.counts()
    assert counts.running == 0 and counts.queued > 0
    home.worker()
    assert home.wait()["done"] == 9


def test_what_ends_the_dashboard_command_ends_the_dashboard(home: Home) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [BIN / "videval", "dashboard", "--port", str(port)]
    process = subprocess.Popen(command, env=home.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 90
        while not dashboard_answers(url):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.2)
        process.terminate()
        said, _ = process.communicate(timeout=30)
        assert f"dashboard at {url}" in said.decode()
        assert not dashboard_answers(url)
    finally:
        process.kill()
