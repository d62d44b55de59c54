"""Answers of models that think, and what was seen: stored, scored, shown and exported, each where it belongs."""

import json
from dataclasses import replace
from pathlib import Path

import openpyxl
import pytest
from sqlalchemy import event, update

from tests.cli import caller
from tests.dashboards import Open, its_database, opens_pages, said, settings_of_this_test, table
from tests.questions import make_run, order, samples, say
from videval import report
from videval.changes import retry
from videval.db import browse
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.db.tables import ResponseRow
from videval.export import FORMATS, ExportFormat, export_table, read_export
from videval.export.run import run_table
from videval.merge import merge
from videval.report.page import run_page
from videval.runs import enqueue, find
from videval.types import Generation, Seen

__all__ = ["its_database", "opens_pages", "settings_of_this_test"]

SEEN = Seen(frames=2, width=56, height=28, tokens=4, timestamps=(0.2,), grid=(1, 2, 4))
CUT = Generation(text="", thinking="Let me see \ud800", truncated=True, seen=(SEEN,), rendered="<s> <pad> x4 What?")
THOUGHT = Generation(text="(A) one", thinking="It is one.", seen=(SEEN,), rendered="<s> <pad> x4 What?")
ENDED = Generation(text="(A) one, since", thinking="Hm.", truncated=True, seen=(SEEN,))


@pytest.fixture
def run(database: Database, tmp_path: Path) -> RunInfo:
    """A run with an answer after thinking, one that was cut off in it, one that was cut off later, and a plain one."""
    make_run(database, tmp_path / "data", samples(5, videos=5))
    found = find(database, "questions")
    for number, generation in enumerate((THOUGHT, CUT, ENDED, Generation(text="(B) two"))):
        say(database, found, number, generation)
    return found


def counts(database: Database, run: RunInfo) -> tuple[int, int, int, int]:
    overall = report.score_report(database, run).overall
    return overall.right, overall.wrong, overall.unparsed, overall.truncated


def test_a_truncated_answer_counts_as_nothing_right_and_an_answer_that_ended_later_as_what_it_says(
    database: Database, run: RunInfo
) -> None:
    assert counts(database, run) == (2, 1, 0, 1)
    found = report.score_report(database, run)
    assert (found.scored, found.overall.estimate.mean) == (4, 0.5)
    assert found.too_short == "1 answer ended inside the thinking -> a higher --max-new-tokens, or --thinking-budget"


def test_it_is_truncated_again_when_answers_are_scored_again_without_inference(
    database: Database, run: RunInfo
) -> None:
    assert merge(database, run).scored == 4
    assert counts(database, run) == (2, 1, 0, 1)


def test_an_answer_of_before_thinking_was_kept_apart_is_scored_as_it_was(database: Database, run: RunInfo) -> None:
    database.write(lambda c: c.execute(update(ResponseRow).values(thinking=None)))
    merge(database, run)
    assert counts(database, run) == (2, 1, 1, 0)


def test_all_questions_of_a_pack_that_was_cut_off_while_thinking_are_truncated_and_can_be_asked_alone(
    database: Database, tmp_path: Path
) -> None:
    plain = order(tmp_path / "data", samples(3, videos=1))
    enqueue(database, replace(plain, variant=replace(plain.variant, pack=True, name="questions_4frame_pack")))
    packed = find(database, "questions")
    say(database, packed, 0, CUT)
    assert counts(database, packed) == (0, 0, 0, 3)
    assert "3 requests will be tried again" in retry(database, packed, unanswered=True).said


def test_a_list_of_samples_can_be_narrowed_to_the_truncated_ones(database: Database, run: RunInfo) -> None:
    for outcome in browse.OUTCOMES:
        with database.read() as connection:
            wanted = browse.SampleFilter(outcome=outcome)
            found = browse.find_samples(connection, run, wanted, 0, 10**6, limit=100)
        assert {line.outcome for line in found} <= {outcome}
        assert [line.key for line in found] == {"truncated": ["1"], "right": ["0", "2"], "wrong": ["3"]}.get(
            outcome, ["4"] if outcome == "waiting" else []
        )


