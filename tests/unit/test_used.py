"""What answers took and cost: kept as sums, said in words by command line and dashboard; and why a run was halted."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import event, update

from tests.cli import Said, caller
from tests.dashboards import Open, its_database, opens_pages, said, settings_of_this_test, table
from tests.questions import make_run, samples, say
from videval import report
from videval.db import schema, sums
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.db.tables import RunRow
from videval.db.usage import Usage, usage_of_runs
from videval.export import export_table
from videval.export.run import run_table
from videval.report.page import run_page
from videval.runs import find
from videval.types import Generation, RunState
from videval.words import price

__all__ = ["its_database", "opens_pages", "settings_of_this_test"]

PAID = Generation(text="(A)", prompt_tokens=1000, cached_tokens=830, new_tokens=20, reasoning_tokens=12, cost=0.002)
UNTOLD = Generation(text="(A)", prompt_tokens=500, new_tokens=2)
"""Of a server that says neither what it reused nor, by an entry, what it costs."""
KEY_GONE = "LAB_KEY is refused (401) -> a key that is good"


@pytest.fixture
def run(database: Database, tmp_path: Path) -> RunInfo:
    """A run of four questions, of which three are answered, two of them at a price."""
    make_run(database, tmp_path / "data", samples(4, videos=4))
    found = find(database, "questions")
    database.write(lambda c: c.execute(update(RunRow).values(card={**found.card, "endpoint": {"currency": "EUR"}})))
    for number, generation in enumerate((PAID, PAID, UNTOLD)):
        say(database, found, number, generation)
    return find(database, "questions")


@pytest.fixture
def videval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """The command line on the test's database."""
    return caller(tmp_path, monkeypatch, capsys)


def used(database: Database, run: RunInfo) -> Usage:
    return report.run_status(database, run).usage


def halt(database: Database, why: str | None, state: str = RunState.PAUSED) -> None:
    database.write(lambda c: c.execute(update(RunRow).values(state=state, halted=why)))


def test_usage_is_the_same_before_and_after_it_is_folded(database: Database, run: RunInfo) -> None:
    whole = Usage(prompt=2500, new=42, told=2000, cached=1660, reasoning=24, priced=2, cost=0.004)
    for _ in range(2):
        assert used(database, run) == whole
        assert report.run_statuses(database)[0].usage == whole
        database.write(sums.fold)
    assert whole.reused == 0.83


def test_usage_is_read_from_sums_and_not_from_answers(database: Database, run: RunInfo) -> None:
    asked = list[str]()
    event.listen(database.engine, "before_cursor_execute", lambda *a: asked.append(a[2]))
    with database.read() as connection:
        assert usage_of_runs(connection, [run.run_id])[run.run_id].cost == 0.004
    assert asked and not [statement for statement in asked if "responses" in statement]


def test_an_answer_that_costs_nothing_has_a_price_and_one_without_prices_has_none(
    database: Database, tmp_path: Path
) -> None:
    make_run(database, tmp_path / "data", 2)
    found = find(database, "questions")
    assert used(database, found) == Usage()
    say(database, found, 0, UNTOLD)
    assert (used(database, found).cost, used(database, found).reused) == (None, None)
    say(database, found, 1, Generation(text="(A)", prompt_tokens=1, cached_tokens=0, new_tokens=1, cost=0.0))
    assert (used(database, found).cost, used(database, found).reused) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        (0.0, "0.00 EUR"), (0.00312, "0.0031 EUR"), (0.0000005, "0.0000005 EUR"), (0.099, "0.099 EUR"),
        (0.1, "0.10 EUR"), (12.4, "12.40 EUR"), (12345.678, "12,345.68 EUR"),
    ],
)  # fmt: skip
def test_a_price_is_said_with_the_digits_that_count(cost: float, words: str) -> None:
    assert price(cost, "EUR") == words


def test_tokens_of_answers_from_before_there_were_sums_are_in_them(database: Database, run: RunInfo) -> None:
    schema.downgrade(database, "0008")
    schema.upgrade(database)
    assert used(database, run) == Usage(prompt=2500, new=42)


