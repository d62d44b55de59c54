"""`docs/suites.md` as it stands: lists and a suite's file with real workers and clips, then compared and gated."""

import json
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import BIN, Home
from tests.trees import clip
from videval.db.session import open_database
from videval.errors import DatabaseUnavailable
from videval.export import read_export
from videval.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "suites.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
VIDEOS = 12


def blocks(kind: str) -> list[str]:
    """The page's examples of a kind."""
    return [body for found, body in BLOCK.findall(PAGE.read_text(encoding="utf-8")) if found == kind]


def lay_out(home: Home) -> None:
    """The files that the page's commands name."""
    for number in range(VIDEOS):
        (home.folder / f"v{number}.mp4").write_bytes(clip())
    for name, count in (("animals", 120), ("cars", 24)):
        rows = [
            {"index": i, "video": f"v{i % VIDEOS}.mp4", "question": f"{name} {i}?", "A": "x", "B": "y", "answer": "A"}
            for i in range(count)
        ]
        (home.folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (suite,) = blocks("toml")
    (home.folder / "suite.toml").write_text(suite)


@pytest.mark.slow
def test_the_page_is_true_from_its_first_command_to_its_last(home: Home) -> None:
    lay_out(home)
    said = {}
    for line in "".join(blocks("console")).splitlines():
        command, _, code = line.removeprefix("$ ").partition("  # exit code ")
        words = command.split()
        assert words[0] == "videval"
        said[command] = home.run(*words[1:], expect=int(code or 0)).stdout
    crossed, dry, ran, score, _, beside, *_, gate, undecided = said.values()
    assert crossed.count("rows -> ") == 4 and crossed.splitlines()[-1].startswith("fake_server-4 ")
    assert re.search(r"^fake +animals_4frame +120 +0 ", dry, re.MULTILINE), "another length of answers is another run"
    assert ran.count("rows -> ") == 3 and "not finished" not in score
    assert "A is equal to B: no question was judged otherwise" in beside
    assert gate.splitlines()[-1] == "GO"
    found = json.loads(undecided)
    assert found["decision"] == "cannot tell"
    assert {run["variant"]: run["verdict"] for run in found["runs"]} == {
        "animals_4frame": "equal",
        "cars_4frame": "cannot tell",
    }


def test_one_worker_loads_each_model_once_and_every_pair_has_its_file(home: Home) -> None:
    lay_out(home)
    lists = ["--data", "animals.jsonl", "cars.jsonl", "--model", "fake", "fake_server:4", "--frames", "2"]
    home.run("run", *lists, "--devices", "cpu:0")
    assert query(home, "SELECT loads FROM workers") == [2]
    files = sorted(path.stem for path in home.folder.glob("outputs/*/*.xlsx"))
    assert files == [f"{m}_{d}_2frame" for m in ("fake", "fake_server-4") for d in ("animals", "cars")]
    assert len(read_export(home.folder / "outputs/fake/fake_cars_2frame.xlsx")) == 24
    again = home.run("run", *lists, "--devices", "cpu:0", "--mode", "infer", "--reuse").stdout
    assert again.count("were answered before") == 4 and "rows -> " not in again


def query(home: Home, statement: str) -> list[Any]:
    """The first column of what the database says."""
    database = open_database(Settings(home=Path(home.environ["VIDEVAL_HOME"]), _env_file=None), read_only=True)  # type: ignore[call-arg]
    try:
        with database.read() as connection:
            return [row[0] for row in connection.exec_driver_sql(statement)]
    finally:
        database.close()


def test_the_worst_run_decides_the_exit_code_and_the_others_are_whole(home: Home) -> None:
    lay_out(home)
    (home.folder / "cut.jsonl").write_text(
        '{"index": 1, "video": "v0.mp4", "question": "What?", "answer": "x", "fake_fault": "error"}\n'
    )
    lists = ["run", "--data", "cut.jsonl", "cars.jsonl", "--model", "fake", "--frames", "4"]
    done = home.run(*lists, "--devices", "cpu:0", expect=1)
    assert "failed: videval errors cut-4frame--fake--1" in done.stdout
    assert "24 rows -> " in done.stdout
    there = home.run(
        "run", "--data", "cut.jsonl", "cars.jsonl", "--model", "fake", "--frames", "4", "--mode", "eval", expect=1
    )
    assert "24 rows -> " in there.stdout


def test_what_is_wrong_with_the_last_run_is_found_before_the_first_begins(home: Home) -> None:
    lay_out(home)
    (home.folder / "lost.jsonl").write_text('{"index": 1, "video": "gone.mp4", "question": "What?", "answer": "x"}\n')
    done = home.run("run", "--data", "cars.jsonl", "lost.jsonl", "--model", "fake", "--devices", "cpu:0", expect=3)
    assert "gone.mp4" in done.stderr
    assert home.run("list", "runs").stdout.startswith("no runs")


def test_a_suite_that_is_enqueued_is_answered_by_a_bare_worker(home: Home) -> None:
    lay_out(home)
    said = home.run("enqueue", "suite.toml", "--limit", "10").stdout
    assert "30 messages sent; answer with: celery -A workers worker" in said
    home.worker()
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and answered(home) < 30:
        time.sleep(0.3)
    table = home.run("score", "suite.toml").stdout
    assert "*" not in table and "%" in table, "a trial of ten questions each is finished"


def test_lists_that_are_stopped_go_on_where_they_were(home: Home) -> None:
    lay_out(home)
    rows = [
        {"index": i, "video": f"v{i % VIDEOS}.mp4", "question": "What?", "answer": "A", "latency_ms": 150}
        for i in range(40)
    ]
    home.folder.joinpath("slow.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    lists = ["run", "--data", "slow.jsonl", "cars.jsonl", "--model", "fake", "fake_server:2", "--devices", "cpu:0"]
    home.environ["VIDEVAL_BATCH_SIZE"] = "2"
    started = subprocess.Popen(
        [BIN / "videval", *lists],
        env=home.environ,
        cwd=home.folder,
        stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # which a shell's background job ignores
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not answered(home):
            time.sleep(0.2)
        started.send_signal(signal.SIGINT)
        said, _ = started.communicate(timeout=120)
    finally:
        started.kill()
    assert started.returncode == 130 and b"the same command goes on" in said
    before = answered(home)
    assert 0 < before < 128
    home.run(*lists)
    assert answered(home) == 128
    assert query(home, "SELECT count(*) FROM attempts WHERE outcome = 'done'") == [128], "none was answered twice"


def answered(home: Home) -> int:
    """How many answers are stored; none before there are tables."""
    try:
        return int(query(home, "SELECT count(*) FROM responses")[0])
    except DatabaseUnavailable:
        return 0
