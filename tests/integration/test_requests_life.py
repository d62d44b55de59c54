"""The life of a request in the database: who may have it, who may write, what a death costs."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import func, select, text, update

from tests.questions import answer, database_time, identity, key_of, make_run, request_ids, row_of, take
from videval.db import plans, requests, runs, workers
from videval.db.session import Database, open_database
from videval.db.tables import AttemptRow, PredictionRow, RequestRow, ResponseRow, RunRow, SampleScoreRow
from videval.errors import (
    ApiFailure,
    ContextExceeded,
    DeadlineExceeded,
    ErrorKind,
    OutOfMemory,
    ProcessDied,
    VideoFailure,
)
from videval.types import RequestStatus, RunState, Stage

BROKEN = VideoFailure("v0.mp4: cannot be read")


@pytest.fixture
def request_id(database: Database, tmp_path: Path) -> int:
    return request_ids(database, make_run(database, tmp_path / "data"))[0]


def run_of(database: Database, request_id: int) -> int:
    return row_of(database, request_id).run_id


def attempts(database: Database, request_id: int) -> list:
    with database.read() as connection:
        query = select(*AttemptRow.__table__.c).where(AttemptRow.request_id == request_id).order_by(AttemptRow.attempt)
        return connection.execute(query).all()


def count(database: Database, table) -> int:
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def let_lease_run_out(database: Database, request_id: int) -> None:
    past = update(RequestRow).where(RequestRow.id == request_id).values(lease_expires_at=1.0)
    database.write(lambda c: c.execute(past))


def enter(database: Database, claim, stage: Stage) -> None:
    database.write(lambda c: requests.enter_stage(c, [(claim.request_id, claim.attempt)], stage))


def fail(database: Database, claim, error, *, delay=0.0, max_retries=5):
    pair = claim.request_id, claim.attempt
    return database.write(lambda c: requests.fail(c, *pair, error, delay=delay, max_retries=max_retries))


def strike(database: Database, claim, error=None):
    error = error or ProcessDied("the engine died")
    return database.write(lambda c: requests.strike(c, claim.request_id, claim.attempt, error))


def release(database: Database, claim, delay: float = 0.0) -> int:
    return database.write(lambda c: requests.release(c, [(claim.request_id, claim.attempt)], delay=delay))


# who may have it


def test_of_many_that_claim_at_once_one_gets_it(database, database_settings, request_id):
    others = [open_database(database_settings) for _ in range(5)]
    try:
        with ThreadPoolExecutor(5) as pool:
            claims = list(pool.map(lambda p: take(p[1], request_id, f"w{p[0]}"), enumerate(others)))
    finally:
        for opened in others:
            opened.close()
    assert sum(c is not None for c in claims) == 1
    assert row_of(database, request_id).attempt == 1


@pytest.mark.parametrize("state", [RunState.PAUSED, RunState.CREATING, RunState.CANCELLED])
def test_a_run_that_is_not_active_is_not_claimed(database, request_id, state):
    run_id = run_of(database, request_id)
    database.write(lambda c: runs.set_state(c, run_id, state))
    assert take(database, request_id) is None
    database.write(lambda c: runs.set_state(c, run_id, RunState.ACTIVE))
    assert take(database, request_id) is not None


def test_a_request_that_does_not_exist_is_not_claimed(database):
    assert take(database, 12345) is None


def test_a_worker_with_another_model_does_not_get_it(database, request_id):
    assert take(database, request_id, model="fake:other") is None
    assert row_of(database, request_id).attempt == 0


def test_the_first_claim_fixes_the_dtype_and_no_other_dtype_is_served(database, tmp_path):
    run_id = make_run(database, tmp_path / "data", 2)
    first, second = request_ids(database, run_id)
    assert take(database, first, dtype="bfloat16") is not None
    assert take(database, second, dtype="float32") is None
    assert take(database, second, dtype="bfloat16") is not None


def test_two_first_claims_at_once_with_two_dtypes_leave_one_dtype(database, database_settings, tmp_path):
    run_id = make_run(database, tmp_path / "data", 16)
    ids = request_ids(database, run_id)
    others = [open_database(database_settings) for _ in range(2)]
    try:
        with ThreadPoolExecutor(2) as pool:
            job = lambda p: [take(p[0], i, p[1], dtype=p[1]) for i in p[2]]  # noqa: E731
            plans = [(others[0], "float16", ids[::2]), (others[1], "float32", ids[1::2])]
            claims = [c for found in pool.map(job, plans) for c in found if c]
    finally:
        for opened in others:
            opened.close()
    with database.read() as connection:
        dtype = connection.execute(select(RunRow.dtype)).scalar_one()
    assert {attempts(database, c.request_id)[-1].worker_id for c in claims} == {dtype}


def test_a_first_claim_that_is_overtaken_by_another_dtype_is_given_back(database, database_settings, tmp_path):
    first, second = request_ids(database, make_run(database, tmp_path / "data", 2))
    other, entered, leave = open_database(database_settings), threading.Event(), threading.Event()

    def slowly(connection) -> None:
        me = identity("slow")
        assert requests.claim(connection, first, me, lease=60.0, load_key=key_of(), dtype="float16")
        entered.set()
        leave.wait(20)

    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(other.write, slowly)
        assert entered.wait(20)
        late = pool.submit(take, database, second, dtype="float32")
        threading.Timer(0.5, leave.set).start()
        slow.result(30)
        assert late.result(30) is None
    other.close()
    assert row_of(database, second).status == RequestStatus.QUEUED
    assert take(database, second, dtype="float16") is not None


def test_a_claim_tells_the_worker_all_it_needs(database, request_id):
    claim = take(database, request_id)
    assert (claim.attempt, claim.alone, claim.key) == (1, False, "sample:0")
    assert claim.run.load_key == key_of() and claim.samples[0].id == "0"
    assert attempts(database, request_id)[0].stage == Stage.CLAIMED


# who may write


def test_an_answer_is_stored_with_prediction_and_score_at_once(database, request_id):
    assert answer(database, take(database, request_id))
    assert row_of(database, request_id).status == RequestStatus.DONE
    assert [count(database, t) for t in (ResponseRow, PredictionRow, SampleScoreRow)] == [1, 1, 1]
    assert attempts(database, request_id)[0].outcome == "done"


def test_a_late_write_is_refused_and_the_successor_s_answer_stands(database, request_id):
    late = take(database, request_id)
    let_lease_run_out(database, request_id)
    successor = take(database, request_id, "w2")
    assert successor.attempt == 2
    assert not answer(database, late, "late")
    assert answer(database, successor, "on time")
    assert not answer(database, late, "later still")
    with database.read() as connection:
        assert connection.execute(select(ResponseRow.text)).scalars().all() == ["on time"]


def test_a_second_message_takes_nothing_from_whoever_holds_it_though_its_lease_ran_out(database, request_id):
    mine, other = take(database, request_id), identity("w2")
    let_lease_run_out(database, request_id)
    again = database.write(
        lambda c: requests.claim(c, request_id, other, lease=60.0, load_key=key_of(), dtype="float32")
    )
    assert again is None and answer(database, mine), "only reconcile gives up, and it knows when leases prove nothing"


def test_whoever_lost_its_lease_can_neither_fail_nor_strike_nor_release(database, request_id):
    late = take(database, request_id)
    let_lease_run_out(database, request_id)
    take(database, request_id, "w2")
    assert fail(database, late, BROKEN) is None
    assert strike(database, late) is None
    assert release(database, late) == 0
    row = row_of(database, request_id)
    assert (row.status, row.strikes, row.attempt) == (RequestStatus.RUNNING, 0, 2)


def test_an_answer_that_was_stored_but_not_heard_of_counts_as_stored(database, request_id):
    claim = take(database, request_id)
    assert answer(database, claim)
    assert answer(database, claim), "the connection broke after the commit, and the worker tries again"
    assert count(database, ResponseRow) == 1


def test_a_cancelled_request_refuses_the_answer_that_comes_late(database, request_id):
    claim = take(database, request_id)
    assert database.write(lambda c: runs.cancel(c, run_of(database, request_id))) == 1
    assert not answer(database, claim)
    assert (row_of(database, request_id).status, count(database, ResponseRow)) == (RequestStatus.CANCELLED, 0)


def test_an_answer_from_before_a_cancel_and_retry_is_refused_too(database, request_id):
    claim, run_id = take(database, request_id), run_of(database, request_id)
    database.write(lambda c: runs.cancel(c, run_id))
    assert database.write(lambda c: plans.retry(c, run_id)) == 1
    assert not answer(database, claim)
    assert take(database, request_id).attempt == 2


def test_a_lease_is_renewed_for_its_owner_and_the_others_hear_that_they_lost_it(database, tmp_path):
    first, second = request_ids(database, make_run(database, tmp_path / "data", 2))
    mine, lost = take(database, first), take(database, second)
    let_lease_run_out(database, second)
    take(database, second, "w2")
    before = row_of(database, first).lease_expires_at
    held = [(mine.request_id, mine.attempt), (lost.request_id, lost.attempt)]
    assert database.write(lambda c: requests.renew(c, held, 500.0)) == {(second, 1)}
    assert row_of(database, first).lease_expires_at > before + 300


def test_a_spooled_answer_is_taken_unless_somebody_succeeded_its_attempt(database, tmp_path):
    first, second = request_ids(database, make_run(database, tmp_path / "data", 2))
    given_up, succeeded = take(database, first), take(database, second)
    for request_id in (first, second):
        let_lease_run_out(database, request_id)
    database.write(requests.expire_leases)
    take(database, second, "w2")
    assert not answer(database, given_up)
    assert answer(database, given_up, resurrect=True)
    assert not answer(database, succeeded, resurrect=True)


# what a death costs


@pytest.mark.parametrize(
    ("stage", "strikes"),
    [(Stage.CLAIMED, 0), (Stage.DECODE, 1), (Stage.PREPARE, 0), (Stage.GENERATE, 1), (Stage.STORE, 0)],
)
def test_only_who_was_decoded_or_generated_when_its_worker_died_is_struck(database, request_id, stage, strikes):
    claim = take(database, request_id)
    if stage != Stage.CLAIMED:
        enter(database, claim, stage)
    let_lease_run_out(database, request_id)
    (expired,) = database.write(requests.expire_leases)
    row = row_of(database, request_id)
    assert (expired.struck, row.strikes, row.status, row.alone) == (bool(strikes), strikes, "queued", bool(strikes))
    assert attempts(database, request_id)[0].outcome == "lost"


def test_a_lease_that_still_holds_is_not_expired(database, request_id):
    take(database, request_id)
    assert database.write(requests.expire_leases) == []


def test_a_dead_worker_s_requests_are_back_at_once_and_nobody_else_s(database, tmp_path):
    first, second = request_ids(database, make_run(database, tmp_path / "data", 2))
    database.write(lambda c: workers.register(c, identity("dead")))
    take(database, first, "dead")
    take(database, second, "alive")
    expired = database.write(lambda c: requests.expire_workers(c, ["dead"]))
    assert [e.request_id for e in expired] == [first]
    assert row_of(database, second).status == RequestStatus.RUNNING


def test_waiting_in_killed_workers_never_fails_a_request(database, request_id):
    for _ in range(20):
        claim = take(database, request_id)
        enter(database, claim, Stage.PREPARE)
        let_lease_run_out(database, request_id)
        database.write(requests.expire_leases)
    row = row_of(database, request_id)
    assert (row.status, row.strikes, row.attempt) == (RequestStatus.QUEUED, 0, 20)


def test_max_attempts_strikes_make_it_poison_with_kind_crash(database, tmp_path):
    request_id = request_ids(database, make_run(database, tmp_path / "data", max_attempts=2))[0]
    assert strike(database, take(database, request_id)) == RequestStatus.QUEUED
    claim = take(database, request_id)
    assert claim.alone
    enter(database, claim, Stage.GENERATE)
    let_lease_run_out(database, request_id)
    (expired,) = database.write(requests.expire_leases)
    row = row_of(database, request_id)
    assert (expired.status, row.status, row.error_kind) == ("failed", "failed", ErrorKind.CRASH)
    assert "2 times" in row.error and take(database, request_id) is None


def test_a_hang_is_struck_with_kind_timeout(database, tmp_path):
    request_id = request_ids(database, make_run(database, tmp_path / "data", max_attempts=1))[0]
    assert strike(database, take(database, request_id), DeadlineExceeded("took too long")) == RequestStatus.FAILED
    assert row_of(database, request_id).error_kind == ErrorKind.TIMEOUT


def test_a_released_request_costs_nothing(database, request_id):
    assert release(database, take(database, request_id)) == 1
    row = row_of(database, request_id)
    assert (row.status, row.strikes, row.retries, row.alone) == ("queued", 0, 0, False)
    assert attempts(database, request_id)[0].outcome == "released"


def test_retry_resets_strikes_and_never_the_attempt(database, tmp_path):
    request_id = request_ids(database, make_run(database, tmp_path / "data", max_attempts=1))[0]
    late = take(database, request_id)
    strike(database, late)
    assert database.write(lambda c: plans.retry(c, run_of(database, request_id))) == 1
    row = row_of(database, request_id)
    assert (row.status, row.strikes, row.attempt, row.error) == ("queued", 0, 1, None)
    assert take(database, request_id).attempt == 2
    assert not answer(database, late)


def test_retry_by_kind_and_by_index_takes_only_those(database, tmp_path):
    run_id = make_run(database, tmp_path / "data", 3)
    broken, timed_out, _ = (take(database, i) for i in request_ids(database, run_id))
    fail(database, broken, BROKEN)
    database.write(lambda c: runs.set_state(c, run_id, RunState.ACTIVE))
    fail(database, timed_out, VideoFailure("v1.mp4: gone"))
    assert database.write(lambda c: plans.retry(c, run_id, kinds=[ErrorKind.CRASH])) == 0
    assert database.write(lambda c: plans.retry(c, run_id, indexes=["1"])) == 1
    assert database.write(lambda c: plans.retry(c, run_id, kinds=[ErrorKind.VIDEO])) == 1


# failures


def test_a_permanent_failure_ends_it_with_kind_and_message(database, request_id):
    assert fail(database, take(database, request_id), BROKEN) == RequestStatus.FAILED
    row = row_of(database, request_id)
    assert (row.error_kind, row.error) == (ErrorKind.VIDEO, "v0.mp4: cannot be read")
    assert count(database, ResponseRow) == 0


def test_too_long_a_prompt_fails_at_once_and_says_with_numbers_what_would_be_right(database, request_id):
    error = ContextExceeded.of(9000, 512, 8192)
    assert fail(database, take(database, request_id), error) == RequestStatus.FAILED
    row = row_of(database, request_id)
    assert row.error_kind == ErrorKind.CONTEXT
    assert "9000 tokens + 512 new ones are more than the 8192" in row.error and row.error.endswith(f"-> {error.hint}")


def test_a_passing_failure_waits_before_it_is_tried_again(database, request_id):
    assert fail(database, take(database, request_id), ApiFailure("429"), delay=3600) == RequestStatus.QUEUED
    assert take(database, request_id) is None
    past = update(RequestRow).where(RequestRow.id == request_id).values(available_at=1.0)
    database.write(lambda c: c.execute(past))
    assert take(database, request_id).retries == 1


def test_passing_failures_come_to_an_end(database, request_id):
    for _ in range(2):
        assert fail(database, take(database, request_id), ApiFailure("503"), max_retries=2) == RequestStatus.QUEUED
    assert fail(database, take(database, request_id), ApiFailure("503"), max_retries=2) == RequestStatus.FAILED
    assert row_of(database, request_id).error_kind == ErrorKind.API


def test_out_of_memory_is_tried_once_more_alone_and_then_fails(database, request_id):
    assert fail(database, take(database, request_id), OutOfMemory("12 GiB asked, 3 free")) == RequestStatus.QUEUED
    claim = take(database, request_id)
    assert claim.alone
    assert fail(database, claim, OutOfMemory("12 GiB asked, 3 free")) == RequestStatus.FAILED
    assert "12 GiB" in row_of(database, request_id).error


def test_every_attempt_has_a_row_that_says_how_it_ended(database, request_id):
    release(database, take(database, request_id))
    strike(database, take(database, request_id))
    fail(database, take(database, request_id), ApiFailure("429"))
    answer(database, take(database, request_id))
    rows = attempts(database, request_id)
    assert [r.outcome for r in rows] == ["released", "requeued", "requeued", "done"]
    assert [r.attempt for r in rows] == [1, 2, 3, 4] and all(r.finished_at for r in rows)


def test_the_database_s_clock_has_fractions_and_is_now(database):
    with database.read() as connection:
        times = [database_time(connection) for _ in range(3)]
        connection.execute(text("SELECT 1"))
    assert abs(times[0] - time.time()) < 5 and any(t % 1 for t in times)
