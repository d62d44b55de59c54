"""Opening and writing the database: what is refused, what is never seen, what comes back to the character."""

import fcntl
import multiprocessing
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from sqlalchemy import event, insert, make_url, select, text

from tests.questions import database_time, make_run, request_ids
from tests.servers import postgres, settings_for
from videval.db import runs, session, turns
from videval.db.connect import refuse_network_file_system
from videval.db.schema import ensure_schema
from videval.db.session import Connection, Database, open_database
from videval.db.tables import ChoreRow, RunRow
from videval.errors import DatabaseUnavailable, EnvironmentProblem, StatementRefused
from videval.types import RunState

SPAWN = multiprocessing.get_context("spawn")
MOUNTS = [("/", "ext4"), ("/home", "nfs4"), ("/home/me/scratch", "xfs"), ("/lustre", "lustre"), ("/s", "fuse.sshfs")]
AWKWARD = [
    "",
    " ",
    "\x00",
    "a\x00b",
    "\ud800",
    "lone \udfff surrogate",
    "\ufdd0",
    "\ufdd0 begins like an escape",
    "\ufffe\uffff",
    "naïve ✓ 漢字 🎬",
    "'; DROP TABLE runs; --",
    "nan",
    "None",
    "null",
    "=1+1",
    "\r\n\t\x01\x1f\x7f",
    "x" * 100_000,
    "\\u0000",
]


@pytest.mark.parametrize("folder", ["/home/me", "/lustre/x", "/s"])
def test_a_network_file_system_is_refused_with_a_place_to_go(folder):
    with pytest.raises(EnvironmentProblem, match="network file system") as raised:
        refuse_network_file_system(Path(folder), MOUNTS)
    assert "export VIDEVAL_HOME=/var/tmp/" in raised.value.hint


@pytest.mark.parametrize("folder", ["/home/me/scratch/videval", "/var/lib", "/lustrelike"])
def test_a_local_disk_is_not_refused(folder):
    refuse_network_file_system(Path(folder), MOUNTS)


@pytest.mark.parametrize(
    "url", ["nonsense", "mysql://me:secret@host/db", "postgresql+psycopg://me:secret@127.0.0.1:1/x"]
)
def test_a_database_that_cannot_be_says_so_and_keeps_the_password(tmp_path, url):
    with pytest.raises(DatabaseUnavailable) as raised:
        opened = open_database(settings_for(tmp_path, database_url=url))
        with opened.read():
            pass
    assert "secret" not in f"{raised.value} {raised.value.hint}"


def test_a_home_that_cannot_be_made_says_which_variable_to_set(tmp_path):
    (tmp_path / "home").write_text("a file")
    with pytest.raises(DatabaseUnavailable) as raised:
        open_database(settings_for(tmp_path))
    assert raised.value.hint == "set VIDEVAL_HOME"


def test_a_database_without_tables_says_how_to_make_them(database_settings):
    opened = open_database(database_settings)
    with pytest.raises((DatabaseUnavailable, Exception), match=r"no such table|does not exist"):
        opened.write(lambda c: runs.list_runs(c))
    opened.close()


def test_sqlite_is_opened_so_that_readers_do_not_wait_for_writers(tmp_path):
    opened = open_database(settings_for(tmp_path))
    ensure_schema(opened)
    with opened.read() as connection:
        asked = {
            p: connection.execute(text(f"PRAGMA {p}")).scalar()
            for p in ("journal_mode", "foreign_keys", "busy_timeout")
        }
    assert asked == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 30000}
    opened.close()


def test_read_only_reads_and_cannot_write(database, database_settings, tmp_path):
    make_run(database, tmp_path / "data")
    opened = open_database(database_settings, read_only=True)
    with opened.read() as connection:
        assert len(runs.list_runs(connection)) == 1
    with pytest.raises(Exception, match=r"readonly|read-only"):
        opened.write(lambda c: runs.set_state(c, 1, RunState.PAUSED))
    opened.close()


def test_a_writer_waits_for_another_one_instead_of_saying_locked(database, database_settings, tmp_path):
    other = open_database(database_settings)
    entered, leave = threading.Event(), threading.Event()

    def slowly(connection) -> None:
        connection.execute(insert(ChoreRow).values(name="slow", done_at=1.0))
        entered.set()
        leave.wait(20)

    slow = threading.Thread(target=other.write, args=(slowly,))
    slow.start()
    assert entered.wait(20)
    threading.Timer(0.7, leave.set).start()
    began = time.monotonic()
    database.write(lambda c: c.execute(insert(ChoreRow).values(name="quick", done_at=2.0)))
    slow.join()
    other.close()
    with database.read() as connection:
        assert set(connection.execute(select(ChoreRow.name)).scalars()) == {"slow", "quick"}
    assert time.monotonic() - began < 20


