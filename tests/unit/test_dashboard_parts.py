"""The parts behind the pages: store, words, who may look, scores, frames, files, and that nothing is written."""

import io
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import altair
import numpy as np
import openpyxl
import pytest
from sqlalchemy import event

from dashboard import charts, video, words
from dashboard.access import is_loopback
from dashboard.data import Data
from dashboard.downloads import Exports, Ready
from dashboard.frames import FrameShop, Seen, path_of
from dashboard.store import Store
from dashboard.video import played_span
from tests.seeding import Seed, add_worker, new_database, seed_run, settings_for
from videval import report
from videval.db import runs, stats
from videval.db.browse import SampleFilter
from videval.db.records import RunInfo
from videval.db.session import Database, open_database
from videval.errors import DatabaseUnavailable, VideoFailure, VidevalError
from videval.export import ExportFormat
from videval.report import ScoreBook
from videval.types import ClipRef
from videval.video.encode import write_video


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = new_database(tmp_path)
    yield made
    made.close()


@pytest.fixture
def store() -> Iterator[Store]:
    made = Store()
    yield made
    made.close()


def info(database: Database, run_id: int) -> RunInfo:
    with database.read() as connection:
        return next(r for r in runs.list_runs(connection) if r.run_id == run_id)


def test_a_slow_answer_is_not_waited_for_and_is_there_next_time(store: Store) -> None:
    go = threading.Event()

    def slow() -> int:
        assert go.wait(60)
        return 7

    assert store.get("x", slow, fresh_s=1.0, patience_s=0.05).is_pending, "it comes after this only"
    go.set()
    assert store.get("x", slow, fresh_s=1.0, patience_s=60.0).value == 7


def test_many_who_ask_at_once_cost_one_query(store: Store) -> None:
    calls = []

    def fetch() -> int:
        calls.append(1)
        time.sleep(0.1)
        return len(calls)

    how = {"fresh_s": 9, "patience_s": 60}
    threads = [threading.Thread(target=store.get, args=("x", fetch), kwargs=how) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_what_took_long_rests_ten_times_as_long() -> None:
    now = [0.0]
    store, calls = Store(clock=lambda: now[0]), []

    def fetch() -> int:
        calls.append(now[0])
        now[0] += 3.0
        return len(calls)

    for moment in (0.0, 5.0, 20.0, 34.0):
        now[0] = max(now[0], moment)
        store.get("x", fetch, fresh_s=1.0, patience_s=60.0)
    assert calls == [0.0, 34.0]
    store.close()


def test_the_old_value_is_shown_while_a_new_one_is_read(store: Store) -> None:
    assert store.get("x", lambda: 1, fresh_s=0.0, patience_s=60.0).value == 1
    store.forget()
    go = threading.Event()
    assert store.get("x", lambda: go.wait(60) and 2, fresh_s=0.0, patience_s=0.01).value == 1
    go.set()


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own")
def test_reading_steps_back_behind_the_workers_and_the_rest_does_not(store: Store) -> None:
    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    mine = priority()
    theirs = store.get("x", priority, fresh_s=9.0, patience_s=60.0).value
    assert theirs is not None
    assert theirs > mine
    assert priority() == mine


def test_an_error_is_an_answer_and_none_is_a_value(store: Store) -> None:
    def fail() -> int:
        raise DatabaseUnavailable("gone", hint="start it")

    found = store.get("x", fail, fresh_s=1.0, patience_s=60.0)
    assert isinstance(found.error, DatabaseUnavailable)
    assert not found.is_pending
    assert not store.get("y", lambda: None, fresh_s=1.0, patience_s=60.0).is_pending


def test_what_nobody_foresaw_is_an_error_too_and_not_read_for_ever(store: Store) -> None:
    def broken() -> int:
        return {}["no such key"]

    store.get("key", lambda: 1, fresh_s=0.0, patience_s=60.0)
    store.forget()
    answer = store.get("key", broken, fresh_s=0.0, patience_s=60.0)
    assert isinstance(answer.error, VidevalError)
    assert "no such key" in str(answer.error)
    assert not answer.is_pending
    assert answer.value is None


def test_what_failed_after_long_is_asked_for_again_soon() -> None:
    now = [0.0]
    store = Store(clock=lambda: now[0])

    def slow_failure() -> int:
        now[0] += 30.0
        raise DatabaseUnavailable("gone")

    assert store.get("key", slow_failure, fresh_s=2.0, patience_s=60.0).error is not None
    now[0] += 3.0
    assert store.get("key", lambda: 7, fresh_s=2.0, patience_s=60.0).value == 7
    store.close()


def test_what_was_being_read_while_something_changed_is_read_again(store: Store) -> None:
    began, go_on = threading.Event(), threading.Event()

    def old() -> str:
        began.set()
        assert go_on.wait(60)
        return "before the change"

    store.get("key", old, fresh_s=60.0, patience_s=0.0)
    assert began.wait(60)
    store.forget()
    go_on.set()
    wait_for(lambda: store.get("key", lambda: "after it", fresh_s=60.0, patience_s=1.0).value == "after it" or None)


def test_the_store_forgets_what_was_asked_for_longest_ago() -> None:
    store, calls = Store(size=2), []
    for key in "abca":
        store.get(key, lambda key=key: calls.append(key), fresh_s=99.0, patience_s=60.0)
    assert calls == ["a", "b", "c", "a"]
    store.close()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "–"), (0, "0 s"), (0.0123, "12 ms"), (4.21, "4.2 s"), (61, "61 s"), (540, "9 min"),
        (7800, "2 h 10 min"), (7200, "2 h"), (280_000, "3 d 5 h"),
    ],
)  # fmt: skip
def test_durations_are_said_with_their_units(seconds: float | None, said: str) -> None:
    assert words.duration(seconds) == said


