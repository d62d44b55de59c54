"""Where the time of a run went: gaps of devices and their causes, and the command that tells it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.seeding import Seed, new_database, seed_run
from videval.db import runs
from videval.db.answer_times import AnswerTimes
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


def gaps_of(*ways: AnswerTimes, ended: float) -> tuple[float, dict[Cause, float]]:
    found = worker_time("gpu0", ways, 0.0, ended)
    return found.busy_s, {cause: seconds for cause, seconds in found.gaps.items() if seconds}


def test_answers_that_are_generated_together_keep_a_device_busy_once() -> None:
    busy, gaps = gaps_of(way(0.0, 4.0), way(0.0, 4.0), way(2.0, 4.0), ended=6.0)
    assert busy == pytest.approx(6.0) and not gaps


def test_a_gap_is_put_down_to_what_the_next_request_was_doing_in_it() -> None:
    busy, gaps = gaps_of(way(0.0, 1.0), way(10.0, 1.0, decode=4.0, prepare=2.0, wait=1.0), ended=11.0)
    assert busy == pytest.approx(2.0)
    expected = {Cause.IDLE: 2.0, Cause.FRAMES: 4.0, Cause.PREPARE: 2.0, Cause.WAIT: 1.0}
    assert gaps == pytest.approx(expected)


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
