"""What the dashboard and the reports read, on each back end through a read-only connection: the same numbers."""

import json
from collections.abc import Iterator

import pytest

from dashboard.data import Data
from dashboard.store import Store
from tests.questions import answer, identity, make_run, request_ids, samples, take
from videval import report
from videval.db import requests, runs, workers
from videval.db.browse import OUTCOMES, SampleFilter
from videval.db.records import RunInfo
from videval.db.session import Database, open_database
from videval.errors import VideoFailure
from videval.export import run_table
from videval.report import ScoreBook
from videval.settings import Settings

ASKED, ANSWERED = 12, 7


@pytest.fixture
def asked(database: Database, tmp_path) -> list[int]:
    """Two runs on the same questions: the first half answered with one failure, the second whole."""
    database.write(lambda c: workers.register(c, identity()))
    tasks = {i: {"task_type": ("moves", "stays")[i % 2]} for i in range(ASKED)}
    made = [make_run(database, tmp_path / "data", samples(ASKED, tasks), model=m) for m in ("fake:a", "fake:b")]
    for run_id, model, count in ((made[0], "fake:a", ANSWERED), (made[1], "fake:b", ASKED)):
        for request_id in request_ids(database, run_id)[:count]:
            assert answer(database, take(database, request_id, model=model))
    failed = take(database, request_ids(database, made[0])[ANSWERED], model="fake:a")
    error = VideoFailure("v3.mp4: cannot be read")
    database.write(lambda c: requests.fail(c, failed.request_id, failed.attempt, error, delay=0, max_retries=3))
    return made


@pytest.fixture
def read_only(database_settings: Settings, asked: list[int]) -> Iterator[Database]:
    opened = open_database(database_settings, read_only=True, pool_size=6)
    yield opened
    opened.close()


@pytest.fixture
def data(database_settings: Settings, read_only: Database) -> Iterator[Data]:
    store = Store()
    yield Data(database_settings, read_only, store, ScoreBook(read_only), patience_s=60)
    store.close()


@pytest.fixture
def pair(read_only: Database, asked: list[int]) -> list[RunInfo]:
    with read_only.read() as connection:
        known = {r.run_id: r for r in runs.list_runs(connection)}
    return [known[run_id] for run_id in asked]


def value(answer):
    assert answer.error is None and answer.is_known
    return answer.value


def test_every_page_reads_its_numbers(data: Data, pair: list[RunInfo]) -> None:
    first, second = pair
    overview = value(data.overview())
    assert {s.run.name for s in overview.statuses} == {first.name, second.name}
    status = value(data.run(first))
    assert (status.counts.done, status.counts.failed, status.counts.waiting) == (ANSWERED, 1, ASKED - ANSWERED - 1)
    score = value(data.score(status))
    assert (score.scored, score.scorable, score.overall.estimate.mean) == (ANSWERED, ASKED, 1.0)
    assert {g.group: g.estimate.n for g in score.groups["task_type"]} == {"moves": 4, "stays": 3}
    assert set(value(data.scores(overview))) == {first.run_id, second.run_id}
    assert value(data.timeline(first))[-1].done == ANSWERED
    assert value(data.converging(first))[-1].n == ANSWERED
    assert value(data.time_spent(first)).n == ANSWERED
    (failure,) = value(data.failures(first))
    assert (failure.kind, failure.count) == ("video", 1)
    assert json.dumps(value(data.card(first)))
    assert [w.id for w in value(data.workers())] == ["w1"]
    assert {q.work.waiting for q in value(data.health()).queues} == {ASKED - ANSWERED - 1}
    assert sorted(value(data.group_values(first, "task_type"))) == ["moves", "stays"]


def test_samples_are_found_by_what_became_of_them(data: Data, pair: list[RunInfo]) -> None:
    first = pair[0]
    found = {o: len(value(data.samples(first, SampleFilter(outcome=o), 0)).lines) for o in OUTCOMES}
    assert (found["right"], found["failed"], found["wrong"]) == (ANSWERED, 1, 0)
    assert sum(found.values()) == ASKED
    by_group = value(data.samples(first, SampleFilter(column="task_type", group="stays"), 0)).lines
    assert [line.key for line in by_group] == ["1", "3", "5", "7", "9", "11"]
    assert [line.key for line in value(data.samples(first, SampleFilter(text="is 11"), 0)).lines] == ["11"]
    line = value(data.samples(first, SampleFilter(outcome="failed"), 0)).lines[0]
    view = value(data.sample(first, line.key))
    assert view is not None and view.requests[0].attempts[0].error == "v3.mp4: cannot be read"
    before = value(data.neighbour(first, SampleFilter(outcome="right"), line.row_id, -1)).lines
    assert [line.outcome for line in before] == ["right"]


def test_runs_are_compared_and_exported(data: Data, read_only: Database, pair: list[RunInfo]) -> None:
    first, second = pair
    compared = value(data.compare(first, second))
    assert (compared.difference.n, compared.both_right, compared.p) == (ANSWERED, ANSWERED, 1.0)
    rows = list(run_table(read_only, first).rows)
    assert [row["index"] for row in rows] == [str(i) for i in range(ASKED)]
    assert sum(row["prediction"] is not None for row in rows) == ANSWERED
    assert report.card_differences(first, second)
