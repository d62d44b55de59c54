"""`videval compare`: who is better by the written rule, what flipped, what differs, and what cannot be compared."""

import json
from pathlib import Path

import pytest
from sqlalchemy import Connection

from tests.cli import Call, caller
from tests.seeding import Seed, new_database, seed_run, snapshot_of
from videval.metrics import Difference
from videval.suites.verdict import Evidence, Opinion, Rule, judge, worst


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs videval on a home with runs `table_8frame--good--1`, `--bad--2`, `--same--3`, `--half--4` on the same
    questions, and `--other--5`, `--none--6` on others."""
    database = new_database(tmp_path)
    first = seed_run(database, Seed(questions=400, done=400, right=80, model="good"))
    snapshot = snapshot_of(database, first)
    seed_run(database, Seed(questions=400, done=400, right=40, model="bad"), snapshot=snapshot)
    seed_run(database, Seed(questions=400, done=400, right=80, model="same"), snapshot=snapshot)
    seed_run(database, Seed(questions=400, done=200, right=80, model="half"), snapshot=snapshot)
    seed_run(database, Seed(questions=300, done=300, right=80, model="other"))
    seed_run(database, Seed(questions=400, done=0, model="none"), snapshot=snapshot)
    database.close()
    return caller(tmp_path, monkeypatch, capsys)


def run(name: str) -> str:
    numbers = {"good": 1, "bad": 2, "same": 3, "half": 4, "other": 5, "none": 6}
    return f"table_8frame--{name}--{numbers[name]}"


@pytest.mark.parametrize(
    ("a", "b", "code", "said"),
    [
        ("good", "bad", 0, "A is better than B: the interval +"),
        ("bad", "good", 1, "A is worse than B: the interval -"),
        ("good", "same", 0, "A is equal to B: no question was judged otherwise"),
        ("half", "good", 4, "cannot tell whether A is as good as B: A has answered 50.0 % of what it asks"),
        ("good", "none", 4, "B has answered 0.0 % of what it asks, and 95 % are needed"),
    ],
)
def test_the_exit_code_says_whether_a_is_as_good_as_b(call: Call, a: str, b: str, code: int, said: str) -> None:
    found = call("compare", run(a), run(b))
    assert found.code == code
    assert said in found.out


def worth_more_in_turns(home: Path, **runs: int) -> None:
    """Half of 60 wrong answers are worth something in one run, and half in the other."""
    number = "SELECT sample_id, row_number() OVER (ORDER BY sample_id) AS n FROM sample_scores"
    database = new_database(home)
    for parity, run_id in enumerate(runs.values()):
        chosen = f"SELECT sample_id FROM ({number} WHERE run_id = {run_id} AND value = 0) WHERE n % 2 = {parity}"
        more = f"UPDATE sample_scores SET value = 0.4 WHERE run_id = {run_id} AND sample_id IN ({chosen} AND n <= 60)"
        database.write(Connection.exec_driver_sql, more)
    database.close()


def test_values_that_only_cancel_out_are_not_called_equal(call: Call, tmp_path: Path) -> None:
    worth_more_in_turns(tmp_path, of_even=1, of_odd=3)  # "good" and "same"
    found = call("compare", run("good"), run("same"))
    assert (found.code, "judged otherwise" in found.out) == (4, False)
    assert "0 right only in A, 0 only in B" in found.out


def test_a_run_of_a_part_of_the_questions_is_said_to_be_one(call: Call) -> None:
    assert "200 of 400 questions are scored in both" in call("compare", run("half"), run("good")).err
    assert "questions are scored in both" not in call("compare", run("good"), run("bad")).err


def test_questions_of_another_snapshot_are_refused_with_what_differs(call: Call) -> None:
    found = call("compare", run("good"), run("other"))
    assert found.code == 2
    assert "cannot be compared; what differs:\n  number of questions: 400 and 300" in found.err
    assert "-> runs on the same questions: videval list runs" in found.err


def test_a_run_is_not_compared_with_itself(call: Call) -> None:
    found = call("compare", run("good"), run("good"))
    assert (found.code, found.out) == (2, "")
    assert "is compared with itself" in found.err


def test_an_unknown_run_is_answered_with_what_comes_close(call: Call) -> None:
    found = call("compare", run("good"), "table_8frame--bda--2")
    assert found.code == 2
    assert "did you mean table_8frame--bad--2" in found.err


def test_what_flipped_is_counted_and_listed_on_request(call: Call) -> None:
    plain = call("compare", run("good"), run("bad"))
    assert "right only in A, 0 only in B" in plain.out
    assert "What moves" not in plain.out
    listed = call("compare", run("good"), run("bad"), "--flipped", "3")
    assert sum("What moves in question" in line for line in listed.lines) == 3


def test_groups_and_cards_stand_below(call: Call) -> None:
    out = call("compare", run("good"), run("bad")).out
    assert "task_type: Action Sequence" in out
    assert "model.name" in out


def test_json_has_the_verdict_the_differences_and_what_flipped(call: Call) -> None:
    found = call("compare", run("bad"), run("good"), "--json", "--flipped", "2")
    said = json.loads(found.out)
    assert found.code == 1
    assert (said["verdict"], said["a"]["model"], said["flipped"]["only_a"]) == ("worse", "bad", 0)
    assert said["headline"]["difference"]["high"] < 0
    assert [s["right_in"] for s in said["flipped"]["samples"]] == ["B", "B"]
    assert {g["group"] for g in said["groups"]["task_type"]} >= {"State Change"}


def test_more_pairs_can_be_asked_for(call: Call) -> None:
    found = call("compare", run("good"), run("bad"), "--pairs", "401")
    assert found.code == 4
    assert "400 questions scored in both, and 401 are needed" in found.out


def evidence(low: float | None, high: float | None, *, n: int = 400, videos: int = 100) -> Evidence:
    mean = None if low is None or high is None else (low + high) / 2
    found = Difference(mean=mean, low=low, high=high, n=n, clusters=videos)
    return Evidence(difference=found, differs=True, answered_a=1.0, answered_b=1.0)


@pytest.mark.parametrize(
    ("found", "opinion"),
    [
        (evidence(0.001, 0.05), Opinion.BETTER),
        (evidence(-0.009, 0.05), Opinion.EQUAL),
        (evidence(-0.009, -0.001), Opinion.EQUAL),
        (evidence(-0.03, -0.001), Opinion.WORSE),
        (evidence(-0.03, 0.001), Opinion.UNCLEAR),
        (evidence(0.1, 0.2, n=99), Opinion.UNCLEAR),
        (evidence(0.1, 0.2, videos=9), Opinion.UNCLEAR),
        (evidence(None, None, videos=1), Opinion.UNCLEAR),
        (evidence(None, None, n=0, videos=0), Opinion.UNCLEAR),
    ],
)
def test_the_rule_is_as_it_is_written(found: Evidence, opinion: Opinion) -> None:
    assert judge(found, Rule()).opinion == opinion


def test_without_a_margin_only_better_or_the_same_passes() -> None:
    assert judge(evidence(-0.001, 0.05), Rule(margin=0.0)).opinion == Opinion.UNCLEAR
    assert judge(evidence(0.0, 0.05), Rule(margin=0.0)).opinion == Opinion.EQUAL


def test_of_several_the_worst_counts() -> None:
    better, equal, worse, unclear = Opinion.BETTER, Opinion.EQUAL, Opinion.WORSE, Opinion.UNCLEAR
    assert worst([better, equal]) == equal
    assert worst([better, unclear, equal]) == unclear
    assert worst([unclear, worse]) == worse
    assert worst([]) == unclear
