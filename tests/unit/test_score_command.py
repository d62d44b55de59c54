"""What `videval score` and `videval errors` print of a run: metrics, videos, and an error without a headline."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.seeding import Seed, new_database, seed_run
from videval.benchmarks.table import TableBenchmark
from videval.cli import main
from videval.metrics import Detection, GroupMean, Mean, Rating

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """Runs a command on a home with one half-finished run; returns exit code, stdout and stderr."""
    database = new_database(tmp_path)
    seed_run(database, Seed(done=20, failed=9))
    database.close()
    monkeypatch.setenv("VIDEVAL_HOME", str(tmp_path))
    monkeypatch.setenv("VIDEVAL_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["videval", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, err

    return run


def test_a_benchmark_that_vlmevalkit_does_not_rate_gets_the_error_only(say: Say) -> None:
    code, out, err = say("score", "table_8frame--fake--1", "--protocol", "vlmevalkit")
    assert (code, out) == (2, "")
    assert "VLMEvalKit has no rule for table without a judge" in err
    assert "-> videval score table_8frame--fake--1" in err


def test_the_score_says_how_many_videos_it_is_of(say: Say) -> None:
    code, out, _ = say("score", "table_8frame--fake--1")
    assert code == 0
    assert "videos" in out.split("\n")[0]
    assert "coverage: 20 of 100 questions (20.0 %) in 5 of 25 videos" in out
    assert "the interval is wide: it counts videos, not questions, and these answers are about 5 videos" in out
    assert "mean of the task_type scores: " in out


def test_of_a_run_that_is_answered_in_part_it_is_said_that_the_longest_come_first(say: Say) -> None:
    said = "71 of 100 requests not answered: what may take longest is asked first"
    assert said in say("score", "table_8frame--fake--1")[1]
    say("cancel", "table_8frame--fake--1")
    assert said in say("score", "table_8frame--fake--1")[1], "and so it stays"


def test_what_a_page_declares_stands_below_the_table(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = (
        Mean(),
        GroupMean(column="task_type", name="M-Avg"),
        Detection(column="task_type", negative="Action Sequence"),
    )
    monkeypatch.setattr(TableBenchmark, "metrics", metrics)
    _, out, _ = say("score", "table_8frame--fake--1")
    head = next(line for line in out.split("\n") if "F1" in line)
    assert " ".join(head.split()) == "by task_type, Action Sequence videos as negatives precision recall F1"
    assert re.search(r"M-Avg: [\d.]+ % \([\d.]+ % to [\d.]+ %\), mean of the task_type scores", out)
    assert "mean of the task_type scores: " not in out


def test_a_rating_is_shown_as_the_rating_that_it_is(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TableBenchmark, "metrics", (Rating(),))
    _, out, _ = say("score", "table_8frame--fake--1")
    assert "rating" in out.split("\n")[0]
    assert re.search(r"overall +\d\.\d\d of 5 +\d\.\d\d of 5 to \d\.\d\d of 5 +20 ", out)
    assert "%" not in out.split("coverage")[0].split("\n", 1)[1]


def test_failures_name_their_videos(say: Say) -> None:
    _, out, _ = say("errors", "table_8frame--fake--1")
    assert "3 videos: clip5.mp4 (4), clip6.mp4 (4), clip7.mp4 (1)" in out
