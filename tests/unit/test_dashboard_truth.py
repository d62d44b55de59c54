"""What a page shows is so: of when it is, of which run it is, and every number whole."""

import json
import re
import threading
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import backend as shared
from dashboard import choose
from dashboard.busy import BusyMeter
from dashboard.store import SILENT_S, Store
from dashboard.table import Figure, Row, link, share
from dashboard.words import eta
from tests.dashboards import PAGES, Open, said, settled, table
from tests.dashboards import its_database as its_database
from tests.dashboards import opens_pages as opens_pages
from tests.dashboards import settings_of_this_test as settings_of_this_test
from tests.seeding import Seed, add_worker, seed_run, snapshot_of
from videval.db.session import Database
from videval.db.workers import list_workers
from videval.errors import DatabaseUnavailable


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def away() -> int:
    raise DatabaseUnavailable("the database is gone")


def badges(at: AppTest) -> str:
    return "\n".join(m.value for m in at.markdown).replace("\\", "")


# of when


def test_a_reading_says_its_age_once_the_database_is_gone() -> None:
    clock = Clock()
    store = Store(clock=clock)
    assert not store.get("key", lambda: 7, fresh_s=2.0, patience_s=60.0).is_stale
    clock.now += 12.0
    answer = store.get("key", away, fresh_s=2.0, patience_s=60.0)
    assert (answer.value, answer.age_s, answer.is_stale, answer.is_unanswered) == (7, 12.0, True, True)
    clock.now += 3.0
    answer = store.get("key", lambda: 8, fresh_s=2.0, patience_s=60.0)
    assert (answer.value, answer.age_s, answer.is_stale) == (8, 0.0, False)
    store.close()


@pytest.mark.parametrize(("waited_s", "is_stale", "is_unanswered"), [(1.0, False, False), (3.0, True, False)])
def test_a_reading_is_stale_after_two_periods_even_if_nothing_failed(
    waited_s: float, is_stale: bool, is_unanswered: bool
) -> None:
    clock, go = Clock(), threading.Event()
    store = Store(clock=clock)
    store.get("key", lambda: 7, fresh_s=2.0, patience_s=60.0)
    clock.now += 2.1
    store.get("key", lambda: go.wait(20), fresh_s=2.0, patience_s=0.0)  # a database that hangs
    clock.now += waited_s
    answer = store.get("key", lambda: 9, fresh_s=2.0, patience_s=0.0)
    assert (answer.value, answer.is_stale, answer.is_unanswered) == (7, is_stale, is_unanswered)
    clock.now += SILENT_S
    assert store.get("key", lambda: 9, fresh_s=2.0, patience_s=0.0).is_unanswered
    go.set()
    store.close()


def test_what_takes_long_to_read_has_longer_periods() -> None:
    clock = Clock()
    store = Store(clock=clock)

    def slow() -> int:
        clock.now += 3.0
        return 7

    store.get("key", slow, fresh_s=2.0, patience_s=60.0)
    clock.now += 29.0
    assert not store.get("key", slow, fresh_s=2.0, patience_s=60.0).is_stale
    store.close()


@pytest.mark.parametrize("page", ["runs", "run", "samples", "fleet"])
def test_a_page_opened_anew_without_a_database_says_of_when_it_is(
    database: Database,
    opened: Open,
    monkeypatch: pytest.MonkeyPatch,
    page: str,
) -> None:
    seed_run(database, Seed(done=60))
    add_worker(database, "gpu0@host")
    assert "does not answer" not in badges(opened(page))
    reading = shared.backend().database
    monkeypatch.setattr(type(reading), "read", lambda _: away())
    shared.backend().store.forget()
    at = opened(page)
    assert "as of " in badges(at)
    assert "the database does not answer" in badges(at)
    assert said(at)
    assert any("grayscale" in element.proto.body for element in at.get("html"))


