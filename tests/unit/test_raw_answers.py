"""A response is what was said, to the character; whoever reads an answer out of it strips for himself."""

from pathlib import Path

import pytest

from tests.questions import make_run, request_ids, response, samples, take
from videval.asking import One, rule_scorer
from videval.benchmarks.table import TableBenchmark
from videval.db import browse, results, runs
from videval.db.schema import ensure_schema
from videval.db.session import open_database
from videval.export import export_table, read_export
from videval.export.run import run_table
from videval.packs import read_pack
from videval.settings import Settings
from videval.types import Said, Sample, Verdict

SAID = (" A", "\n\nA\n", "\t(A) one ", "   \r\n A.", "\u3000A", " ", "A")
AROUND = (" {}", "\n{}\n", "\n" * 12 + "{}", "\t \u00a0{} \r\n")


@pytest.mark.parametrize("said", SAID)
def test_what_was_said_is_stored_shown_and_exported_to_the_character(said: str, tmp_path: Path) -> None:
    database = open_database(Settings(home=tmp_path / "home", lock_dir=tmp_path / "locks"))
    ensure_schema(database)
    run_id = make_run(database, tmp_path / "data", samples(1))
    (number,) = request_ids(database, run_id)
    claim = take(database, number)
    assert claim is not None
    reading = One(TableBenchmark()).read(claim.samples, Said(text=said))
    database.write(results.complete, claim, response(said), reading)
    with database.read() as connection:
        (run,) = runs.list_runs(connection)
        line = browse.sample_line(connection, run, "0")
        assert line is not None
        (detail,) = browse.requests_of_sample(connection, run_id, line.row_id)
    assert (line.prediction, detail.response) == (said, said)
    assert line.outcome == ("right" if "A" in said else "unparsed")
    for format_ in ("xlsx", "tsv", "json", "jsonl", "parquet"):
        done = export_table(run_table(database, run), tmp_path / f"out.{format_}", format_)
        assert [row["prediction"] for row in read_export(done.path)] == [said]
    database.close()


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize(
    ("name", "answer", "candidates", "said"),
    [
        ("choice", "B", ("the cup", "the book"), "B"),
        ("choice", "B", ("the cup", "the book"), "B. the book"),
        ("choice", "B", ("the cup", "the book"), "The answer is B."),
        ("choice", "B", ("the cup", "the book"), "the book"),
        ("words", "the book", ("the cup", "the book"), "The book."),
        ("yes_no", "no", (), "No, it does not."),
        ("yes_no", "yes", (), "Yes"),
        ("exact", "two dogs", (), "Two dogs."),
        ("number", "12", (), "12"),
    ],
)
def test_each_reader_strips_for_itself(
    name: str, answer: str, candidates: tuple[str, ...], said: str, around: str
) -> None:
    sample = Sample(id="0", video="v.mp4", question="?", answer=answer, candidates=candidates)
    read = rule_scorer(name).score(sample, around.format(said))
    assert read.verdict is Verdict.RIGHT
    assert read == rule_scorer(name).score(sample, said)


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("said", ['{"0": "a cat", "1": "two"}', '```json\n{"0": "a cat", "1": "two"}\n```'])
def test_a_pack_is_read_whatever_stands_around_it(said: str, around: str) -> None:
    assert read_pack(around.format(said), ["0", "1"]) == read_pack(said, ["0", "1"])
    assert [p.text for p in read_pack(around.format(said), ["0", "1"])] == ["a cat", "two"]
