"""Answers that a server's content filter held back: counted apart, and never as wrong without a word."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli import caller
from tests.dashboards import Open, its_database, opens_pages, said, settings_of_this_test, table
from tests.questions import make_run, order, samples, say
from videval import report
from videval.asking import One, Pack
from videval.benchmarks.table import TableBenchmark
from videval.changes import retry
from videval.db import browse
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.export import export_table
from videval.export.run import run_table
from videval.merge import merge
from videval.report.page import run_page
from videval.runs import enqueue, find
from videval.types import Generation, PredictionState, Said, Verdict

__all__ = ["its_database", "opens_pages", "settings_of_this_test"]

REFUSED = Generation(text="", refused="content_filter")
HALF = Generation(text="(A", thinking="Hm", truncated=True, refused="content_filter")
"""Held back in the middle of an answer."""


@pytest.fixture
def run(database: Database, tmp_path: Path) -> RunInfo:
    """A run with a right answer, a wrong one, and two that were held back."""
    make_run(database, tmp_path / "data", samples(5, videos=5))
    found = find(database, "questions")
    for number, generation in enumerate((Generation(text="(A) one"), Generation(text="(B) two"), REFUSED, HALF)):
        say(database, found, number, generation)
    return found


def counts(database: Database, run: RunInfo) -> tuple[int, ...]:
    overall = report.score_report(database, run).overall
    return overall.right, overall.wrong, overall.unparsed, overall.truncated, overall.refused


@pytest.mark.parametrize("text", ["", "(A) one", '{"0": "(A)", "1": "(A)"}'])
def test_whatever_a_refused_response_says_no_answer_is_read_in_it(text: str) -> None:
    asked = samples(2)
    held_back = Said(text=text, cut_thinking=True, refused="content_filter")
    one, pack = One(TableBenchmark()).read(asked[:1], held_back), Pack(TableBenchmark()).read(asked, held_back)
    for reading in (one, pack):
        assert {p.state for p in reading.predictions} == {PredictionState.REFUSED}
        assert {(s.verdict, s.value, s.scorer) for s in reading.scores.values()} == {
            (Verdict.REFUSED, None, "choice@1")
        }
    assert [p.text for p in one.predictions] == [text] and [p.text for p in pack.predictions] == [None, None]


def test_a_refused_answer_is_counted_apart_and_the_score_says_what_it_makes_of_it(
    database: Database, run: RunInfo
) -> None:
    assert counts(database, run) == (1, 1, 0, 0, 2)
    found = report.score_report(database, run)
    assert (found.scored, found.overall.estimate.mean) == (4, 0.25)
    assert found.held_back in found.remarks
    assert found.held_back.startswith("2 answers held back by the server's content filter: counted as 0")


def test_it_is_refused_again_when_answers_are_scored_again_without_inference(database: Database, run: RunInfo) -> None:
    assert merge(database, run).scored == 4
    assert counts(database, run) == (1, 1, 0, 0, 2)


def test_the_questions_of_a_refused_pack_can_be_asked_alone_and_a_refused_question_is_left_alone(
    database: Database, run: RunInfo, tmp_path: Path
) -> None:
    plain = order(tmp_path / "data", samples(3, videos=1))
    as_pack = replace(plain.variant, pack=True, name="questions_4frame_pack")
    packed = enqueue(database, replace(plain, variant=as_pack)).run
    say(database, packed, 0, REFUSED)
    assert counts(database, packed) == (0, 0, 0, 0, 3)
    assert "3 requests will be tried again" in retry(database, packed, unanswered=True).said
    assert not retry(database, run, unanswered=True).is_changed


def test_a_list_of_samples_can_be_narrowed_to_the_refused_ones(database: Database, run: RunInfo) -> None:
    with database.read() as connection:
        wanted = browse.SampleFilter(outcome="refused")
        found = browse.find_samples(connection, run, wanted, 0, 10**6, limit=100)
    assert [(line.key, line.outcome) for line in found] == [("2", "refused"), ("3", "refused")]


def test_a_refused_answer_that_no_rule_scores_is_called_so_all_the_same(database: Database, tmp_path: Path) -> None:
    (question,) = samples(1)
    make_run(database, tmp_path / "data", [replace(question, answer=None)])
    found = find(database, "questions")
    say(database, found, 0, REFUSED)
    with database.read() as connection:
        (line,) = browse.find_samples(connection, found, browse.SampleFilter(outcome="refused"), 0, 10**6, limit=9)
    assert line.outcome == "refused" and counts(database, found) == (0, 0, 0, 0, 0)


def test_an_export_says_what_was_refused_and_why_beside_the_predictions(
    database: Database, run: RunInfo, tmp_path: Path
) -> None:
    done = export_table(run_table(database, run), tmp_path / "out.jsonl", "jsonl")
    assert done.responses_file is not None
    found = [json.loads(line) for line in done.responses_file.read_text().splitlines()]
    assert [(line["index"], line["refused"]) for line in found] == [("2", "content_filter"), ("3", "content_filter")]
    assert report.run_card(database, run)["answers"]["refused"] == 2


def test_the_score_command_has_a_column_for_refused_answers_where_there_are_some(
    database: Database,
    run: RunInfo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    videval = caller(tmp_path, monkeypatch, capsys)
    shown = videval("score", run.name)
    assert shown.lines[0].split()[-2:] == ["truncated", "refused"]
    assert next(line for line in shown.lines if line.startswith("overall")).split()[-5:] == ["1", "1", "0", "0", "2"]
    assert "2 answers held back" in shown.out
    assert json.loads(videval("score", run.name, "--json").out)["overall"]["refused"] == 2


def test_the_pages_count_refused_answers_and_say_what_became_of_them(
    database: Database, run: RunInfo, opened: Open
) -> None:
    assert "<th>refused</th>" in run_page(database, run)
    at = opened("run", run=run.name)
    assert "1 right, 1 wrong, 0 unparsed, 0 truncated, 2 refused of 4" in said(at)
    assert "2 answers held back" in said(at)
    at = opened("samples", run=run.name, sample="2")
    assert any("content filter held the answer back" in m.value for m in at.markdown)
    assert "refused: content_filter" in said(at)
    assert list(table(opened("samples", run=run.name, outcome="refused"), "Samples")["sample"]) == ["2", "3"]
