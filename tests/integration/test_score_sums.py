"""What a run's scores add up to, kept in the database: as all rows say, whatever is scored, rescored and dropped."""

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from tests.questions import make_run, samples
from videval import report
from videval.benchmarks.table import TableBenchmark
from videval.db import schema, scores
from videval.db.records import RunInfo
from videval.db.session import Connection, Database, open_database
from videval.db.tables import RunRow, SampleRow, SampleScoreRow, ScoreSumRow
from videval.metrics import GroupMean, Mean, ShareAbove
from videval.report import sums as report_sums
from videval.report.counted import counted
from videval.report.rows import FromRows
from videval.runs import find
from videval.scorers.choice import ChoiceScorer
from videval.settings import Settings
from videval.types import Score, Verdict
from workers import reconcile
from workers.worker import Worker

KINDS = ("Speed", "Order", "Count")
RIGHT = Score(verdict=Verdict.RIGHT, value=1.0, scorer="choice@1")
WRONG = Score(verdict=Verdict.WRONG, value=0.0, scorer="choice@1")
HALF = Score(verdict=Verdict.WRONG, value=0.5, scorer="exact@1")
UNPARSED = Score(verdict=Verdict.UNPARSED, value=None, scorer="choice@1")
TRUNCATED = Score(verdict=Verdict.TRUNCATED, value=None, scorer="choice@1")
REFUSED = Score(verdict=Verdict.REFUSED, value=None, scorer="choice@1")
ANY = (RIGHT, WRONG, HALF, UNPARSED, TRUNCATED, REFUSED, None)


@pytest.fixture
def run(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunInfo:
    """A run of 24 questions about 6 videos, in three groups that share videos."""
    monkeypatch.setattr(TableBenchmark, "metrics", (Mean(), GroupMean(), ShareAbove(0.5)))
    asked = samples(24, {i: {"task_type": KINDS[i % 5 % 3]} for i in range(24)}, videos=6)
    make_run(database, tmp_path / "data", asked)
    return find(database, "questions")


def row_ids(database: Database) -> list[int]:
    with database.read() as connection:
        return list(connection.execute(select(SampleRow.id).order_by(SampleRow.id)).scalars())


def pending(database: Database) -> int:
    with database.read() as connection:
        query = select(func.count()).select_from(SampleScoreRow).where(SampleScoreRow.pending)
        return connection.execute(query).scalar_one()


def store(database: Database, run: RunInfo, said: dict[int, Score | None]) -> None:
    database.write(scores.store_scores, run.run_id, said)


def assert_as_rows_say(database: Database, run: RunInfo) -> None:
    index = report.load_index(database, run.snapshot_id, report.index_columns(run))
    rows = FromRows(run, index, report.load_verdicts(database, run, index))
    found = counted(database, run)
    for column in ("", "task_type"):
        for least in (None, 0.5):
            one, other = found.scored.tally(column, least), rows.tally(column, least)
            assert (one.cells, one.videos) == (other.cells, other.videos)
            assert set(one.pairs) == set(other.pairs)
            assert all(one.pairs[names] == pytest.approx(other.pairs[names]) for names in one.pairs)
    with database.read() as connection:
        assert found.scorers == scores.scorers_of(connection, run.run_id)
    assert (found.scorable, found.videos) == (24, 6)


@pytest.mark.parametrize("seed", range(3))
def test_a_score_is_what_all_rows_say_however_often_it_changes(database: Database, run: RunInfo, seed: int) -> None:
    chance, ids = random.Random(seed), row_ids(database)
    for _ in range(12):
        chosen = chance.sample(ids, chance.randint(1, 8))
        store(database, run, {i: chance.choice(ANY) for i in chosen})
        if chance.random() < 0.5:
            report.fold(database, run)
            assert pending(database) == 0 and report_sums.sums_now(database, run) is not None
        assert_as_rows_say(database, run)


def test_a_score_that_is_no_more_is_out_of_the_sums_and_of_the_table(database: Database, run: RunInfo) -> None:
    ids = row_ids(database)
    store(database, run, dict.fromkeys(ids, RIGHT))
    report.fold(database, run)
    store(database, run, dict.fromkeys(ids, None))
    assert report.score_report(database, run).scored == 0
    report.fold(database, run)
    assert report.score_report(database, run).overall.estimate.mean is None
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(SampleScoreRow)).scalar_one() == 0


def test_truncated_answers_are_counted_as_such_and_worth_nothing(database: Database, run: RunInfo) -> None:
    ids = row_ids(database)
    store(database, run, {ids[0]: RIGHT, ids[1]: UNPARSED, ids[2]: TRUNCATED, ids[3]: TRUNCATED})
    for _ in range(2):
        found = report.score_report(database, run)
        overall = found.overall
        assert (overall.right, overall.wrong, overall.unparsed, overall.truncated) == (1, 0, 1, 2)
        assert (found.scored, overall.estimate.mean) == (4, 0.25)
        report.fold(database, run)