def test_rates_are_said_with_their_units() -> None:
    assert [words.rate(r) for r in (0.0, 250.0, 5.0, 0.05, 0.001)] == ["–", "250/s", "5.0/s", "3.0/min", "3.6/h"]


def test_shares_are_rounded_down_where_all_would_be_a_claim() -> None:
    assert words.percent(words.floored(299 / 300)) == "99.6 %"
    assert words.percent(words.floored(1.0)) == "100.0 %"
    assert words.percent(words.floored(0.29, 2), 0) == "29 %"


def test_a_difference_of_nothing_has_no_sign() -> None:
    assert words.points(-0.0001) == words.points(0.0) == "0.0 pts"
    assert (words.points(-0.1), words.points(0.1)) == ("-10.0 pts", "+10.0 pts")


@pytest.mark.parametrize("sign", list(r"\`*_{}[]()<>#+-.!|~$:&"))
def test_every_sign_of_markdown_is_made_harmless(sign: str) -> None:
    assert words.plain(f"a{sign}b") == f"a\\{sign}b"


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("localhost", True), ("::1", True), ("[::1]", True),
        (None, False), ("", False), ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("host", False),
    ],
)  # fmt: skip
def test_only_this_machine_is_let_in_without_a_password(address: str | None, loopback: bool) -> None:
    assert is_loopback(address) is loopback


def test_scores_are_computed_again_only_when_answers_came(database: Database) -> None:
    run_id = seed_run(database, Seed(done=50))
    book = ScoreBook(database)
    status = report.run_status(database, info(database, run_id))
    first = book.one(status)
    assert book.one(status) is first
    assert book.all([status], budget_s=1.0) == {run_id: first}


def test_scores_of_many_runs_come_as_the_budget_allows(database: Database) -> None:
    for _ in range(5):
        seed_run(database, Seed(questions=8, done=8))
    statuses, book = report.run_statuses(database), ScoreBook(database)
    assert len(book.all(statuses, budget_s=-1.0)) == 0
    assert len(book.all(statuses, budget_s=30.0)) == 5


def test_a_run_whose_benchmark_is_gone_takes_no_other_scores_away(database: Database) -> None:
    good = seed_run(database, Seed(questions=8, done=8))
    gone = seed_run(database, Seed(questions=8, done=8))
    database.write(lambda c: c.exec_driver_sql(f"UPDATE runs SET benchmark = 'plugin_that_left' WHERE id = {gone}"))
    statuses, book = report.run_statuses(database), ScoreBook(database)
    assert list(book.all(statuses, budget_s=30.0)) == [good]


def a_data(database: Database, home: Path, store: Store) -> Data:
    return Data(settings_for(home), database, store, ScoreBook(database), patience_s=30.0)


