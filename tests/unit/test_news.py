"""What `videval run` says while it works: why nothing moves, once, and nothing of other people's runs."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from tests.questions import make_run
from tests.seeding import LAB_ENTRY, add_endpoint, add_worker, new_database
from videval.cli.news import News
from videval.db import runs
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.db.tables import EndpointRow
from workers.device import Device, parse_devices

DOWN = "10 failures in a row, the last: lab cannot be asked: connection refused; nothing is sent for {} s"


@dataclass
class FakeFleet:
    """A fleet with a seat at endpoints."""

    devices: tuple[Device, ...] = tuple(parse_devices("api"))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = new_database(tmp_path)
    yield made
    made.close()


@pytest.fixture
def run(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunInfo:
    """A run at the endpoint `lab`."""
    (tmp_path / "endpoints.toml").write_text(LAB_ENTRY)
    monkeypatch.setenv("VIDEVAL_ENDPOINTS", str(tmp_path / "endpoints.toml"))
    run_id = make_run(database, tmp_path / "data", 2, model="endpoint:lab")
    with database.read() as connection:
        return runs.get_run(connection, run_id)


@pytest.fixture
def news(database: Database, run: RunInfo) -> News:
    return News(database, [run], FakeFleet())  # type: ignore[arg-type]


def now(database: Database, state: str, message: str | None = None, **more: Any) -> None:
    database.write(lambda c: c.execute(delete(EndpointRow)))
    add_endpoint(database, state=state, message=message, **more)


def heard(news: News, capsys: pytest.CaptureFixture[str]) -> list[str]:
    news.tell()
    return [line.strip() for line in capsys.readouterr().err.splitlines()]


def test_an_endpoint_that_is_away_is_told_once_with_its_reason_and_when_it_is_back(
    database: Database, news: News, capsys: pytest.CaptureFixture[str]
) -> None:
    now(database, "open")
    assert heard(news, capsys) == []
    now(database, "paused", DOWN.format(5))
    assert heard(news, capsys) == [f"endpoint lab: paused: {DOWN.format(5)}"]
    for state, message in (("paused", DOWN.format(3)), ("probing", "one request is sent to see")):
        now(database, state, message)
        assert heard(news, capsys) == []
    now(database, "open")
    assert heard(news, capsys) == ["endpoint lab answers again"]
    now(database, "paused", DOWN.format(20))
    assert heard(news, capsys) == [f"endpoint lab: paused: {DOWN.format(20)}"]


def test_failures_in_a_row_of_one_that_is_still_asked_are_told_once(
    database: Database, news: News, capsys: pytest.CaptureFixture[str]
) -> None:
    now(database, "open", "3 failures in a row, the last: 503")
    assert heard(news, capsys) == ["endpoint lab: open: 3 failures in a row, the last: 503"]
    for message in (None, "4 failures in a row, the last: 503"):
        now(database, "open", message)
        assert heard(news, capsys) == []


@pytest.mark.parametrize(("pause_s", "is_told"), [(5.0, False), (600.0, True)])
def test_a_429_is_told_where_it_stops_everything_for_long(
    pause_s: float, is_told: bool, database: Database, news: News, capsys: pytest.CaptureFixture[str]
) -> None:
    now(database, "closed", "it has too many requests (429)", figures={"pause_s": pause_s})
    assert bool(heard(news, capsys)) is is_told


def test_an_endpoint_that_others_ask_or_that_was_asked_long_ago_is_not_told_of(
    database: Database, run: RunInfo, news: News, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now(database, "paused", DOWN.format(5), ago=1800.0)
    assert heard(news, capsys) == []
    now(database, "paused", DOWN.format(5))
    with database.read() as connection:
        other = runs.get_run(connection, make_run(database, tmp_path / "data", 2))
    assert heard(News(database, [other], FakeFleet()), capsys) == []  # type: ignore[arg-type]


def test_what_workers_of_other_runs_say_is_not_told(
    database: Database, run: RunInfo, news: News, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, theirs = parse_devices("api")[0].id, "gpu7"
    add_worker(database, "own@here", device=mine, load_key=None, message="LAB_KEY is not set")
    add_worker(database, "serves@there", device=theirs, load_key=run.load_key, message="the disk is full")
    add_worker(database, "busy@here", device=mine, load_key="fake|fake", message="no data of MVBench")
    add_worker(database, "other@there", device=theirs, load_key=None, message="no such checkpoint")
    said = ["own@here: LAB_KEY is not set", "serves@there: the disk is full"]
    assert sorted(heard(news, capsys)) == said
    assert heard(news, capsys) == []
