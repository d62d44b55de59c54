"""merge: predictions and scores from the stored responses again, in chunks that hold nobody up."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select, update

from tests.questions import answer, make_run, order, request_ids, samples, take
from videval import changes
from videval import merge as merge_module
from videval.changes import retry
from videval.db import again, results, runs, timings
from videval.db.records import RunInfo
from videval.db.session import Database, open_database
from videval.db.tables import PredictionRow, RequestRow, ResponseRow, SampleScoreRow, ScoreSumRow
from videval.merge import merge
from videval.report import score_report
from videval.runs import enqueue
from videval.types import RunState


@pytest.fixture
def run(database: Database, tmp_path: Path) -> RunInfo:
    """Ten answered questions, whose answers were scored by somebody who calls everything right."""
    run_id = make_run(database, tmp_path / "data", 10)
    for number, request_id in enumerate(request_ids(database, run_id)):
        answer(database, take(database, request_id), "A" if number % 2 else "B")
    return info(database)


def info(database: Database) -> RunInfo:
    with database.read() as connection:
        return runs.list_runs(connection)[0]


def verdicts(database: Database) -> dict[str, int]:
    query = select(SampleScoreRow.verdict, func.count()).group_by(SampleScoreRow.verdict)
    with database.read() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


def predictions(database: Database) -> list[tuple[str, str | None]]:
    query = select(PredictionRow.state, PredictionRow.text).order_by(PredictionRow.sample_id)
    with database.read() as connection:
        return [(row.state, row.text) for row in connection.execute(query)]


def test_answers_are_scored_again_and_once_more_with_the_same_result(database, run):
    assert verdicts(database) == {"right": 10}
    merged = merge(database, run)
    assert (merged.responses, merged.predictions, merged.scored, dict(merged.vlmevalkit)) == (10, 10, 10, {})
    assert verdicts(database) == {"right": 5, "wrong": 5}
    assert merge(database, run) == merged and verdicts(database) == {"right": 5, "wrong": 5}


def test_what_is_stored_so_already_is_not_written_again(database, run, monkeypatch):
    first = merge(database, run)
    monkeypatch.setattr(results, "store_readings", lambda *_: pytest.fail("written again"))
    assert merge(database, run) == first and verdicts(database) == {"right": 5, "wrong": 5}


@pytest.mark.parametrize(
    "change",
    [
        update(PredictionRow).where(PredictionRow.sample_id == 3).values(text="another"),
        update(PredictionRow).where(PredictionRow.sample_id == 3).values(how="another"),
        update(SampleScoreRow).where(SampleScoreRow.sample_id == 3).values(verdict="unparsed", value=None),
        update(SampleScoreRow).where(SampleScoreRow.sample_id == 3).values(scorer="another@1"),
        delete(SampleScoreRow).where(SampleScoreRow.sample_id == 3),
        delete(PredictionRow).where(PredictionRow.sample_id == 3),
        update(ResponseRow).where(ResponseRow.request_id == 3).values(text="A"),
    ],
)
def test_one_row_that_is_otherwise_is_all_that_is_written(database, run, monkeypatch, change):
    merge(database, run)
    before, real, written = (predictions(database), verdicts(database)), results.store_readings, []
    database.write(lambda c: c.execute(change))
    monkeypatch.setattr(results, "store_readings", lambda c, r, some: written.append(len(some)) or real(c, r, some))
    merge(database, run)
    assert written == [1]
    if change.table.name != "responses":
        assert (predictions(database), verdicts(database)) == before


def test_sums_that_are_not_what_the_rows_come_to_are_made_anew(database, run):
    merge(database, run)
    right = score_report(database, run)
    database.write(lambda c: c.execute(update(ScoreSumRow).values(scorers={"choice@1": 9}, tallies=[])))
    merge(database, run)
    assert score_report(database, run) == right and right.scored == 10


@pytest.mark.parametrize(("chunk", "heard"), [(4, [4, 8, 10]), (5, [5, 10]), (500, [10])])
def test_never_more_than_a_chunk_is_in_hand_and_progress_is_told(database, run, monkeypatch, chunk, heard):
    monkeypatch.setattr(merge_module, "CHUNK", chunk)
    sizes, told = [], []
    real = again.answered_in

    def counted(connection, run_id: int, low: int, high: int):
        found, known = real(connection, run_id, low, high)
        sizes.append(len(found))
        return found, known

    monkeypatch.setattr(again, "answered_in", counted)
    merged = merge(database, run, on_progress=lambda done, total: told.append((done, total)))
    assert merged.responses == 10 and max(sizes) <= chunk
    assert told == [(n, 10) for n in heard]


def test_while_answers_are_read_and_scored_others_write(database, database_settings, run, monkeypatch):
    """Inside a write transaction of its own, SQLite would let nobody else write."""
    other = open_database(database_settings)
    real = merge_module.asking

    def let_others_write_and_read(*args):
        other.write(lambda c: runs.set_state(c, run.run_id, RunState.ACTIVE), patience=2.0)
        return real(*args)

    monkeypatch.setattr(merge_module, "asking", let_others_write_and_read)
    try:
        assert merge(database, run).scored == 10
    finally:
        other.close()


def test_a_run_without_answers_is_merged_too(database, tmp_path):
    make_run(database, tmp_path / "data", 2)
    assert merge(database, info(database)).responses == 0


def test_what_was_reopened_meanwhile_is_left_to_its_next_answer(database, run, monkeypatch):
    real = timings.request_span

    def reopen_one(connection, run_id: int) -> tuple[int, int] | None:
        bounds = real(connection, run_id)
        database.write(lambda c: c.execute(update(RequestRow).where(RequestRow.id == 1).values(status="queued")))
        return bounds

    monkeypatch.setattr(timings, "request_span", reopen_one)
    assert merge(database, run).responses == 9


def test_an_answer_that_comes_while_the_pack_is_read_again_is_not_overwritten(
    database: Database, packed: RunInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pack holds no answer to that question, and its other answer is read otherwise now."""
    retry(database, packed, unanswered=True)
    pack, alone, _ = request_ids(database, packed.run_id)
    say(database, pack, '{"0": "B"}')
    real, left = again.news, [alone]

    def answer_one(readings: Sequence[again.Read], known: again.Known) -> list[again.Read]:
        for request_id in left:
            answer(database, take(database, request_id), "A")
        left.clear()
        return real(readings, known)

    monkeypatch.setattr(again, "news", answer_one)
    merge(database, packed)
    assert predictions(database) == [("answered", "B"), ("answered", "A"), ("absent", None)]


