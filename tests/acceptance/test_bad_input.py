"""What a user does wrong, and what goes wrong around them: a clear message, the right exit code, nothing lost."""

import contextlib
import json
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.acceptance.conftest import Home


def row(clips: list[str], **more: object) -> dict[str, object]:
    """One question."""
    return {"video": clips[0], "question": "What?", "A": "x", "B": "y", "answer": "A"} | more


def nothing_enqueued(home: Home) -> bool:
    """Whether no run has any request."""
    return all(s["counts"]["total"] == 0 for s in json.loads(home.run("status", "--json").stdout))


@pytest.mark.parametrize("gone", ["gone.mp4", f"{'long' * 80}.mp4"], ids=["gone", "longer-than-a-name-may-be"])
def test_a_missing_video_is_named_and_nothing_is_enqueued_unless_allowed(
    home: Home, clips: list[str], gone: str
) -> None:
    table = home.questions([row(clips), row(clips, video=gone)])
    done = home.run("enqueue", table, "fake", expect=3)
    assert gone in done.stderr and "--allow-missing" in done.stderr
    assert nothing_enqueued(home)
    said = home.run("enqueue", table, "fake", "--allow-missing")
    assert "1 question left out" in said.stderr
    home.worker()
    home.wait()
    assert "coverage: 1 of 2 questions (50.0 %)" in home.run("score", "questions").stdout


def test_unreadable_videos_are_failed_rows_with_their_reason_and_the_rest_is_answered(
    home: Home, clips: list[str]
) -> None:
    whole = (home.data / clips[0]).read_bytes()
    bad = {"empty.mp4": b"", "noise.mp4": b"\x00\x01" * 5000, "cut.mp4": whole[: len(whole) // 2], "text.mp4": b"hello"}
    for name, content in bad.items():
        (home.data / name).write_bytes(content)
    table = home.questions([row(clips), *(row(clips, video=name) for name in bad), row(clips)])
    home.run("enqueue", table, "fake")
    home.worker()
    counts = home.wait()
    assert counts["done"] == 2 and counts["failed"] == len(bad)
    said = home.run("errors", "questions").stdout
    assert "video" in said and "empty.mp4" in said
    assert home.run("export", "questions", expect=1).returncode == 1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "empty"),
        ('{"video": "a.mp4"}\n', "question"),
        ('{"video": "/etc/passwd", "question": "q"}\n', "line 1"),
        ('{"video": "../x.mp4", "question": "q"}\n', "line 1"),
        ('{"video": "a.mp4", "question": "q", "index": 1}\n{"video": "a.mp4", "question": "q", "index": 1}\n', "index"),
        ('{"video": "a.mp4", "question": "q", "start": 3, "end": 1}\n', "start"),
        ('{"video": "a.mp4", "question": "q", "candidates": "nope", "answer": "x"}\n', "candidates"),
        ("not json\n", "line 1"),
    ],
)
def test_a_malformed_table_is_refused_with_its_lines(home: Home, lines: str, message: str) -> None:
    path = home.data / "bad.jsonl"
    path.write_text(lines)
    done = home.run("enqueue", str(path), "fake", expect=2)
    assert message in done.stderr
    assert nothing_enqueued(home)


def test_letters_without_options_are_warned_of_and_options_of_another_name_refused(
    home: Home, clips: list[str]
) -> None:
    open_row = {"video": clips[0], "question": "Where? A. in B. out", "answer": "B"}
    assert "1 of 1 question(s) without options" in home.run("enqueue", home.questions([open_row]), "fake").stderr
    hidden = home.questions([open_row | {"ans_a": "in", "ans_b": "out"}], name="hidden.jsonl")
    assert "'ans_a', 'ans_b'" in home.run("enqueue", hidden, "fake", expect=2).stderr


def test_unknown_names_come_back_with_close_matches(home: Home, clips: list[str]) -> None:
    table = home.questions([row(clips)])
    assert "Video-LLaVA-7B" in home.run("enqueue", table, "Video-LLaVA-7b", expect=2).stderr
    assert "MVBench" in home.run("enqueue", "MVBnch_8frame", "fake", expect=2).stderr
    home.run("enqueue", table, "fake")
    assert "questions-8frame--fake--1" in home.run("score", "question-8frame--fake--1", expect=2).stderr


@pytest.mark.parametrize(
    "words", [["enqeue"], ["enqueue", "--frmes", "3"], ["enqueue", "x.tsv", "fake", "--frames", "x"], []]
)
def test_a_mistyped_command_is_a_usage_error_without_a_traceback(home: Home, words: list[str]) -> None:
    home.run(*words, expect=2)


def test_a_model_that_takes_eight_frames_refuses_sixteen_and_says_what_to_use(home: Home, clips: list[str]) -> None:
    done = home.run("enqueue", home.questions([row(clips)]), "Video-LLaVA-7B", "--frames", "16", expect=2)
    assert "exactly 8 frames" in done.stderr