def test_a_truncated_answer_that_no_rule_scores_is_called_so_all_the_same(database: Database, tmp_path: Path) -> None:
    (question,) = samples(1)
    make_run(database, tmp_path / "data", [replace(question, answer=None)])
    found = find(database, "questions")
    say(database, found, 0, CUT)
    with database.read() as connection:
        wanted = browse.SampleFilter(outcome="truncated")
        (line,) = browse.find_samples(connection, found, wanted, 0, 10**6, limit=100)
    assert line.outcome == "truncated" and counts(database, found) == (0, 0, 0, 0)


def test_the_rendered_prompt_is_read_with_one_sample_only(database: Database, run: RunInfo, tmp_path: Path) -> None:
    asked = []
    event.listen(database.engine, "before_cursor_execute", lambda *a: asked.append(a[2]))
    with database.read() as connection:
        browse.find_samples(connection, run, browse.SampleFilter(), 0, 10**6, limit=100)
    report.run_card(database, run)
    report.score_report(database, run)
    merge(database, run)
    run_page(database, run)
    export_table(run_table(database, run), tmp_path / "out.jsonl", "jsonl")
    assert asked and not [statement for statement in asked if "rendered" in statement]


def test_a_sample_has_its_thinking_what_was_seen_and_the_prompt_as_the_model_got_it(
    database: Database, run: RunInfo
) -> None:
    with database.read() as connection:
        line = browse.sample_line(connection, run, "1")
        assert line is not None
        (detail,) = browse.requests_of_sample(connection, run.run_id, line.row_id)
    assert (detail.response, detail.thinking, detail.truncated) == ("", "Let me see \ud800", True)
    assert (detail.seen, detail.rendered) == ((SEEN,), "<s> <pad> x4 What?")


def test_the_sample_page_shows_thinking_apart_from_the_answer_and_what_the_model_was_shown(
    database: Database, run: RunInfo, opened: Open
) -> None:
    at = opened("samples", run=run.name, sample="0")
    page = said(at)
    assert "It is one." in page and "(A) one" in page
    assert "2 frames of 56 x 28 pixels in 1 x 2 x 4 patches, 4 tokens; told of the times 0.20 s" in page
    folded = {e.label: e for e in at.expander}
    assert not folded["Thinking before it, 3 words"].proto.expanded
    assert not folded["Prompt as the model got it, with its special tokens"].proto.expanded


def test_the_sample_page_of_a_truncated_answer_says_so_and_shows_half_a_character_escaped(
    database: Database, run: RunInfo, opened: Open
) -> None:
    at = opened("samples", run=run.name, sample="1")
    assert "Let me see \\ud800" in [e.value for e in at.code]
    assert "(the model said nothing)" in said(at) and "cut at the token limit" in said(at)
    assert any("truncated: cut off while it was thinking" in m.value for m in at.markdown)


def test_the_dashboard_counts_truncated_answers(database: Database, run: RunInfo, opened: Open) -> None:
    at = opened("run", run=run.name)
    assert "1 answer ended inside the thinking" in said(at)
    assert "2 right, 1 wrong, 0 unparsed, 1 truncated of 4" in said(at)
    assert table(at, "Scores by group").iloc[-1]["truncated"] == "1"
    assert list(table(opened("samples", run=run.name, outcome="truncated"), "Samples")["sample"]) == ["1"]


def test_two_runs_are_compared_with_a_truncated_answer_called_so(
    database: Database, run: RunInfo, tmp_path: Path, opened: Open
) -> None:
    other = enqueue(database, order(tmp_path / "data", samples(5, videos=5), max_pixels=4096)).run
    for number in range(3):
        say(database, other, number, THOUGHT)
    at = opened("compare", a=other.name, b=run.name)
    (line,) = table(at, "Samples that flipped").to_dict("records")
    assert (line[f"{other.name} said"], line[f"{run.name} said"]) == ("(A) one", "(truncated)")


def test_the_report_page_has_a_column_for_truncated_answers(database: Database, run: RunInfo) -> None:
    page = run_page(database, run)
    assert "<th>unparsed</th><th>truncated</th>" in page and "<td>0</td><td>1</td></tr>" in page