def test_a_filter_finds_what_it_should_and_steps_in_both_directions(
    database: Database, tmp_path: Path, store: Store
) -> None:
    run = info(database, seed_run(database, Seed(done=60, failed=10, running=5)))
    data = a_data(database, tmp_path, store)

    def keys(**wanted: str) -> list[str]:
        found = data.samples(run, SampleFilter(**wanted), 0, limit=1000).value
        assert found is not None
        return [line.key for line in found.lines]

    assert len(keys()) == 100
    assert len(keys(outcome="right") + keys(outcome="wrong") + keys(outcome="unparsed")) == 60
    assert keys(outcome="failed") == [f"q{i}" for i in range(60, 70)]
    assert len(keys(outcome="waiting")) == 30
    assert len(keys(column="task_type", group="State Change")) == 25
    assert keys(text="question 42?") == ["q42"]
    assert keys(text="100%") == []
    lines = data.samples(run, SampleFilter(outcome="failed"), 0, limit=3).value
    assert lines is not None
    after = data.neighbour(run, SampleFilter(outcome="failed"), lines.lines[1].row_id, 1).value
    before = data.neighbour(run, SampleFilter(outcome="failed"), lines.lines[1].row_id, -1).value
    assert after is not None and before is not None
    assert [line.key for line in (*before.lines, *after.lines)] == ["q60", "q62"]
    more = data.samples(run, SampleFilter(outcome="failed"), lines.next_id or 0, limit=3).value
    assert more is not None
    assert [line.key for line in more.lines] == ["q63", "q64", "q65"]


def test_a_read_only_database_takes_no_writes(database: Database, tmp_path: Path) -> None:
    seed_run(database, Seed(questions=4, done=4))
    looking = open_database(settings_for(tmp_path), read_only=True)
    with pytest.raises(DatabaseUnavailable, match="readonly"), looking.read() as connection:
        connection.exec_driver_sql("DELETE FROM runs")
    looking.close()


