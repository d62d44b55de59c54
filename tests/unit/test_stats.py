"""Where the time of a run went: gaps of devices and their causes, and the command that tells it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli import caller
from tests.seeding import Seed, add_endpoint, new_database, seed_run
from videval.db import runs
from videval.db.answer_times import AnswerTimes, TryInVain
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.report.spent import Cause, Spent, WorkerTime, spent_of_run, worker_time
from videval.types import AttemptOutcome


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = new_database(tmp_path)
    yield made
    made.close()


def way(
    began: float, generate: float, *, decode: float = 0.0, prepare: float = 0.0, wait: float = 0.0, claimed: float = 0.0
) -> AnswerTimes:
    """An answer whose generation began at a moment, with what came before it."""
    return AnswerTimes(
        worker="gpu0",
        claimed_at=claimed,
        stored_at=began + generate,
        decode_s=decode,
        prepare_s=prepare,
        wait_s=wait,
        generate_s=generate,
        store_s=0.0,
        clips=1,
        decoded=None,
        prompt_tokens=None,
        cached_tokens=None,
    )


def gaps_of(*ways: AnswerTimes, ended: float, tries: Sequence[TryInVain] = ()) -> tuple[float, dict[Cause, float]]:
    found = worker_time("gpu0", ways, 0.0, ended, tries)
    return found.busy_s, {cause: seconds for cause, seconds in found.gaps.items() if seconds}


def test_answers_that_are_generated_together_keep_a_device_busy_once() -> None:
    busy, gaps = gaps_of(way(0.0, 4.0), way(0.0, 4.0), way(2.0, 4.0), ended=6.0)
    assert busy == pytest.approx(6.0) and not gaps


def test_a_gap_is_put_down_to_what_the_next_request_was_doing_in_it() -> None:
    busy, gaps = gaps_of(way(0.0, 1.0), way(10.0, 1.0, decode=4.0, prepare=2.0, wait=1.0), ended=11.0)
    assert busy == pytest.approx(2.0)
    expected = {Cause.IDLE: 2.0, Cause.FRAMES: 4.0, Cause.PREPARE: 2.0, Cause.WAIT: 1.0}
    assert gaps == pytest.approx(expected)


def in_vain(
    began: float, ended: float, outcome: str = "requeued", *, kind: str = "api", worker: str = "gpu0"
) -> TryInVain:
    return TryInVain(
        worker=worker, outcome=AttemptOutcome(outcome), kind=kind, started_at=began, ended_at=ended
    )  # fmt: skip


def test_a_gap_in_which_an_endpoint_failed_is_put_down_to_it_from_then_on_whoever_asked() -> None:
    tries = [in_vain(4.0, 4.1, worker="api1"), in_vain(6.0, 6.1)]
    _, gaps = gaps_of(way(0.0, 1.0), way(10.0, 1.0, decode=1.0, wait=2.0), ended=11.0, tries=tries)
    assert gaps == pytest.approx({Cause.IDLE: 3.0, Cause.ENDPOINT: 3.0, Cause.FRAMES: 1.0, Cause.WAIT: 2.0})
    waits = [in_vain(4.0, 9.0)]
    _, gaps = gaps_of(way(0.0, 1.0), way(10.0, 1.0, wait=9.0), ended=11.0, tries=waits)
    assert gaps == pytest.approx({Cause.WAIT: 3.0, Cause.ENDPOINT: 6.0})
    _, gaps = gaps_of(way(10.0, 1.0), ended=11.0, tries=waits)
    assert gaps == pytest.approx({Cause.START: 4.0, Cause.ENDPOINT: 6.0})


def test_a_gap_that_began_with_requests_that_were_given_back_is_put_down_to_that() -> None:
    """As all are when a run is halted."""
    back = in_vain(0.5, 2.0, "released", kind="")
    _, gaps = gaps_of(way(0.0, 1.0), way(60.0, 1.0), ended=61.0, tries=[back])
    assert gaps == pytest.approx({Cause.BACK: 59.0})


@pytest.mark.parametrize(
    "other",
    [
        in_vain(2.0, 3.0, "failed", kind="video"),
        in_vain(2.0, 3.0, "released", kind="", worker="gpu1"),
        in_vain(0.2, 0.9),
        in_vain(10.5, 10.7),
    ],
    ids=["of a video", "of another worker", "before", "after"],
)
def test_what_else_failed_keeps_no_device_from_generating(other: TryInVain) -> None:
    _, gaps = gaps_of(way(0.0, 1.0), way(10.0, 1.0), ended=11.0, tries=[other])
    assert gaps == pytest.approx({Cause.IDLE: 9.0})


def test_of_a_run_at_an_endpoint_waiting_is_its_budget() -> None:
    gaps = {Cause.WAIT: 5.0}
    spent = Spent(answers=9, ended_at=10.0, workers=(WorkerTime(worker="a", answers=9, busy_s=5.0, gaps=gaps),))
    assert "VIDEVAL_BATCH_SIZE" in spent.in_words[1]
    what, helps = replace(spent, endpoint="lab").in_words
    assert "the endpoint's budget" in what and "[endpoints.lab]" in helps


def test_what_took_less_than_seconds_is_told_in_hundredths(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VIDEVAL_HOME", str(tmp_path))
    run = info(database, seed_run(database, Seed(questions=8, done=8, seconds=0.4)))
    database.write(lambda c: c.exec_driver_sql("UPDATE responses SET generate_s = 0.02, decode_s = 0.01"))
    said = caller(tmp_path, monkeypatch, capsys)("stats", run.name).out
    assert re.search(r"8 answers in \d\.\d\d s", said) and " 0 s" not in said


def test_a_halted_run_says_why_whether_something_is_answered_or_not(database: Database) -> None:
    for done in (0, 30):
        run_id = seed_run(database, Seed(questions=40, done=done))
        database.write(runs.halt, run_id, "lab does not accept the key (401) -> export LAB_KEY=...")
        spent = spent_of_run(database, info(database, run_id))
        assert spent.held_up.startswith("halted: lab does not accept the key (401)")
        assert (spent.in_words[0] == spent.held_up) is (done == 0)


def test_a_run_whose_endpoint_is_away_says_so(database: Database) -> None:
    run_id = seed_run(database, Seed(questions=4, done=0, card={"endpoint": {"name": "lab"}}))
    add_endpoint(database, state="paused", message="10 failures in a row")
    assert spent_of_run(database, info(database, run_id)).in_words == ("endpoint lab: paused: 10 failures in a row", "")


def test_what_was_got_ready_while_the_device_worked_costs_nothing() -> None:
    _, gaps = gaps_of(way(0.0, 5.0), way(6.0, 1.0, decode=4.0, prepare=1.0, wait=0.5), ended=7.0)
    assert gaps == pytest.approx({Cause.PREPARE: 0.5, Cause.WAIT: 0.5})


def test_the_time_before_the_first_answer_is_the_start_and_after_the_last_one_the_tail() -> None:
    _, gaps = gaps_of(way(3.0, 1.0, decode=2.0), ended=10.0)
    assert gaps == pytest.approx({Cause.START: 3.0, Cause.TAIL: 6.0})


def test_all_seconds_of_a_worker_are_busy_or_have_a_cause() -> None:
    busy, gaps = gaps_of(
        way(2.0, 1.5, decode=1.0, wait=0.25), way(2.5, 3.0, prepare=9.0), way(9.0, 0.5, decode=1.0), ended=12.0
    )
    assert busy + sum(gaps.values()) == pytest.approx(12.0)


def test_the_largest_cause_is_said_with_what_helps_and_none_where_devices_were_busy() -> None:
    slow = Spent(answers=9, ended_at=10.0, workers=(WorkerTime(worker="a", answers=9, busy_s=6.0, gaps={}),))
    assert "busy for 60.0 %" in slow.in_words[0] and not slow.in_words[1]
    gaps = {Cause.FRAMES: 3.0, Cause.TAIL: 1.0}
    held = Spent(answers=9, ended_at=10.0, workers=(WorkerTime(worker="a", answers=9, busy_s=6.0, gaps=gaps),))
    what, helps = held.in_words
    assert what.startswith("30.0 % of the devices' time") and "frames" in what and "VIDEVAL_DECODERS" in helps
    assert held.limit_s == pytest.approx(6.0)


def info(database: Database, run_id: int) -> RunInfo:
    with database.read() as connection:
        return next(r for r in runs.list_runs(connection) if r.run_id == run_id)


def test_a_run_is_told_from_its_rows(database: Database) -> None:
    run = info(database, seed_run(database, Seed(questions=40, done=30, failed=4, seconds=100.0)))
    spent = spent_of_run(database, run)
    assert spent.answers == spent.clips == 30 and [w.worker for w in spent.workers] == ["gpu0@host"]
    assert spent.in_vain == {AttemptOutcome.FAILED: 4}
    assert spent.decoded is None and spent.reused is None
    assert sum(spent.lost.values()) + spent.busy == pytest.approx(1.0)


def test_a_run_without_answers_says_so(database: Database) -> None:
    spent = spent_of_run(database, info(database, seed_run(database, Seed(questions=4, done=0))))
    assert spent == Spent() and spent.in_words == ("nothing is answered yet", "")
    assert spent.busy == 0.0 and spent.lost == dict.fromkeys(Cause, 0.0)


def test_decodes_and_reused_prefixes_are_counted(database: Database) -> None:
    run = info(database, seed_run(database, Seed(questions=8, done=8)))
    database.write(
        lambda c: c.exec_driver_sql("UPDATE responses SET decoded = request_id % 2, cached_tokens = prompt_tokens / 2")
    )
    spent = spent_of_run(database, run)
    assert spent.decoded == 4 and spent.reused == pytest.approx(0.5)
