"""What models were shown over a whole run, as each database counts it."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.questions import CLIP, make_run, request_ids, samples, say
from videval import report
from videval.db import browse, responses, timings
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.db.tables import ResponseRow, RunRow
from videval.plain import plain
from videval.runs import find
from videval.types import FrameSampling, Generation, LengthRule, Pixels, Seen

SEEN = Seen(frames=2, width=56, height=28, tokens=4, timestamps=(0.2,), grid=(1, 2, 4))
LARGER = replace(SEEN, width=84, tokens=6, grid=(1, 2, 6))
ANSWER = Generation(text="(A) one", thinking="Hm.", seen=(SEEN,))
RULES = (LengthRule(up_to=2.0, pixels=Pixels(max_pixels=4096)), LengthRule(pixels=Pixels(max_pixels=1024)))
SHORT = replace(CLIP, total_frames=600, span_frames=11)
"""One second of a minute."""


@pytest.fixture
def run(database: Database, tmp_path: Path) -> RunInfo:
    """A run of four questions whose clips may be larger when they are short."""
    make_run(database, tmp_path / "data", samples(4, videos=4))
    sampling = plain(FrameSampling(policy="stride", num_frames=4, by_length=RULES))
    database.write(lambda c: c.execute(update(RunRow).values(sampling=sampling)))
    return find(database, "questions")


def test_clips_that_a_rule_by_length_treats_in_two_ways_are_no_trouble(database: Database, run: RunInfo) -> None:
    say(database, run, 0, ANSWER)
    say(database, run, 1, replace(ANSWER, seen=(LARGER,)), clip=SHORT)
    seen = report.run_card(database, run)["seen"]
    assert (seen["sizes"], seen["warnings"]) == ({"56x28": 1, "84x28": 1}, [])
    say(database, run, 2, ANSWER, clip=SHORT)
    (warning,) = report.run_card(database, run)["seen"]["warnings"]
    assert "clips of 2 frames of 64x48 pixels were seen as" in warning


def test_what_was_seen_comes_with_what_it_was_made_of(database: Database, run: RunInfo) -> None:
    say(database, run, 0, ANSWER)
    say(database, run, 1, replace(ANSWER, seen=(LARGER, SEEN)), clip=SHORT)
    say(database, run, 2, Generation(text="(A) one"))
    with database.read() as connection:
        span = timings.request_span(connection, run.run_id)
        assert span is not None
        whole, part = responses.saw_in(connection, run.run_id, *span)
        stored = list(responses.responses_in(connection, run.run_id, *span))
        ends = responses.endings_in(connection, run.run_id, *span)
    assert (whole.seen, whole.num_frames, whole.width, whole.height) == ((SEEN,), 2, 64, 48)
    assert (whole.total_frames, whole.span_frames, whole.fps) == (30, None, 10.0)
    assert (part.seen, part.total_frames, part.span_frames) == ((LARGER, SEEN), 600, 11)
    assert [(r.samples, r.thinking, r.seen) for r in stored] == [
        (("0",), "Hm.", (SEEN,)), (("1",), "Hm.", (LARGER, SEEN)),
    ]  # fmt: skip
    assert ends == {"thought": 2, "truncated": 0, "truncated_thinking": 0, "refused": 0}


@pytest.mark.parametrize(
    ("generation", "thinking"),
    [
        (Generation(text="", thinking="", truncated=True), 1),
        (Generation(text="", thinking="Hm \x00", truncated=True), 1),
        (Generation(text=" ", thinking="Hm", truncated=True), 0),
        (Generation(text="", truncated=True), 0),
        (Generation(text="", thinking="Hm"), 0),
    ],
)
def test_the_database_calls_the_same_answers_truncated_as_the_record_does(
    database: Database, run: RunInfo, generation: Generation, thinking: int
) -> None:
    say(database, run, 0, generation)
    assert report.run_card(database, run)["answers"]["truncated_thinking"] == thinking == generation.cut_thinking


def test_what_a_newer_videval_says_of_what_was_seen_is_left_out_and_the_rest_is_read(
    database: Database, run: RunInfo
) -> None:
    say(database, run, 0, ANSWER)
    say(database, run, 1, ANSWER)
    (newer, *_) = request_ids(database, run.run_id)
    later = [plain(SEEN) | {"mips": 3}]
    database.write(lambda c: c.execute(update(ResponseRow).where(ResponseRow.request_id == newer).values(seen=later)))
    assert report.run_card(database, run)["seen"]["clips"] == 1
    assert [r.seen for r in run_responses(database, run)] == [(), (SEEN,)]
    with database.read() as connection:
        line = browse.sample_line(connection, run, "0")
        assert line is not None
        (detail,) = browse.requests_of_sample(connection, run.run_id, line.row_id)
    assert (detail.response, detail.seen) == ("(A) one", ())


def run_responses(database: Database, run: RunInfo) -> list[responses.StoredResponse]:
    with database.read() as connection:
        span = timings.request_span(connection, run.run_id)
        assert span is not None
        return list(responses.responses_in(connection, run.run_id, *span))