def test_a_page_that_was_never_read_says_that_nobody_answers(
    database: Database,
    opened: Open,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seed_run(database, Seed(done=60))
    shared.backend()
    monkeypatch.setattr(type(shared.backend().database), "read", lambda _: away())
    assert "the database is gone" in said(opened("runs"))


# of which run


def query(at: AppTest) -> dict[str, list[str]]:
    return {name: [v] if isinstance(v, str) else list(v) for name, v in dict(at.query_params).items()}


def test_the_address_holds_the_run_and_nothing_that_is_not_of_the_page(database: Database, opened: Open) -> None:
    seed_run(database, Seed(done=60, model="alpha"))
    seed_run(database, Seed(done=60, model="beta"))
    older = "table_8frame--alpha--1"
    assert query(opened("run", run=older, a="x", sample="q1")) == {"run": [older]}
    kept = {"run": older, "outcome": "wrong", "video": "clip", "sample": "q7"}
    assert query(opened("samples", **kept, b="x")) == {k: [v] for k, v in kept.items()}
    for page in ("runs", "fleet"):
        assert query(opened(page, run=older, sample="q1")) == {}


def test_a_page_without_a_run_in_its_address_shows_the_last_one_and_writes_it_there(
    database: Database, opened: Open
) -> None:
    seed_run(database, Seed(done=60, model="alpha"))
    seed_run(database, Seed(done=60, model="beta"))
    at = opened("run", run="table_8frame--alpha--1")
    at.query_params.clear()
    at.switch_page("views/samples.py")
    settled(at)
    assert query(at) == {"run": ["table_8frame--alpha--1"]}
    assert at.session_state[choose.LAST_RUN] == "table_8frame--alpha--1"


@pytest.fixture
def three(database: Database) -> tuple[str, str, str]:
    """Two runs on the same questions and one on others."""
    first = seed_run(database, Seed(done=100, right=90, model="alpha"))
    seed_run(database, Seed(done=100, right=20, model="beta"), snapshot=snapshot_of(database, first))
    seed_run(database, Seed(done=100, model="gamma", variant="other_8frame"))
    return "table_8frame--alpha--1", "table_8frame--beta--2", "other_8frame--gamma--1"


def names(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.exec_driver_sql("SELECT name FROM runs ORDER BY id").scalars())


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (0, 2, "is on other questions and cannot be compared with"),
        (0, None, "There is no run nobody here"),
        (2, 0, "is on other questions and cannot be compared with"),
        (0, 0, "is compared with itself"),
        (None, 0, "There is no run nobody here"),
    ],
)
def test_a_run_that_cannot_be_compared_is_named_and_none_is_put_in_its_place(
    database: Database,
    opened: Open,
    three: tuple[str, str, str],
    a: int | None,
    b: int | None,
    words: str,
) -> None:
    runs = names(database)
    asked = {side: "nobody" if at is None else runs[at] for side, at in (("a", a), ("b", b))}
    at = opened("compare", **asked)
    assert words in said(at)
    assert "is better by" not in said(at)
    again = settled(at)
    assert words in said(again)
    assert "is better by" not in said(again)


# every number


def test_numbers_come_with_their_sign_and_nothing_is_called_none(database: Database, opened: Open) -> None:
    seed_run(database, Seed(questions=20, done=20, right=100))
    seed_run(database, Seed(questions=20, done=0, model="new"))
    rows = table(opened("runs"), "All runs").set_index("model")
    assert list(rows["score"]) == ["–", "100.0 %"]
    assert rows.loc["fake", "95 % interval"].endswith("to 100.0 %")
    for page in PAGES:
        for element in opened(page).get("bidi_component"):
            assert "None" not in element.proto.json
            assert "nan" not in element.proto.json


def test_a_row_leads_where_its_link_does(database: Database, opened: Open) -> None:
    seed_run(database, Seed(done=60))
    for page, name, where in (
        ("runs", "All runs", "run?run=table_8frame--fake--1"),
        ("samples", "Samples", "samples?run=table_8frame--fake--1&sample=q0"),
        ("run", "Slowest requests", "samples?run=table_8frame--fake--1&sample=q"),
    ):
        shown = [json.loads(e.proto.json) for e in opened(page).get("bidi_component") if "columns" in e.proto.json]
        rows = next(t["rows"] for t in shown if t["name"] == name)
        assert rows[0]["href"].startswith(where)


@pytest.mark.parametrize(
    ("value", "text"), [(share(1.0), "100.0 %"), (share(None), "–"), (share(0.0, 0, bar=True), "0 %")]
)
def test_a_share_is_said_as_per_cent(value: Figure, text: str) -> None:
    assert value.text == text


def test_an_address_leaves_out_what_is_empty_and_escapes_the_rest() -> None:
    assert link("samples", run="a&b", sample="", text="x y") == "samples?run=a%26b&text=x+y"
    assert Row(cells={}).href == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.602, "a few seconds"), (9.9, "a few seconds"), (10.0, "10 s"), (600.0, "10 min"), (None, "–")],
)
def test_nobody_foretells_milliseconds(seconds: float | None, words: str) -> None:
    assert eta(seconds) == words


def test_without_a_rate_there_is_no_time_left(database: Database, opened: Open) -> None:
    seed_run(database, Seed(done=60))
    add_worker(database, "gpu0@host")
    database.write(lambda c: c.exec_driver_sql("UPDATE responses SET created_at = created_at - 3600"))
    at = opened("run")
    figures = {m.label: m.value for m in at.metric}
    assert (figures["Rate now"], figures["Time left"]) == ("–", "–")
    assert "no answer of late to plan with" in said(at)


def test_groups_with_numbers_stand_in_their_natural_order(database: Database, opened: Open) -> None:
    seed_run(database, Seed(done=100))
    number = "CASE json_extract(row, '$.task_type') WHEN 'Action Sequence' THEN 'task 10' ELSE 'task 2' END"
    database.write(lambda c: c.exec_driver_sql(f"UPDATE samples SET row = json_set(row, '$.task_type', {number})"))
    assert list(table(opened("run"), "Scores by group")["group"]) == ["task 2", "task 10", "overall"]
    assert opened("samples").selectbox(key="group-task_type").options == ["all", "task 2", "task 10"]


# who works