@pytest.mark.parametrize("missing", [1, 2], ids=["no count of refused ones", "nor of truncated ones"])
def test_sums_from_before_there_were_such_counts_are_added_to(database: Database, run: RunInfo, missing: int) -> None:
    ids = row_ids(database)
    store(database, run, dict.fromkeys(ids[:6], RIGHT))
    report.fold(database, run)

    def shorten(connection: Connection) -> None:
        stored = scores.read_sums(connection, run.run_id)
        assert stored is not None
        for _, _, tally in stored.tallies:
            tally["cells"] = [cell[:-missing] for cell in tally["cells"]]
        scores.write_sums(connection, run.run_id, stored)

    database.write(shorten)
    assert_as_rows_say(database, run)
    store(database, run, {**dict.fromkeys(ids[4:9], TRUNCATED), **dict.fromkeys(ids[9:12], REFUSED)})
    assert_as_rows_say(database, run)
    report.fold(database, run)
    assert_as_rows_say(database, run)
    overall = report.score_report(database, run).overall
    assert (overall.truncated, overall.refused) == (5, 3)


def test_several_that_fold_while_others_score_count_each_score_once(
    database: Database, database_settings: Settings, run: RunInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_sums, "CHUNK", 2)
    ids, opened = row_ids(database), [open_database(database_settings) for _ in range(4)]

    def work(number: int) -> None:
        for at, row_id in enumerate(ids):
            if number < 2:
                report.fold(opened[number], run)
            elif at % 2 == number % 2:
                store(opened[number], run, {row_id: RIGHT})
                store(opened[number], run, {row_id: WRONG})

    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
    finally:
        for one in opened:
            one.close()
    report.fold(database, run)
    assert report.score_report(database, run).overall.wrong == 24
    assert_as_rows_say(database, run)


def test_all_runs_are_folded_and_one_whose_benchmark_is_gone_keeps_none_waiting(
    database: Database, run: RunInfo, tmp_path: Path
) -> None:
    other = make_run(database, tmp_path / "more", samples(2))
    store(database, run, dict.fromkeys(row_ids(database)[:24], RIGHT))
    with database.read() as connection:
        more = list(connection.execute(select(SampleRow.id).where(SampleRow.snapshot_id != run.snapshot_id)).scalars())
    database.write(scores.store_scores, other, dict.fromkeys(more, RIGHT))
    database.write(lambda c: c.execute(update(RunRow).where(RunRow.id == other).values(benchmark="gone")))
    assert report.fold_all(database) == 2
    assert pending(database) == 2, "of the run that cannot be read here"


def test_whoever_reconciles_takes_new_scores_into_the_sums(
    worker: Worker, database: Database, run: RunInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "publish_due", lambda *_: 0)
    step = reconcile.Reconcile(worker)
    for said in (RIGHT, WRONG):
        store(database, run, dict.fromkeys(row_ids(database), said))
        step.step()
        assert pending(database) == 0
    assert report.score_report(database, run).overall.wrong == 24


def test_sums_of_another_release_are_not_believed_and_counted_anew(database: Database, run: RunInfo) -> None:
    store(database, run, dict.fromkeys(row_ids(database), RIGHT))
    report.fold(database, run)
    database.write(lambda c: c.execute(update(ScoreSumRow).values(counter="0.0.1 []", scorable=7)))
    assert_as_rows_say(database, run)
    store(database, run, {row_ids(database)[0]: WRONG})
    report.fold(database, run)
    assert pending(database) == 0
    assert_as_rows_say(database, run)


@pytest.mark.parametrize("said", [RIGHT, None], ids=["scored", "not scored"])
def test_after_an_upgrade_the_sums_of_a_run_that_is_over_are_counted_anew_once(
    database: Database, run: RunInfo, said: Score | None
) -> None:
    store(database, run, dict.fromkeys(row_ids(database), said))
    report.fold(database, run)
    database.write(lambda c: c.execute(update(ScoreSumRow).values(counter="0.0.1 []")))
    report.fold_all(database)
    assert report_sums.sums_now(database, run) is not None
    assert report.fold_all(database) == 0
    assert_as_rows_say(database, run)


def test_who_may_only_read_sees_what_is_not_folded_yet(
    database: Database, database_settings: Settings, run: RunInfo
) -> None:
    ids = row_ids(database)
    store(database, run, dict.fromkeys(ids[:12], RIGHT))
    report.fold(database, run)
    store(database, run, dict.fromkeys(ids[12:], WRONG))
    reader = open_database(database_settings, read_only=True)
    try:
        assert report.score_report(reader, run).overall.estimate.mean == 0.5
    finally:
        reader.close()


def test_scores_by_an_older_scorer_say_so_and_how_to_make_them_anew(
    database: Database, run: RunInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(database, run, dict.fromkeys(row_ids(database), RIGHT))
    assert report.score_report(database, run).outdated == ""
    monkeypatch.setattr(ChoiceScorer, "version", 2)
    said = f"scores by choice@1, this videval has choice@2 -> videval merge {run.name}"
    assert report.score_report(database, run).outdated == said
    report.fold(database, run)
    assert report.score_report(database, run).outdated == said


@pytest.mark.parametrize("folded", [True, False])
def test_scores_of_before_scorers_had_names_are_the_first_versions_and_stay(
    database: Database, run: RunInfo, folded: bool
) -> None:
    ids = row_ids(database)
    store(database, run, dict.fromkeys(ids[:16], RIGHT) | dict.fromkeys(ids[16:], None))
    if folded:
        report.fold(database, run)
    store(database, run, {ids[0]: WRONG})
    before = report.score_report(database, run)
    schema.downgrade(database, "0005")
    schema.upgrade(database)
    after = report.score_report(database, run)
    assert (after.overall, after.outdated) == (before.overall, "")
    report.fold(database, run)
    assert report.score_report(database, run).overall == before.overall
    with database.read() as connection:
        assert scores.scorers_of(connection, run.run_id) == {"rule@1": 16}
