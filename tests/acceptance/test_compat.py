"""The call that VLMEvalKit's documentation shows, as it stands there; and as people run and break it."""

import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from tests.acceptance.conftest import Home
from tests.trees import tree
from videval.db import workers
from videval.db.session import open_database
from videval.errors import VidevalError
from videval.settings import Settings

REPOSITORY = Path(__file__).parents[2]
AS_DOCUMENTED = """
from videval.compat import build_dataset, infer_data_job_video

dataset = build_dataset("MVBench_8frame")
model = infer_data_job_video(
    model="Video-LLaVA-7B", work_dir="./results", model_name="Video-LLaVA-7B", dataset=dataset,
    result_file_name="Video-LLaVA-7B_MVBench_8frame.xlsx", verbose=False, api_nproc=4, use_vllm=False,
)
"""
WITH_AN_OBJECT = """
import os, sys, time
from videval.compat import build_dataset, infer_data_job_video


class Mine:
    def generate(self, message, dataset=None):
        time.sleep(float(sys.argv[1]))
        with open("said.txt", "a") as said:  # one write: what is in it was generated to the end
            said.write(message[-3]["value"].splitlines()[0] + "\\n")
        return "(A)"


dataset = build_dataset("MVBench_8frame")
model = infer_data_job_video(
    model=Mine(), work_dir="./results", model_name="Mine", dataset=dataset, result_file_name="mine.xlsx"
)
assert isinstance(model, Mine)
"""