@pytest.fixture
def packed(database: Database, tmp_path: Path) -> RunInfo:
    """One pack of three questions whose answer holds one of them; the two others are then asked alone."""
    plain = order(tmp_path / "data", samples(3, videos=1))
    asked = replace(plain, variant=replace(plain.variant, pack=True, name=plain.variant.name + "_pack"))
    done = enqueue(database, asked)
    (pack,) = request_ids(database, done.run.run_id)
    answer(database, take(database, pack), "x")
    say(database, pack, '{"0": "A"}')
    merge(database, done.run)
    return done.run


def say(database: Database, request_id: int, text: str) -> None:
    change = update(ResponseRow).where(ResponseRow.request_id == request_id).values(text=text)
    database.write(lambda c: c.execute(change))


def test_a_pack_is_taken_apart_and_what_is_absent_has_no_score(database, packed):
    assert [state for state, _ in predictions(database)] == ["answered", "absent", "absent"]
    assert sum(verdicts(database).values()) == 1, "the scores that were there before are dropped"
    assert merge(database, packed).vlmevalkit["PARSE_OK"] == 1


def test_what_a_pack_left_is_asked_once_and_a_second_time_says_that_it_is_being_asked(
    database: Database, packed: RunInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "CHUNK", 1)
    assert "2 requests will be tried again" in retry(database, packed, unanswered=True).said
    assert "all that packs left is being asked" in retry(database, packed, unanswered=True).said
    assert len(request_ids(database, packed.run_id)) == 3


def test_a_cancelled_run_whose_packs_left_something_goes_on_when_it_is_asked_alone(
    database: Database, packed: RunInfo
) -> None:
    database.write(runs.set_state, packed.run_id, RunState.CANCELLED)
    assert retry(database, packed, unanswered=True).goes_on
    assert info(database).state == RunState.ACTIVE


@pytest.mark.parametrize("chunk", [1, 500])
def test_what_was_asked_again_alone_counts_and_not_the_pack(database, packed, monkeypatch, chunk):
    assert "2 requests will be tried again" in retry(database, packed, unanswered=True).said
    for request_id in request_ids(database, packed.run_id)[1:]:
        answer(database, take(database, request_id), "A")
    monkeypatch.setattr(merge_module, "CHUNK", chunk)
    merged = merge(database, packed)
    assert predictions(database) == [("answered", "A")] * 3 and verdicts(database) == {"right": 3}
    assert (merged.responses, merged.vlmevalkit["VALIDQ"], merged.vlmevalkit["INVALIDQ"]) == (3, 1, 2)