def test_sqlite_that_stays_locked_is_told_as_unavailable_when_patience_ends(tmp_path, monkeypatch):
    opened = open_database(settings_for(tmp_path))
    ensure_schema(opened)
    opened.write(lambda c: None)
    blocker = sqlite3.connect(tmp_path / "home" / "videval.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseUnavailable, match="locked"):
        opened.write(lambda c: None, patience=0.2)
    blocker.execute("ROLLBACK")
    blocker.close()
    opened.write(lambda c: None)
    opened.close()


def hammer(settings_json: str, number: int, rounds: int) -> None:
    """In another process: write again and again, now and then from scratch."""
    from videval.settings import Settings

    settings = Settings.model_validate_json(settings_json)
    for i in range(rounds):
        opened = open_database(settings)
        ensure_schema(opened)
        for k in range(10):
            name = f"{number}-{i}-{k}"
            opened.write(lambda c, name=name: c.execute(insert(ChoreRow).values(name=name, done_at=1.0)))
        opened.close()


def test_many_processes_that_open_and_write_at_once_never_see_a_lock(tmp_path):
    settings = settings_for(tmp_path)
    processes = [SPAWN.Process(target=hammer, args=(settings.model_dump_json(), n, 3)) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [p.exitcode for p in processes] == [0] * 4
    opened = open_database(settings)
    with opened.read() as connection:
        assert len(connection.execute(select(ChoreRow.name)).all()) == 4 * 3 * 10
    opened.close()
    for process in processes:
        process.close()


@pytest.mark.parametrize("said", AWKWARD, ids=range(len(AWKWARD)))
def test_text_comes_back_to_the_character(database, said):
    database.write(lambda c: c.execute(insert(ChoreRow).values(name=said, done_at=1.0)))
    with database.read() as connection:
        assert connection.execute(select(ChoreRow.name)).scalar_one() == said
        assert connection.execute(select(ChoreRow.name).where(ChoreRow.name == said)).scalar_one() == said


def test_json_takes_numbers_that_are_none(database, tmp_path):
    run_id = make_run(database, tmp_path / "data")
    card = {"mean": float("nan"), "list": [float("inf")]}
    database.write(lambda c: c.execute(RunRow.__table__.update().values(card=card)))
    with database.read() as connection:
        stored = connection.execute(select(RunRow.card).where(RunRow.id == run_id)).scalar_one()
    assert stored == {"mean": "nan", "list": ["inf"]}


def test_a_failed_transaction_leaves_nothing(database, tmp_path):
    make_run(database, tmp_path / "data")

    def half(connection) -> None:
        connection.execute(insert(ChoreRow).values(name="half", done_at=1.0))
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        database.write(half)
    with database.read() as connection:
        assert connection.execute(select(ChoreRow.name)).all() == []


def test_the_database_s_clock_runs(database):
    with database.read() as connection:
        first = database_time(connection)
        time.sleep(0.05)
        assert 0.01 < database_time(connection) - first < 5


def test_requests_of_a_fresh_run_are_visible_to_another_connection_at_once(database, database_settings, tmp_path):
    run_id = make_run(database, tmp_path / "data", 5)
    other = open_database(database_settings)
    assert len(request_ids(other, run_id)) == 5
    other.close()


def test_the_same_order_placed_by_several_at_once_is_one_run_with_each_request_once(
    database, database_settings, tmp_path
):
    others = [open_database(database_settings) for _ in range(4)]
    try:
        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(lambda one: make_run(one, tmp_path / "data", 50), others))
    finally:
        for opened in others:
            opened.close()
    assert len(set(made)) == 1 and len(request_ids(database, made[0])) == 50


def test_runs_of_several_models_enqueued_at_once_have_names_of_their_own(database, database_settings, tmp_path):
    others = [open_database(database_settings) for _ in range(4)]
    make_run(database, tmp_path / "data", 5)
    try:
        with ThreadPoolExecutor(4) as pool:
            jobs = [(one, pixels) for pixels, one in enumerate(others, start=100)]
            list(pool.map(lambda job: make_run(job[0], tmp_path / "data", 5, max_pixels=job[1]), jobs))
    finally:
        for opened in others:
            opened.close()
    with database.read() as connection:
        assert len({run.name for run in runs.list_runs(connection)}) == 5


def note(connection, name: str = "noted") -> None:
    """A small write."""
    connection.execute(insert(ChoreRow).values(name=name, done_at=1.0))


def noted(opened: Database) -> set[str]:
    with opened.read() as connection:
        return set(connection.execute(select(ChoreRow.name)).scalars())


def hold_all_connections(opened: Database) -> ExitStack:
    held = ExitStack()
    for _ in range(opened.engine.pool.size() + opened.engine.pool._max_overflow):
        held.enter_context(opened.read())
    return held


def test_more_threads_than_connections_wait_for_one_as_long_as_their_patience(database, database_settings):
    opened = open_database(database_settings)
    held = hold_all_connections(opened)
    threading.Timer(2.5, held.close).start()
    with ThreadPoolExecutor(8) as pool:
        writes = [pool.submit(opened.write, lambda c, name=f"{n}": note(c, name), durable=n % 2 == 0) for n in range(8)]
        reads = [pool.submit(noted, opened) for _ in range(4)]
    assert [w.result() for w in writes] == [None] * 8 and all(r.result() is not None for r in reads)
    assert noted(opened) == {f"{n}" for n in range(8)}
    opened.close()


def test_no_free_connection_within_the_patience_is_an_outage_that_passes(database, database_settings):
    opened = open_database(database_settings)
    began = time.monotonic()
    with hold_all_connections(opened), pytest.raises(DatabaseUnavailable, match="all connections of this process"):
        opened.write(note, patience=0.2)
    assert time.monotonic() - began < 10
    opened.write(note)
    assert noted(opened) == {"noted"}
    opened.close()


@pytest.fixture
def in_line(tmp_path: Path) -> Iterator[Database]:
    """A SQLite whose writers have all written once."""
    opened = open_database(settings_for(tmp_path))
    ensure_schema(opened)
    yield opened
    opened.close()


def line_of(opened: Database) -> Path:
    return Path(str(make_url(opened.url).database) + "-writers")


def test_writers_of_sqlite_stand_in_line_before_they_ask_for_its_lock(in_line: Database, tmp_path: Path) -> None:
    other, entered, leave = open_database(settings_for(tmp_path)), threading.Event(), threading.Event()

    def slowly(connection: Connection) -> None:
        entered.set()
        assert leave.wait(20)

    with ThreadPoolExecutor(2) as pool, line_of(in_line).open() as place:
        slow = pool.submit(other.write, slowly)
        assert entered.wait(20)
        with pytest.raises(BlockingIOError):
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        waiting = pool.submit(in_line.write, note)
        assert noted(in_line) == set(), "who reads stands in no line"
        leave.set()
        slow.result(20)
        waiting.result(20)
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    other.close()
    assert noted(in_line) == {"noted"}


def test_a_writer_that_was_stopped_in_line_holds_up_the_others_no_longer_than_sqlite_would(
    in_line: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "LONGEST", 0.05)
    with line_of(in_line).open() as stopped:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        for number in range(5):
            in_line.write(note, f"{number}")
        names = [t for t in threading.enumerate() if t.name.endswith("(_wait)")]
        assert len(names) == 1, "one waits for it, however often"
    assert len(noted(in_line)) == 5
    names[0].join(20)
    with line_of(in_line).open() as place:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_folder_where_no_line_can_be_made_is_told_of_by_sqlite_itself(in_line: Database) -> None:
    in_line._line = turns.WritersLine(Path("/proc/nowhere/line"))
    in_line.write(note)
    assert noted(in_line) == {"noted"}


@pytest.mark.postgres
@pytest.mark.parametrize("durable", [True, False])
def test_connections_that_died_in_the_pool_are_replaced_without_a_word(on_postgres: Database, durable: bool) -> None:
    with on_postgres.read(), on_postgres.read():
        pass
    name = make_url(on_postgres.url).database
    with postgres().connect() as admin:
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        admin.execute(end, (name,))
        on_postgres.write(note, durable=durable)
        admin.execute(end, (name,))
        assert noted(on_postgres) == {"noted"}


@pytest.mark.postgres
def test_a_transaction_begins_and_ends_with_one_message_each(on_postgres: Database) -> None:
    said: list[str] = []
    event.listen(on_postgres.engine, "before_cursor_execute", lambda c, cursor, statement, *_: said.append(statement))
    on_postgres.write(note, durable=False)
    begin, insert_ = said
    assert begin.startswith("BEGIN; SET LOCAL") and "synchronous_commit" in begin and insert_.startswith("INSERT")
    with on_postgres.read() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"
        connection.execution_options(yield_per=1).execute(select(ChoreRow.name)).all()


@pytest.fixture
def on_postgres(tmp_path) -> Iterator[Database]:
    opened = open_database(settings_for(tmp_path, database_url=postgres().new_database()))
    ensure_schema(opened)
    yield opened
    opened.close()


@pytest.mark.postgres
def test_a_standby_that_takes_no_writes_is_an_outage_and_is_left_for_the_next_primary(on_postgres):
    name = make_url(on_postgres.url).database
    with postgres().connect() as admin:
        admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        on_postgres.engine.dispose()
        with pytest.raises(DatabaseUnavailable, match="read-only transaction") as raised:
            on_postgres.write(note)
        assert "primary" in raised.value.hint
        admin.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    on_postgres.write(note)
    assert noted(on_postgres) == {"noted"}


@pytest.mark.postgres
@pytest.mark.parametrize("limit", ["idle_in_transaction_session_timeout", "transaction_timeout"])
def test_a_transaction_that_the_server_ended_for_its_length_is_an_outage(on_postgres, limit):
    def stand_still(connection) -> None:
        connection.exec_driver_sql(f"SET LOCAL {limit} = 100")
        time.sleep(0.5)
        note(connection)

    with pytest.raises(DatabaseUnavailable, match="terminating connection"):
        on_postgres.write(stand_still)
    with pytest.raises(DatabaseUnavailable, match="terminating connection"), on_postgres.read() as connection:
        stand_still(connection)
    on_postgres.write(note)
    assert noted(on_postgres) == {"noted"}


@pytest.mark.postgres
def test_an_error_inside_the_server_is_an_outage(on_postgres):
    def fail(connection) -> None:
        connection.exec_driver_sql("DO $$ BEGIN RAISE 'cache lookup failed' USING ERRCODE = 'XX000'; END $$")

    with pytest.raises(DatabaseUnavailable, match="cache lookup failed"):
        on_postgres.write(fail)


@pytest.mark.parametrize(
    "sql", ["SELECT nothing_of_the_kind(1)", "SELEKT 1", "INSERT INTO chores (name) VALUES (NULL)"]
)
def test_a_mistake_in_what_was_asked_is_no_outage_and_no_traceback(on_postgres, sql):
    for ask in (lambda: on_postgres.write(lambda c: c.exec_driver_sql(sql)), lambda: read(on_postgres, sql)):
        with pytest.raises(StatementRefused) as raised:
            ask()
        assert raised.value.exit_code == 3 and "report it" in raised.value.hint


def read(opened: Database, sql: str) -> None:
    with opened.read() as connection:
        connection.exec_driver_sql(sql)


@pytest.mark.postgres
def test_a_row_that_is_there_already_is_told_as_it_is_however_often_it_is_tried(on_postgres, monkeypatch):
    monkeypatch.setattr(session, "OVERTAKEN_TIMES", 3)
    on_postgres.write(note)
    with pytest.raises(StatementRefused, match="duplicate key"):
        on_postgres.write(note)


def connection_arguments(tmp_path: Path, query: str = "", **how: bool) -> dict[str, str]:
    """What libpq would be told; nobody listens there."""
    opened = open_database(settings_for(tmp_path, database_url=f"postgresql+psycopg://127.0.0.1:1/x{query}"), **how)
    seen: dict[str, str] = {}
    event.listen(opened.engine, "do_connect", lambda dialect, record, args, told: seen.update(told))
    with suppress(DatabaseUnavailable), opened.read():
        pass
    opened.close()
    return seen


def test_a_postgresql_host_that_vanished_is_noticed(tmp_path):
    told = connection_arguments(tmp_path)
    assert {k: told[k] for k in told if "keep" in k or "timeout" in k} == {
        "connect_timeout": "5",
        "keepalives": "1",
        "keepalives_idle": "10",
        "keepalives_interval": "5",
        "keepalives_count": "3",
        "tcp_user_timeout": "20000",
    }


def test_what_the_url_says_of_the_connection_is_kept(tmp_path):
    query = "?connect_timeout=30&keepalives_idle=60&tcp_user_timeout=0&options=-csearch_path%3Dmine"
    told = connection_arguments(tmp_path, query, read_only=True)
    assert (told["connect_timeout"], told["keepalives_idle"], told["tcp_user_timeout"]) == ("30", "60", "0")
    assert told["keepalives_count"] == "3" and told["options"] == "-csearch_path=mine"


def test_nothing_that_pgbouncer_s_transaction_mode_cannot_pass_on_is_asked_for(tmp_path):
    told = connection_arguments(tmp_path)
    assert "options" not in told and told["prepare_threshold"] is None and told["client_encoding"] == "utf8"