def the_7b(home: Home) -> None:
    """A hub cache in which Video-LLaVA-7B is the tiny one."""
    repository = home.folder / "hub" / "models--LanguageBind--Video-LLaVA-7B-hf"
    shutil.copytree(REPOSITORY / "videval" / "models" / "tiny", repository / "snapshots" / "abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    home.environ["HF_HUB_CACHE"] = str(home.folder / "hub")


@pytest.fixture
def ready(home: Home) -> Home:
    """A home with a generated MVBench."""
    tree("MVBench", home.folder / "benchmarks" / "MVBench")
    home.environ |= {"VIDEVAL_DATA_ROOT": str(home.folder / "benchmarks"), "VIDEVAL_DEVICES": "cpu"}
    return home


def start(home: Home, script: str, *args: str, **environ: str) -> subprocess.Popen[str]:
    path = home.folder / "script.py"
    path.write_text(script)
    return subprocess.Popen(
        [sys.executable, str(path), *args],
        env=home.environ | environ,
        cwd=home.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(*calls: subprocess.Popen[str]) -> str:
    """What calls said that must end well."""
    said = ""
    for call in calls:
        output, _ = call.communicate(timeout=120)
        assert call.returncode == 0, output
        said += output
    return said


def result(home: Home, name: str) -> pd.DataFrame:
    return pd.read_excel(home.folder / "results" / name, keep_default_na=False)


def said(home: Home) -> Counter[str]:
    """How often each question was generated to the end."""
    return Counter((home.folder / "said.txt").read_text().splitlines())


def kill(*calls: subprocess.Popen[str]) -> None:
    for call in calls:
        call.send_signal(signal.SIGKILL)
    for call in calls:
        call.communicate()


def test_the_documented_example_runs_as_it_stands_and_a_second_time_at_once(ready: Home) -> None:
    the_7b(ready)
    ended(start(ready, AS_DOCUMENTED))
    table = result(ready, "Video-LLaVA-7B_MVBench_8frame.xlsx")
    assert len(table) == 40 and list(table.columns)[-1] == "prediction" and all(table["prediction"])
    run = ready.status()
    began = time.monotonic()
    ended(start(ready, AS_DOCUMENTED))
    assert time.monotonic() - began < 60 and ready.status()["run"] == run["run"]
    assert "overall" in ready.run("score", run["run"], "--protocol", "vlmevalkit").stdout


def test_the_documented_example_runs_with_an_object_without_any_broker(ready: Home) -> None:
    ended(start(ready, WITH_AN_OBJECT, "0"))
    assert list(result(ready, "mine.xlsx")["prediction"]) == ["(A)"] * 40
    assert set(said(ready).values()) == {1} and len(said(ready)) == 40
    assert not list(ready.folder.rglob("redis.sock")) and "MVBench_8frame" in ready.run("score", "mvbench").stdout


def test_two_ranks_are_killed_and_restarted_and_share_the_rest(ready: Home) -> None:
    ranks = [{"RANK": str(n), "LOCAL_RANK": str(n), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"} for n in range(2)]
    first = [start(ready, WITH_AN_OBJECT, "0.3", **rank) for rank in ranks]
    wait_for(ready, 6)
    kill(*first)
    before = sum(said(ready).values())
    assert before < 40 and not (ready.folder / "results" / "mine.xlsx").exists()
    ended(*(start(ready, WITH_AN_OBJECT, "0.02", **rank) for rank in ranks))
    assert len(result(ready, "mine.xlsx")) == 40 and all(result(ready, "mine.xlsx")["prediction"])
    once(ready, lives=2)


def test_ranks_go_on_when_rank_0_dies(ready: Home) -> None:
    ranks = [{"RANK": str(n), "LOCAL_RANK": str(n), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"} for n in range(2)]
    zero, one = (start(ready, WITH_AN_OBJECT, "0.15", **rank) for rank in ranks)
    wait_for(ready, 4)
    kill(zero)
    ended(one)
    assert len(result(ready, "mine.xlsx")) == 40
    once(ready, lives=2)


def test_two_ranks_of_a_model_by_name_are_killed_and_restarted(ready: Home) -> None:
    the_7b(ready)
    ready.environ |= {"VIDEVAL_DEVICES": "cpu*2", "VIDEVAL_HEARTBEAT": "1"}
    ranks = [{"RANK": str(n), "LOCAL_RANK": str(n), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"} for n in range(2)]
    first = [start(ready, AS_DOCUMENTED, **rank) for rank in ranks]
    deadline = time.monotonic() + 60
    while not answered(ready):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    kill(*first)
    ended(*(start(ready, AS_DOCUMENTED, **rank) for rank in ranks))
    table = result(ready, "Video-LLaVA-7B_MVBench_8frame.xlsx")
    assert len(table) == 40 and all(table["prediction"])
    assert ready.counts().failed == 0


def answered(home: Home) -> int:
    """How many answers its newest run has; 0 while there is none."""
    try:
        return home.counts().done
    except (VidevalError, IndexError):
        return 0


def test_a_call_that_is_killed_at_random_moments_asks_each_question_once(ready: Home) -> None:
    killed(ready, times=3)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_call_that_is_killed_ten_times_asks_each_question_once(ready: Home) -> None:
    killed(ready, times=10)


def killed(home: Home, times: int) -> None:
    """Kill a call so many times at random moments; then it ends well."""
    chance = random.Random(4)
    for _ in range(times):
        call = start(home, WITH_AN_OBJECT, "0.1")
        time.sleep(chance.uniform(0.5, 4.0))
        kill(call)
    ended(start(home, WITH_AN_OBJECT, "0.02"))
    assert list(result(home, "mine.xlsx")["prediction"]) == ["(A)"] * 40
    once(home, lives=times)


def loads(home: Home) -> int:
    """How often workers of its fleets loaded a model."""
    database = open_database(Settings(home=Path(home.environ["VIDEVAL_HOME"])), read_only=True)
    with database.read() as connection:
        found = sum(worker.loads for worker in workers.list_workers(connection))
    database.close()
    return found


def wait_for(home: Home, count: int) -> None:
    """Until so many questions were generated."""
    deadline = time.monotonic() + 60
    while not (home.folder / "said.txt").exists() or sum(said(home).values()) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def once(home: Home, *, lives: int) -> None:
    """Each question was generated, and none again, but for what a life had said and not yet written down when it was
    killed: one question each."""
    assert len(said(home)) == 40
    assert sum(said(home).values()) - 40 <= lives, said(home)
    assert max(said(home).values()) <= 2


def test_the_page_for_users_of_vlmevalkit_runs_from_top_to_bottom(ready: Home) -> None:
    the_7b(ready)
    page = (REPOSITORY / "docs" / "vlmevalkit.md").read_text()
    script = "\n".join(re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    assert script.startswith("from videval.compat import")
    output = ended(start(ready, script))
    assert "40" in output  # the rating that the page prints
    assert loads(ready) == 1  # of two calls with the model by its name
    assert len(pd.read_csv(ready.folder / "results" / "first_four.tsv", sep="\t")) == 4
    assert result(ready, "mine.xlsx")["prediction"][0].startswith("(A) of 8 images")
    assert [row["prediction"] for row in json.loads((ready.folder / "results" / "clips.json").read_text())] == [
        "(A) of 0 images, 14 letters, MyClips",
        "(A) of 0 images, 12 letters, MyClips",
    ]
