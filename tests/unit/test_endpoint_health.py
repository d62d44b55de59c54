"""How endpoints are, as command line and dashboard show it: their budget, their cost, what is wrong, and of when."""

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from tests.cli import Said, caller
from tests.dashboards import Open, its_database, opens_pages, said, settings_of_this_test, table
from tests.questions import make_run, order
from tests.seeding import LAB_ENTRY, add_endpoint
from videval.db.health import note_endpoint
from videval.db.session import Database, db_now
from videval.db.tables import EndpointRow, RunRow
from videval.db.usage import count_usage
from videval.models.catalog import model_spec
from videval.report import endpoint_in_words, endpoints_asked
from videval.types import Generation

__all__ = ["its_database", "opens_pages", "settings_of_this_test"]


@pytest.fixture
def videval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """The command line on the test's database."""
    return caller(tmp_path, monkeypatch, capsys)


def words(database: Database) -> str:
    (found,) = endpoints_asked(database)
    return endpoint_in_words(found)


def test_an_endpoint_that_is_well_is_one_line_with_its_budget_and_cost(database: Database) -> None:
    add_endpoint(database)
    assert words(database) == (
        "lab: open; 120 of 600 requests this minute, 12,000 tokens this minute, 12 of 64 in flight; 3.21 USD"
    )


def test_of_what_was_written_long_ago_nothing_is_said_of_its_minute(database: Database) -> None:
    add_endpoint(database, ago=1800.0)
    assert words(database) == "lab: open (as of 30 min ago: nobody asks it now); 3.21 USD"


def test_figures_that_are_not_of_now_are_said_to_be_of_then(database: Database) -> None:
    add_endpoint(database, ago=40.0)
    assert re.match(r"lab: open \(as of 4\d s ago\); 120 of 600 requests this minute", words(database))


@pytest.mark.parametrize(("in_redis", "told"), [(0.5, 2.25), (7.0, 7.0)], ids=["started again", "knows more"])
def test_an_endpoint_cost_at_least_what_its_stored_answers_did(
    in_redis: float, told: float, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [LAB_ENTRY.replace("lab]", f"{name}]") for name in ("lab", "lab2", "Lab")]
    (tmp_path / "endpoints.toml").write_text("".join(entries))
    monkeypatch.setenv("VIDEVAL_ENDPOINTS", str(tmp_path / "endpoints.toml"))
    others = [("endpoint:lab2", 100.0), ("endpoint:Lab", 100.0), ("fake", 0.0)]
    for model, cost in [("endpoint:lab", 1.5), ("endpoint:lab", 0.75), *others]:
        run_id = make_run(database, tmp_path / "data", 1, model=model)
        database.write(count_usage, run_id, Generation(text="A", prompt_tokens=1, new_tokens=1, cost=cost))
    note = partial(note_endpoint, state="open", message=None, figures={"spent": in_redis, "currency": "USD"})
    database.write(note, "lab")
    (found,) = endpoints_asked(database)
    assert found.figures["spent"] == told


def test_figures_that_a_newer_videval_writes_and_those_that_are_missing_are_left_out(database: Database) -> None:
    add_endpoint(database, state="paused", message="5 answers in a row failed (503)")
    database.write(lambda c: c.execute(update(EndpointRow).values(figures={"in_flight": 1, "moods": "good"})))
    assert words(database) == "lab: paused: 5 answers in a row failed (503); 1 in flight"


def test_status_shows_endpoints_that_are_asked_and_those_of_its_runs_that_are_not(
    database: Database, tmp_path: Path, videval: Callable[..., Said]
) -> None:
    make_run(database, tmp_path / "data", 2)
    add_endpoint(database, ago=1800.0)
    assert "endpoint lab" not in videval("status").out
    database.write(lambda c: c.execute(update(RunRow).values(card={"endpoint": {"name": "lab"}})))
    assert "endpoint lab: open (as of 30 min ago" in videval("status").out
    database.write(lambda c: c.execute(update(EndpointRow).values(updated_at=db_now())))
    database.write(lambda c: c.execute(update(RunRow).values(card={})))
    assert "endpoint lab: open; 120 of 600" in videval("status").out


def test_the_fleet_page_says_nothing_of_endpoints_where_nobody_asks_any(database: Database, opened: Open) -> None:
    assert "Endpoints" not in said(opened("fleet"))


@pytest.mark.parametrize(
    ("ago", "state"), [(0.0, "paused"), (1800.0, "paused, and not asked now")], ids=["now", "long ago"]
)
def test_the_fleet_page_shows_endpoints_and_warns_of_those_that_do_not_answer(
    database: Database, opened: Open, ago: float, state: str
) -> None:
    add_endpoint(database, state="paused", message="LAB_KEY is refused (401)", ago=ago)
    at = opened("fleet")
    assert ("**lab** LAB_KEY is refused (401)" in said(at)) is (ago == 0.0)
    line = table(at, "Endpoints").iloc[0]
    assert (line["endpoint"], line["state"], line["cost"]) == ("lab", state, "3.21 USD")
    assert line["requests ended"] == "1,200 answered, 3 too many (429)"
    assert (line["requests this minute"], line["tokens this minute"]) == ("120 of 600", "12,000")


@pytest.mark.parametrize(
    ("more", "card"),
    [
        ("", {"transport": "frames", "encoding": "png, lossless", "sampled_by": "videval", "currency": None}),
        (
            'transport = "video"\nimage = "jpeg"\nquality = 90\nprices = { prompt = 1.0, new = 2.0, currency = "EUR" }',
            {"transport": "video", "encoding": "jpeg, quality 90", "sampled_by": "videval", "currency": "EUR"},
        ),
        ('transport = "file"', {"encoding": "the file as it is", "sampled_by": "the server"}),
    ],
    ids=["frames", "a video", "the server's own sampling"],
)
def test_the_card_says_how_frames_travel_to_an_endpoint_and_who_chooses_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, card: dict[str, Any]
) -> None:
    (tmp_path / "endpoints.toml").write_text(LAB_ENTRY + more)
    monkeypatch.setenv("VIDEVAL_ENDPOINTS", str(tmp_path / "endpoints.toml"))
    found = order(tmp_path / "data", 1, model="endpoint:lab").card("")["endpoint"]
    assert found["name"] == "lab" and found.items() >= card.items()
    assert json.dumps(found) and model_spec("endpoint:lab").note.endswith(found["frames"])