@pytest.mark.parametrize("format_", FORMATS)
def test_an_export_has_the_same_first_sheet_as_ever_and_thinking_beside_it(
    database: Database, run: RunInfo, tmp_path: Path, format_: ExportFormat
) -> None:
    done = export_table(run_table(database, run), tmp_path / f"out.{format_}", format_)
    rows = read_export(done.path)
    assert [row["prediction"] for row in rows] == ["(A) one", "", "(A) one, since", "(B) two", None]
    assert "thinking" not in rows[0]
    if format_ == "xlsx":
        book = openpyxl.load_workbook(done.path)
        assert book.sheetnames == ["predictions", "run card", "failures", "responses"]
        head, *lines = book["responses"].iter_rows(values_only=True)
        found = [dict(zip(head, line, strict=True)) for line in lines]
        assert done.responses_file is None
    else:
        assert done.responses_file is not None
        found = [json.loads(line) for line in done.responses_file.read_text().splitlines()]
    assert [(r["index"], r["response"] or "", r["truncated"]) for r in found] == [
        ("0", "(A) one", False), ("1", "", True), ("2", "(A) one, since", True),
    ]  # fmt: skip
    assert [r["thinking"] for r in found][::2] == ["It is one.", "Hm."]
    assert json.loads(found[0]["seen"]) == [
        {"frames": 2, "width": 56, "height": 28, "tokens": 4, "timestamps": [0.2], "grid": [1, 2, 4]}
    ]


def test_an_export_of_a_run_that_neither_thinks_nor_says_what_it_saw_is_as_before(
    database: Database, tmp_path: Path
) -> None:
    make_run(database, tmp_path / "data", 1)
    found = find(database, "questions")
    say(database, found, 0, Generation(text="(A) one"))
    done = export_table(run_table(database, found), tmp_path / "out.jsonl", "jsonl")
    assert done.responses_file is None and len(list(tmp_path.glob("out.jsonl*"))) == 2


# the run card


def test_the_card_says_how_answers_ended_and_what_was_seen_in_a_few_numbers(database: Database, run: RunInfo) -> None:
    card = report.run_card(database, run)
    assert card["answers"] == {"thought": 3, "truncated": 2, "truncated_thinking": 1, "refused": 0}
    same = {"min": 2, "median": 2, "max": 2}
    assert card["seen"] == {
        "clips": 3, "frames_per_clip": same, "tokens_per_clip": dict.fromkeys(same, 4), "sizes": {"56x28": 3},
        "warnings": [],
    }  # fmt: skip


def test_the_card_of_a_run_of_which_nobody_said_what_was_seen_says_nothing_of_it(
    database: Database, tmp_path: Path
) -> None:
    make_run(database, tmp_path / "data", 1)
    found = find(database, "questions")
    assert report.run_card(database, found)["seen"] == {}
    say(database, found, 0, Generation(text="(A) one"))
    assert report.run_card(database, found)["seen"] == {}


def test_the_card_warns_where_equal_clips_were_seen_in_two_ways(database: Database, run: RunInfo) -> None:
    other = replace(SEEN, width=84, tokens=6, grid=(1, 2, 6))
    say(database, run, 4, replace(THOUGHT, seen=(other,)))
    seen = report.run_card(database, run)["seen"]
    assert (seen["tokens_per_clip"]["max"], seen["sizes"]) == (6, {"56x28": 3, "84x28": 1})
    (warning,) = seen["warnings"]
    assert "clips of 2 frames of 64x48 pixels were seen as 56x28 in 1x2x4 patches (3 answers)" in warning
    assert "84x28 in 1x2x6 patches (1 answer)" in warning and "the same versions on all hosts" in warning


# the command line


def test_score_has_a_column_for_truncated_answers_and_says_what_would_be_right(
    database: Database,
    run: RunInfo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    videval = caller(tmp_path, monkeypatch, capsys)
    shown = videval("score", run.name)
    assert shown.lines[0].split()[-2:] == ["unparsed", "truncated"]
    assert next(line for line in shown.lines if line.startswith("overall")).split()[-4:] == ["2", "1", "0", "1"]
    assert "1 answer ended inside the thinking -> a higher --max-new-tokens" in shown.out
    overall = json.loads(videval("score", run.name, "--json").out)["overall"]
    assert (overall["unparsed"], overall["truncated"]) == (0, 1)
