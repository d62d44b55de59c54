"""Answers out of files as rows, on each back end, beside workers that answer the same run."""

from pathlib import Path

import pytest

from tests.questions import answer, make_run, order, request_ids, row_of, take
from videval.db import results, runs
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.imports import ResultFile, store
from videval.imports.rows import Row
from videval.order import Order
from videval.runs import enqueue
from videval.types import RunState


@pytest.fixture
def asked(tmp_path: Path) -> Order:
    """An order of ten questions."""
    return order(tmp_path / "data", 10)


def file(sha256: str = "0") -> ResultFile:
    row = Row(where="row 1", index="0", question=None, text="A")
    return ResultFile(name="old.xlsx", folder="", tool="VLMEvalKit", columns=(), rows=(row,), sha256=sha256)


def said(*numbers: int) -> dict[str, str]:
    return {f"sample:{n}": f"({'AB'[n % 2]}) as {n}" for n in numbers}


def answers(database: Database, run: RunInfo) -> dict[str, str | None]:
    with database.read() as connection:
        found = results.iter_results(connection, run.run_id)
        return {r.sample.id: r.prediction for r in found if r.status == "done"}


def counts(database: Database, run: RunInfo) -> runs.Counts:
    with database.read() as connection:
        return runs.counts(connection, run.run_id)


def test_an_imported_run_is_the_one_that_the_order_goes_on_with(database: Database, asked: Order) -> None:
    done = store(database, asked, [file()], said(0, 1, 2))
    assert (done.created, done.stored, done.run.state) == (True, 3, RunState.ACTIVE)
    assert answers(database, done.run) == {"0": "(A) as 0", "1": "(B) as 1", "2": "(A) as 2"}
    gone_on = enqueue(database, asked)
    assert (gone_on.run.run_id, gone_on.created, gone_on.added) == (done.run.run_id, False, 7)
    assert gone_on.run.is_imported and gone_on.run.origin == "imported from old.xlsx (VLMEvalKit)"


def test_what_is_answered_or_in_work_is_left_alone_and_what_waits_or_failed_is_filled(
    database: Database, asked: Order
) -> None:
    run = store(database, asked, [file()], said(0)).run
    enqueue(database, asked)
    waiting = [i for i in request_ids(database, run.run_id) if row_of(database, i).status == "queued"]
    mine, theirs = take(database, waiting[0]), take(database, waiting[1])
    assert answer(database, theirs, "theirs")
    done = store(database, asked, [file("1")], said(*range(10)))
    assert (done.created, done.stored, done.known) == (False, 7, 3)
    assert counts(database, run) == runs.Counts(done=9, running=1)
    assert answer(database, mine, "mine"), "its hold is as good as before"
    found = answers(database, run)
    assert sorted(v for v in found.values() if v in ("mine", "theirs")) == ["mine", "theirs"] and len(found) == 10


def test_the_counts_of_a_run_are_what_its_rows_say(database: Database, asked: Order) -> None:
    run = store(database, asked, [file()], said(*range(4))).run
    enqueue(database, asked)
    assert not database.write(runs.recount, run.run_id)
    store(database, asked, [file()], said(*range(8)))
    assert not database.write(runs.recount, run.run_id)
    assert counts(database, run) == runs.Counts(done=8, queued=2)


def test_a_run_of_its_own_answers_is_refused_before_anything_is_written(
    database: Database, asked: Order, tmp_path: Path
) -> None:
    run_id = make_run(database, tmp_path / "data", 10)
    with pytest.raises(Exception, match="not mixed"):
        store(database, asked, [file()], said(0))
    with database.read() as connection:
        run = runs.get_run(connection, run_id)
    assert not run.is_imported and counts(database, run) == runs.Counts(queued=10)