def test_no_page_writes_and_no_reader_is_open_for_a_second(tmp_path: Path, store: Store) -> None:
    made = new_database(tmp_path)
    run_id = seed_run(made, Seed(questions=50_000, done=40_000, failed=50))
    add_worker(made, "gpu0@host")
    made.close()
    looking = open_database(settings_for(tmp_path), read_only=True, pool_size=6)
    statements: list[str] = []
    held: list[float] = []

    @event.listens_for(looking.engine, "before_cursor_execute")
    def note(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        statements.append(statement)

    @event.listens_for(looking.engine, "checkout")
    def begin(connection: Any, record: Any, proxy: Any) -> None:
        record.info["since"] = time.thread_time()

    @event.listens_for(looking.engine, "checkin")
    def end(connection: Any, record: Any) -> None:
        held.append(time.thread_time() - record.info["since"])

    data, run = a_data(looking, tmp_path, store), info(looking, run_id)
    overview = data.overview().value
    status = data.run(run).value
    assert overview is not None and status is not None
    for answer in (
        data.scores(overview), data.score(status), data.timeline(run), data.converging(run), data.time_spent(run),
        data.failures(run), data.card(run), data.workers(), data.health(), data.compare(run, run),
        data.samples(run, SampleFilter(outcome="failed"), 0), data.sample(run, "q7"),
    ):  # fmt: skip
        assert answer.error is None and answer.value is not None
    assert {s.split()[0].upper() for s in statements} <= {"SELECT", "BEGIN", "WITH"}
    assert max(held) < 1.0, f"a reader was open for {max(held):.2f} s of work"
    looking.close()


def test_the_pages_ask_the_broker_for_lengths_only(
    database: Database, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    import redis

    asked: list[str] = []

    def execute(self: Any, *args: Any, **options: Any) -> Any:
        asked.append(str(args[0]))
        raise redis.ConnectionError("away")

    monkeypatch.setattr(redis.Redis, "execute_command", execute)
    seed_run(database, Seed(done=5))
    health = a_data(database, tmp_path, store).health().value
    assert health is not None and health.broker_s is None
    assert health.broker_error
    assert set(asked) <= {"PING", "LLEN", "HLEN"}


@pytest.mark.parametrize(
    ("span", "played"),
    [
        (None, (0, None)),
        ((5.0, 7.9), (5, 8)),
        ((5.2, 5.7), (5, 6)),
        ((5.0, 5.0), (5, 6)),
        ((9.0, 4.0), (4, 9)),
        ((-3.0, -1.0), (0, 1)),
        ((2.0, float("inf")), (0, None)),
        ((float("nan"), 4.0), (0, None)),
        ((1.7e12, 1.7e12 + 5), (0, None)),
    ],
)
def test_the_player_shows_all_of_a_span_whatever_the_dataset_says(
    span: tuple[float, float] | None, played: tuple[int, int | None]
) -> None:
    assert played_span(span) == played


@pytest.mark.parametrize("path", ["/etc/passwd", "../outside.mp4", "a/../../b.mp4", "link.mp4", ""])
def test_a_video_outside_of_the_data_root_is_never_served(database: Database, tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link.mp4").symlink_to("/etc/passwd")
    run_id = seed_run(database, Seed(questions=4, done=4, data_root=str(root)))
    with database.read() as connection:
        config = stats.config_of_run(connection, run_id)
    with pytest.raises(VideoFailure):
        path_of(config, path, allow_symlinks=False)


def wait_for(look: Any, seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while (found := look()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def test_the_frames_are_decoded_again_in_a_process_of_their_own(database: Database, tmp_path: Path) -> None:
    frames = np.zeros((20, 48, 64, 3), np.uint8)
    frames[:] = np.arange(20, dtype=np.uint8)[:, None, None, None] * 10
    write_video(tmp_path / "clip0.mp4", frames, 10.0)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    run_id = seed_run(database, Seed(questions=4, done=4, data_root=str(tmp_path)))
    with database.read() as connection:
        config = stats.config_of_run(connection, run_id)
    shop, ref = FrameShop(), ClipRef(video="clip0.mp4")
    seen: Seen = wait_for(lambda: shop.get(tmp_path / "clip0.mp4", config, ref, 3.0, wait_s=0.1))
    assert seen.error == ""
    assert len(seen.images) == len(seen.numbers) == len(seen.times) == 8
    assert seen.total == 20
    assert seen.codec == "h264"
    assert all(image.startswith(b"\xff\xd8") for image in seen.images)
    bad: Seen = wait_for(lambda: shop.get(tmp_path / "broken.mp4", config, ref, 3.0, wait_s=0.1))
    assert "broken.mp4" in bad.error
    shop.close()


def test_frames_that_found_no_room_are_decoded_again_next_time(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [OSError(28, "No space left on device"), ValueError("no JSON")]

    def fails(_: Any) -> Seen:
        raise said.pop(0)

    monkeypatch.setattr("dashboard.frames._decoded", fails)
    (tmp_path / "clip0.mp4").write_bytes(b"video")
    run_id = seed_run(database, Seed(questions=4, done=4, data_root=str(tmp_path)))
    with database.read() as connection:
        config = stats.config_of_run(connection, run_id)
    shop, ref = FrameShop(), ClipRef(video="clip0.mp4")
    for reason in ("No space left", "no JSON"):
        seen: Seen = wait_for(lambda: shop.get(tmp_path / "clip0.mp4", config, ref, 3.0, wait_s=0.1))
        assert reason in seen.error
    shop.close()


@pytest.mark.parametrize("format", ["xlsx", "tsv", "jsonl", "parquet", "json"])
def test_a_download_holds_every_question_in_its_order(database: Database, format: ExportFormat) -> None:
    run = info(database, seed_run(database, Seed(done=60, failed=4)))
    exports, status = Exports(database), report.run_status(database, run)
    assert not exports.is_asked_for(run, format)
    exports.begin(status, format)
    ready: Ready = wait_for(lambda: exports.ready(run, format))
    assert (ready.error, ready.rows) == ("", 100)
    assert ready.name.endswith(f".{format}")
    if format == "xlsx":
        book = openpyxl.load_workbook(io.BytesIO(ready.content), read_only=True)
        rows = list(book.worksheets[0].iter_rows(values_only=True))
        assert [row[0] for row in rows[1:4]] == ["q0", "q1", "q2"]
        book.close()
    exports.close()


def test_a_file_of_a_run_that_went_on_is_outdated_and_only_the_last_files_are_kept(database: Database) -> None:
    run = info(database, seed_run(database, Seed(done=60)))
    exports, status = Exports(database), report.run_status(database, run)
    exports.begin(status, "tsv")
    assert exports.answers_if_outdated(status, "tsv") is None
    database.write(
        lambda c: c.exec_driver_sql("UPDATE requests SET status = 'failed' WHERE position = 70 AND status = 'queued'")
    )
    database.write(runs.recount, run.run_id)
    later = report.run_status(database, run)
    assert exports.answers_if_outdated(later, "tsv") == 60
    exports.begin(later, "tsv")
    assert exports.answers_if_outdated(later, "tsv") is None
    for _ in range(8):
        other = info(database, seed_run(database, Seed(questions=4, done=4)))
        exports.begin(report.run_status(database, other), "tsv")
    assert not exports.is_asked_for(run, "tsv")
    assert exports.ready(run, "tsv") is None
    assert exports.is_asked_for(other, "tsv")
    exports.close()


def test_a_file_that_cannot_be_written_says_why(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dashboard.downloads.export_table", full)
    run = info(database, seed_run(database, Seed(done=60)))
    exports = Exports(database)
    exports.begin(report.run_status(database, run), "tsv")
    ready: Ready = wait_for(lambda: exports.ready(run, "tsv"))
    assert "No space left on device" in ready.error
    exports.close()


def test_every_chart_is_drawn_from_what_the_report_says(database: Database) -> None:
    run = info(database, seed_run(database, Seed(done=60, failed=4)))
    index = report.load_index(database, run.snapshot_id, report.group_columns(run))
    score = report.score_report(database, run)
    points = report.converging(run, index, report.load_verdicts(database, run, index, with_time=True))
    course = report.timeline(database, run)
    same = report.compare(database, run, run, index)
    for chart in (
        charts.progress(course, 100),
        charts.throughput(course),
        charts.stages(report.time_spent(database, run)),
        charts.scores(score.groups["task_type"], score.overall),
        charts.convergence(points),
        charts.differences(same.groups["task_type"]),
    ):
        altair.Chart.from_dict(chart.spec | {"data": {"values": []}})  # it fits the schema
        assert fields(chart.spec) <= set(chart.data.columns)


def test_a_legend_stands_beside_what_is_drawn_and_questions_are_counted_in_whole_numbers() -> None:
    assert charts.progress([], 100).spec["encoding"]["color"]["legend"]["orient"] == "top"
    band, line = charts.convergence([]).spec["layer"]
    assert {layer["encoding"]["x"]["axis"]["tickMinStep"] for layer in (band, line)} == {1}


def fields(spec: Any) -> set[str]:
    """Every column that a Vega-Lite specification names."""
    if isinstance(spec, dict):
        own = {spec["field"]} if isinstance(spec.get("field"), str) else set()
        return own.union(*map(fields, spec.values()))
    return set[str]().union(*map(fields, spec)) if isinstance(spec, list) else set()


def test_a_refreshed_chart_gets_new_rows_and_nothing_else(database: Database) -> None:
    run = info(database, seed_run(database, Seed(done=60, failed=4)))
    course = report.timeline(database, run)
    before, after = charts.progress(course[:-2], 100), charts.progress(course, 100)
    assert before.spec == after.spec
    assert len(before.data) < len(after.data)


@pytest.mark.parametrize(
    ("name", "codec", "unplayable", "words"),
    [
        ("clip.mp4", "h264", (), ""),
        ("clip.mp4", "", (), ""),
        ("clip.mp4", "hevc", (), ""),
        ("clip.mp4", "hevc", ("clip.mp4",), "This browser cannot play HEVC (H.265)."),
        ("clip.mp4", "", ("clip.mp4",), "This browser cannot play this video."),
        ("clip.mp4", "mpeg4", (), "Browsers do not play MPEG-4 Part 2."),
        ("clip.mkv", "prores", (), "Browsers do not play prores."),
        ("clip.avi", "h264", (), "Browsers do not play .avi files."),
        ("folder", "", (), "The video is a folder of images."),
    ],
)
def test_what_a_browser_cannot_play_is_said_by_its_codec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, codec: str, unplayable: tuple[str, ...], words: str
) -> None:
    if name == "folder":
        (tmp_path / name).mkdir()
    monkeypatch.setattr(video.st, "session_state", {video.UNPLAYABLE: {str(tmp_path / n) for n in unplayable}})
    assert video._obstacle(tmp_path / name, codec).startswith(words)
    assert bool(video._obstacle(tmp_path / name, codec)) is bool(words)
