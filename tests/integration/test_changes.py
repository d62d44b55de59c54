"""pause, resume, cancel, retry: what each does to a run in each state, on each back end, also when two act at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select, update

from tests.questions import answer, identity, key_of, make_run, request_ids, take
from tests.servers import wait_for
from videval.changes import Changed, cancel, pause, resume, retry
from videval.db import requests, runs
from videval.db.records import RunInfo
from videval.db.session import Database, open_database
from videval.db.tables import AttemptRow, RunRow
from videval.errors import UsageError, VideoFailure
from videval.report import run_status
from videval.runs import find
from videval.types import AttemptOutcome, RunState

BROKEN = VideoFailure("cannot be read")
VERBS = {"pause": pause, "resume": resume, "cancel": cancel}


def info(database: Database, run_id: int) -> RunInfo:
    with database.read() as connection:
        return next(r for r in runs.list_runs(connection) if r.run_id == run_id)


def set_state(database: Database, run_id: int, state: RunState) -> None:
    database.write(lambda c: runs.set_state(c, run_id, state))


def waiting(database: Database, folder: Path) -> int:
    return make_run(database, folder / "data", 3)


def in_work(database: Database, folder: Path) -> int:
    run_id = waiting(database, folder)
    first, second, third = request_ids(database, run_id)
    answer(database, take(database, first))
    answer(database, take(database, second))
    take(database, third)
    return run_id


def answered(database: Database, folder: Path) -> int:
    run_id = waiting(database, folder)
    for request_id in request_ids(database, run_id):
        answer(database, take(database, request_id))
    return run_id


def all_failed(database: Database, folder: Path) -> int:
    run_id = waiting(database, folder)
    for request_id in request_ids(database, run_id):
        claim = take(database, request_id)
        pair = claim.request_id, claim.attempt
        database.write(lambda c, pair=pair: requests.fail(c, *pair, BROKEN, delay=0.0, max_retries=0))
    return run_id


def with_state(make, state: RunState):
    def made(database: Database, folder: Path) -> int:
        run_id = make(database, folder)
        if state == RunState.CANCELLED:
            database.write(lambda c: runs.cancel(c, run_id))
        else:
            set_state(database, run_id, state)
        return run_id

    return made


RUNS = {
    "waiting": waiting,
    "in work": in_work,
    "finished": answered,
    "failed": all_failed,
    "paused": with_state(waiting, RunState.PAUSED),
    "paused in work": with_state(in_work, RunState.PAUSED),
    "paused and finished": with_state(answered, RunState.PAUSED),
    "cancelled": with_state(in_work, RunState.CANCELLED),
    "cancelled and finished": with_state(answered, RunState.CANCELLED),
    "creating": with_state(waiting, RunState.CREATING),
}
MATRIX = [
    ("waiting", "pause", "paused; what", "paused"),
    ("waiting", "resume", "is not paused", "active"),
    ("waiting", "cancel", "cancelled: 3 requests will not", "cancelled"),
    ("in work", "pause", "paused; what", "paused"),
    ("in work", "resume", "is not paused", "active"),
    ("in work", "cancel", "cancelled: 1 request will not", "cancelled"),
    ("finished", "pause", "is finished: nothing to pause", "active"),
    ("finished", "resume", "is finished: nothing to resume", "active"),
    ("finished", "cancel", "is finished: nothing to cancel", "active"),
    ("failed", "pause", "is finished: nothing to pause", "active"),
    ("failed", "resume", "is finished: nothing to resume", "active"),
    ("failed", "cancel", "is finished: nothing to cancel", "active"),
    ("paused", "pause", "is paused already", "paused"),
    ("paused", "resume", "goes on", "active"),
    ("paused", "cancel", "cancelled: 3 requests will not", "cancelled"),
    ("paused in work", "pause", "is paused already", "paused"),
    ("paused in work", "resume", "goes on", "active"),
    ("paused in work", "cancel", "cancelled: 1 request will not", "cancelled"),
    ("paused and finished", "pause", "is finished: nothing to pause", "paused"),
    ("paused and finished", "resume", "is finished: nothing to resume", "active"),
    ("paused and finished", "cancel", "is finished: nothing to cancel", "paused"),
    ("cancelled", "pause", UsageError, "cancelled"),
    ("cancelled", "resume", UsageError, "cancelled"),
    ("cancelled", "cancel", "is cancelled already", "cancelled"),
    ("cancelled and finished", "pause", UsageError, "cancelled"),
    ("cancelled and finished", "resume", UsageError, "cancelled"),
    ("cancelled and finished", "cancel", "is cancelled already", "cancelled"),
    ("creating", "pause", UsageError, "creating"),
    ("creating", "resume", UsageError, "creating"),
    ("creating", "cancel", "cancelled: 3 requests will not", "cancelled"),
]


@pytest.mark.parametrize(("state", "verb", "said", "after"), MATRIX, ids=[f"{m[0]}, {m[1]}" for m in MATRIX])
def test_what_each_verb_does_in_each_state(database, tmp_path, state, verb, said, after):
    run_id = RUNS[state](database, tmp_path)
    run, counts = info(database, run_id), counts_of(database, run_id)
    if said is UsageError:
        with pytest.raises(UsageError, match=f"{run.name} is ") as raised:
            VERBS[verb](database, run)
        assert "enqueue again" in raised.value.hint
    else:
        changed = VERBS[verb](database, run)
        assert changed.said.startswith(run.name) and said in changed.said
        assert changed.is_changed == (after != run.state) and changed.goes_on == (said == "goes on")
    assert info(database, run_id).state == after
    assert after == "cancelled" or counts_of(database, run_id) == counts, "no request was touched"


def counts_of(database: Database, run_id: int):
    with database.read() as connection:
        return runs.counts(connection, run_id)


def test_a_run_that_finished_between_two_clicks_is_left_alone(database, tmp_path):
    run_id = in_work(database, tmp_path)
    shown = info(database, run_id)
    with database.read() as connection:
        (held,) = connection.exec_driver_sql("SELECT id, attempt FROM requests WHERE status = 'running'").all()
    claim = requests_as_held(database, held)
    answer(database, claim)
    for verb in (pause, cancel):
        assert "is finished" in verb(database, shown).said
    assert info(database, run_id).state == RunState.ACTIVE


def requests_as_held(database: Database, held):
    with database.read() as connection:
        return requests.claim_as_it_was(connection, held.id, held.attempt)


def test_a_run_that_was_cancelled_in_another_window_is_not_resumed(database, tmp_path):
    run_id = RUNS["paused"](database, tmp_path)
    shown = info(database, run_id)
    cancel(database, shown)
    with pytest.raises(UsageError, match="is cancelled"):
        resume(database, shown)
    assert info(database, run_id).state == RunState.CANCELLED


def test_of_many_that_cancel_and_resume_at_once_the_rows_agree_with_the_state(database, database_settings, tmp_path):
    run_id = RUNS["paused"](database, tmp_path)
    shown = info(database, run_id)
    others = [open_database(database_settings) for _ in range(4)]

    def act(number: int) -> Changed | UsageError:
        try:
            return (cancel if number % 2 else resume)(others[number % 4], shown)
        except UsageError as error:
            return error

    try:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(act, range(8)))
    finally:
        for opened in others:
            opened.close()
    assert sum(isinstance(f, Changed) and f.is_changed and "cancelled:" in f.said for f in found) == 1
    assert info(database, run_id).state == RunState.CANCELLED and counts_of(database, run_id).cancelled == 3


def test_a_run_whose_last_answers_came_while_it_was_paused_is_called_finished(database, tmp_path):
    run_id = RUNS["paused and finished"](database, tmp_path)
    assert run_status(database, info(database, run_id)).state == "finished"
    assert run_status(database, find(database, info(database, run_id).name)).counts.finished


def is_blocked(database: Database) -> bool:
    """Whether somebody waits for a row that another one changes (SQLite's writers wait before they look)."""
    if database.dialect == "sqlite":
        return True
    query = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with database.read() as connection:
        return connection.exec_driver_sql(query).first() is not None


def test_an_attempt_that_began_while_its_run_was_being_cancelled_is_closed_too(database, tmp_path):
    run_id = waiting(database, tmp_path)
    (first, *_), me = request_ids(database, run_id), identity()
    database.write(lambda c: c.execute(update(RunRow).values(dtype="float32")))  # else it waits at the run's own row
    with ThreadPoolExecutor(1) as pool:
        with database.engine.connect() as connection, connection.begin():
            dtypes = {"load_key": key_of(), "dtype": "float32"}
            assert requests.claim(connection, first, me, lease=60.0, **dtypes) is not None
            job = pool.submit(cancel, database, info(database, run_id))
            wait_for("the cancel to wait for the claim", lambda: is_blocked(database))
        assert "3 requests" in job.result(60).said
    with database.read() as connection:
        assert connection.execute(select(AttemptRow.outcome)).scalars().all() == [AttemptOutcome.RELEASED]


def part_failed(database: Database, folder: Path) -> int:
    """One answered, one failed, one waiting."""
    run_id = waiting(database, folder)
    first, second, _ = request_ids(database, run_id)
    answer(database, take(database, first))
    claim = take(database, second)
    pair = claim.request_id, claim.attempt
    database.write(lambda c: requests.fail(c, *pair, BROKEN, delay=0.0, max_retries=0))
    return run_id


@pytest.mark.parametrize(
    ("state", "said", "after", "goes_on"),
    [
        (RunState.ACTIVE, "1 request will be tried again", "active", True),
        (RunState.PAUSED, "1 request will be tried again, once it goes on: videval resume", "paused", False),
        (RunState.CANCELLED, "2 requests will be tried again", "active", True),
    ],
)
def test_what_failed_is_tried_again_and_only_a_cancelled_run_becomes_active(
    database: Database, tmp_path: Path, state: RunState, said: str, after: str, goes_on: bool
) -> None:
    run_id = with_state(part_failed, state)(database, tmp_path)
    changed = retry(database, info(database, run_id))
    assert said in changed.said and changed.goes_on == goes_on
    assert info(database, run_id).state == after and counts_of(database, run_id).queued == 2
    again = retry(database, info(database, run_id))
    assert "nothing to try again, no request failed" in again.said and not again.is_changed and not again.goes_on


def test_a_retry_that_is_refused_changes_nothing(database: Database, tmp_path: Path) -> None:
    run = info(database, part_failed(database, tmp_path))
    for wrong in ({"kinds": ["vidoe"]}, {"indexes": ["1", "99"]}, {"kinds": ["video"], "unanswered": True}):
        with pytest.raises(UsageError):
            retry(database, run, **wrong)
    assert counts_of(database, run.run_id).failed == 1