def test_a_model_folder_without_weights_is_refused_before_anything_is_enqueued(home: Home, clips: list[str]) -> None:
    (home.folder / "ckpt").mkdir()
    done = home.run("enqueue", home.questions([row(clips)]), "video_llava:./ckpt", expect=3)
    assert "ckpt" in done.stderr
    assert nothing_enqueued(home)


def test_a_model_that_cannot_be_loaded_is_the_workers_failure_and_the_request_stays(
    home: Home, clips: list[str]
) -> None:
    home.run("enqueue", home.questions([row(clips)]), "fake")
    home.worker(VIDEVAL_FAKE_LOAD_FAULT="error")
    deadline = time.monotonic() + 60
    while "cannot be loaded" not in home.run("status").stdout and time.monotonic() < deadline:
        time.sleep(0.5)
    assert "cannot be loaded" in home.run("status").stdout
    assert home.status()["counts"]["queued"] == 1


def test_run_ends_with_the_reason_when_its_workers_cannot_load_the_model_again_and_again(
    home: Home, clips: list[str]
) -> None:
    home.environ["VIDEVAL_FAKE_LOAD_FAULT"] = "error"
    done = home.run("run", home.questions([row(clips)]), "fake", "--devices", "cpu:0", expect=3)
    assert "the fake model was asked not to load" in done.stderr
    assert home.status()["counts"]["queued"] == 1, "nothing is lost"


def test_an_unreachable_database_is_a_clear_error(home: Home, clips: list[str]) -> None:
    home.environ["VIDEVAL_DATABASE_URL"] = "postgresql+psycopg://u:secret@127.0.0.1:1/none"
    done = home.run("enqueue", home.questions([row(clips)]), "fake", expect=3)
    assert "127.0.0.1" in done.stderr and "secret" not in done.stderr
    assert "secret" not in home.run("doctor", expect=3).stdout


def test_a_schema_of_another_version_is_a_clear_error(home: Home, clips: list[str]) -> None:
    table = home.questions([row(clips)])
    home.run("enqueue", table, "fake")
    with contextlib.closing(sqlite3.connect(home.folder / "home/videval.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    done = home.run("enqueue", table, "fake", expect=3)
    assert "newer" in done.stderr
    worker = home.worker()
    assert worker.wait(timeout=60) == 3


def test_when_the_broker_is_gone_the_rows_stand_and_any_worker_sends_the_rest(home: Home, clips: list[str]) -> None:
    table = home.questions([row(clips, index=i) for i in range(5)])
    home.environ["VIDEVAL_BROKER_URL"] = "redis://127.0.0.1:1/0"
    done = home.run("enqueue", table, "fake", expect=3)
    assert "the rows stand" in done.stderr
    assert home.status()["counts"]["queued"] == 5
    del home.environ["VIDEVAL_BROKER_URL"]
    home.worker()
    assert home.wait()["done"] == 5


def test_an_incomplete_run_is_exported_only_on_demand(home: Home, clips: list[str]) -> None:
    home.run("enqueue", home.questions([row(clips)]), "fake")
    assert "--partial" in home.run("export", "questions", expect=4).stderr
    home.run("export", "questions", "--partial")


def test_a_full_disk_at_export_is_said_and_leaves_the_old_file(home: Home, clips: list[str]) -> None:
    home.run(
        "run", home.questions([row(clips, index=i, text="x" * 3000) for i in range(50)]), "fake", "--devices", "cpu:0"
    )
    path = next(home.folder.glob("outputs/fake/*.xlsx"))
    before = path.read_bytes()
    limited = (
        "import resource, signal, sys; from videval.cli import main; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); sys.argv = ['videval', 'export', 'questions']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited], env=home.environ, cwd=home.folder, capture_output=True, text=True
    )
    assert done.returncode == 3, done.stderr
    assert path.read_bytes() == before


def test_two_runs_in_one_home_at_once_both_end_complete(home: Home, clips: list[str]) -> None:
    tables = [home.questions([row(clips, index=i) for i in range(6)], name=f"t{k}.jsonl") for k in range(2)]
    command = [str(Path(sys.executable).parent / "videval"), "run"]
    both = [
        subprocess.Popen(
            [*command, table, "fake", "--devices", "cpu:0"],
            env=home.environ,
            cwd=home.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for table in tables
    ]
    said = [process.communicate(timeout=170)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], "\n".join(said) + home.logs()


def test_doctor_is_content_with_a_good_machine_and_names_what_is_bad(home: Home) -> None:
    assert "database" in home.run("doctor").stdout
    home.environ["VIDEVAL_DEVICES"] = "gpu7"
    assert "-> VIDEVAL_DEVICES is" in home.run("doctor", expect=3).stdout