def test_a_lost_worker_is_no_trouble_once_a_new_one_holds_its_device(database: Database, opened: Open) -> None:
    add_worker(database, "gpu0@host", state="lost", silent_s=130)
    add_worker(database, "gpu1@host", state="lost", silent_s=130)
    assert "2 in trouble" in said(opened("fleet"))
    database.write(lambda c: c.exec_driver_sql("UPDATE workers SET id = 'old' WHERE id = 'gpu0@host'"))
    add_worker(database, "gpu0@host")
    database.write(
        lambda c: c.exec_driver_sql("UPDATE workers SET started_at = heartbeat_at - 118 WHERE id = 'gpu0@host'")
    )
    shared.backend().store.forget()
    text = said(opened("fleet"))
    assert "1 in trouble" in text
    assert "gpu0@host restarted 2 min ago" in text
    assert "gpu1@host lost" in text.replace("*", "")


def test_devices_are_as_busy_as_in_the_last_minute(database: Database) -> None:
    meter = BusyMeter()
    add_worker(database, "gpu0@host", state="idle")

    def later(seconds: float, busy_s: float) -> Any:
        database.write(
            lambda c: c.exec_driver_sql(
                "UPDATE workers SET started_at = started_at - ?, busy_s = busy_s + ?", (seconds, busy_s)
            )
        )
        with database.read() as connection:
            found = list_workers(connection)
        meter.note(found)
        return meter.of(found)

    first = later(0.0, 0.0)
    assert (first.minute, round(first.share, 2), first.of_what) == (
        None,
        0.91,
        "of the time since their workers started",
    )
    assert later(5.0, 0.0).minute is None
    for _ in range(20):
        now = later(10.0, 1.0)
    assert now.minute == pytest.approx(0.1, abs=0.01)
    assert now.mean > 0.7
    assert now.of_what == "of the last minute"


def test_the_list_is_narrowed_by_kind_of_failure_worker_and_video(database: Database, opened: Open) -> None:
    seed_run(database, Seed(done=80, failed=6))
    database.write(
        lambda c: c.exec_driver_sql(
            "UPDATE requests SET error_kind = 'crash' WHERE key IN ('sample:q80', 'sample:q83')"
        )
    )
    database.write(
        lambda c: c.exec_driver_sql(
            "UPDATE attempts SET worker = 'gpu9@far' WHERE request_id IN (SELECT id FROM requests WHERE position < 3)"
        )
    )

    def keys(**wanted: str) -> list[str]:
        return list(table(opened("samples", **wanted), "Samples")["sample"])

    assert keys(outcome="failed", kind="crash") == ["q80", "q83"]
    assert keys(kind="video") == ["q81", "q82", "q84", "q85"]
    assert keys(worker="gpu9") == ["q0", "q1", "q2"]
    assert keys(video="clip1.mp4") == ["q4", "q5", "q6", "q7"]
    links = [e.proto.label for e in opened("run").get("page_link")]
    assert any("show all 4 of kind video" in x for x in links)


def test_a_page_is_named_in_the_browsers_tab(database: Database, monkeypatch: pytest.MonkeyPatch, opened: Open) -> None:
    titles: list[str] = []
    monkeypatch.setattr("dashboard.choose.st.set_page_config", lambda **what: titles.append(what.get("page_title", "")))
    seed_run(database, Seed(done=61))
    opened("run")
    assert titles[-1] == "61 % table_8frame · videval"
    seed_run(database, Seed(done=100, variant="done_8frame"))
    shared.backend().store.forget()
    opened("run", run="done_8frame--fake--2")
    assert titles[-1] == "✓ done_8frame · videval"


def test_failures_name_every_video_and_how_often(database: Database, opened: Open) -> None:
    seed_run(database, Seed(done=80, failed=6))
    database.write(lambda c: c.exec_driver_sql("UPDATE requests SET error = video || ': cannot be decoded'"))
    text = said(opened("run"))
    assert "2 videos: clip20.mp4 (4), clip21.mp4 (2)" in text
    assert "clip20.mp4: cannot" not in text


def test_what_a_benchmark_gives_by_name_stands_beside_the_score(database: Database, opened: Open) -> None:
    run = seed_run(database, Seed(done=100))
    assert "mean of the task_type scores: 70.0 %" in said(opened("run"))
    original = "CASE json_extract(row, '$.task_type') WHEN 'State Change' THEN 'original' ELSE 'dropping' END"
    database.write(lambda c: c.exec_driver_sql(f"UPDATE samples SET row = json_set(row, '$.tamper_type', {original})"))
    for change in (
        f"UPDATE runs SET benchmark = 'MVTamperBench' WHERE id = {run}",
        "UPDATE snapshots SET columns = json_insert(columns, '$[#]', 'tamper_type')",
    ):
        database.write(lambda c, change=change: c.exec_driver_sql(change))
    shared.backend().close()
    shared._backend.clear()  # type: ignore[attr-defined]
    numbers = table(opened("run"), "Numbers of groups")
    assert list(numbers) == ["group", "precision", "recall", "F1"]
    assert list(numbers["group"]) == ["dropping", "mean"]
    assert all(re.fullmatch(r"[\d.]+ % \([\d.]+ % to [\d.]+ %\)", value) for value in numbers["F1"])