def test_status_says_what_a_run_took_and_cost(database: Database, run: RunInfo, videval: Callable[..., Said]) -> None:
    line = f"{run.name}: 2,500 tokens in (83 % reused), 42 out (24 of thinking); 0.004 EUR"
    assert line in videval("status", run.name).lines
    database.write(lambda c: c.execute(update(RunRow).values(max_cost=2.5, max_tokens=90_000)))
    assert f"{line.partition(';')[0]}, of 90,000 that it may take; 0.004 EUR of 2.50 EUR" in videval("status").out
    (found,) = json.loads(videval("status", "--json").out)
    assert (found["usage"]["cost"], found["reused"], found["currency"]) == (0.004, 0.83, "EUR")
    assert (found["max_cost"], found["max_tokens"], found["halted"]) == (2.5, 90_000, None)


def test_status_says_why_a_run_was_halted_and_what_lets_it_go_on(
    database: Database, run: RunInfo, videval: Callable[..., Said]
) -> None:
    halt(database, KEY_GONE)
    said_now = videval("status", run.name).out
    assert f"was halted: {KEY_GONE}; then videval resume {run.name}" in said_now
    assert json.loads(videval("status", "--json").out)[0]["halted"] == KEY_GONE
    halt(database, "its answers cost 2.50 EUR")
    assert (
        f"was halted: its answers cost 2.50 EUR -> mend that, then videval resume {run.name}" in videval("status").out
    )


def test_a_run_that_goes_on_or_is_over_is_halted_no_more(database: Database, run: RunInfo) -> None:
    for state in (RunState.ACTIVE, RunState.CANCELLED):
        halt(database, KEY_GONE, state)
        assert report.run_statuses(database)[0].halted == ""
    halt(database, None, RunState.ACTIVE)
    say(database, run, 3, UNTOLD)
    halt(database, KEY_GONE)
    assert report.run_statuses(database)[0].halted == ""


def test_score_and_report_say_what_a_run_cost(database: Database, run: RunInfo, videval: Callable[..., Said]) -> None:
    line = "took 2,500 tokens in (83 % reused), 42 out (24 of thinking); 0.004 EUR"
    assert line in " ".join(videval("score", run.name).out.split())
    assert "<div>cost<b>0.004 EUR</b><p>2,500 tokens in, 42 out</p></div>" in run_page(database, run)


def test_the_card_has_what_was_used(database: Database, run: RunInfo) -> None:
    assert report.run_card(database, run)["usage"] == {
        "prompt": 2500, "new": 42, "told": 2000, "cached": 1660, "reasoning": 24, "priced": 2, "cost": 0.004,
        "reused": 0.83, "currency": "EUR", "warnings": [],
    }  # fmt: skip


def test_an_export_has_what_each_answer_took_and_cost(database: Database, run: RunInfo, tmp_path: Path) -> None:
    done = export_table(run_table(database, run), tmp_path / "out.tsv", "tsv")
    assert done.responses_file is not None
    found = [json.loads(line) for line in done.responses_file.read_text().splitlines()]
    names = ("index", "prompt_tokens", "cached_tokens", "new_tokens", "reasoning_tokens", "cost")
    assert [[line[name] for name in names] for line in found] == [[i, 1000, 830, 20, 12, 0.002] for i in ("0", "1")]


def test_the_dashboard_says_what_a_run_took_and_why_it_was_halted(
    database: Database, run: RunInfo, opened: Open
) -> None:
    line = "2,500 tokens in (83 % reused), 42 out (24 of thinking); 0.004 EUR"
    halt(database, KEY_GONE)
    for page, query in (("run", {"run": run.name}), ("runs", {})):
        at = opened(page, **query)
        assert line in said(at) and f"halted: {KEY_GONE}; then videval resume {run.name}" in said(at)
        assert "Halted: 75 % answered" in said(at) or page == "runs"
    listed = table(at, "All runs").iloc[0]
    assert (listed["state"], listed["cost"]) == ("halted", "0.004 EUR")
    assert "1000 tokens in (830 of them reused), 20 out (12 of them of thinking); 0.002 EUR" in said(
        opened("samples", run=run.name, sample="0")
    )
