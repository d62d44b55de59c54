"""The one writer of a worker: what goes together, what fails alone, and what an outage does to each kind of write."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from tests.servers import settings_for, wait_for
from videval.db.schema import ensure_schema
from videval.db.session import Database, open_database
from videval.db.tables import ChoreRow
from videval.errors import DatabaseUnavailable, StatementRefused
from workers import ledger as ledgers
from workers import writer as writers
from workers.ledger import Ledger, Trouble

AWAY = DatabaseUnavailable("database gone: nobody answers")


class FakeDatabase:
    """Runs what it is given, and keeps the transactions; `gate` holds it, `away` makes it fail."""

    url = "fake://"

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.away = False
        self.transactions: list[tuple[int, bool]] = []
        self.tries = 0
        self._lock = threading.Lock()

    def write(self, work: Callable[..., Any], *args: Any, patience: float = 60.0, durable: bool = True) -> Any:
        with self._lock:
            self.tries += 1
            assert self.gate.wait(20)
            if self.away:
                raise AWAY
            done = work(None, *args)
            self.transactions.append((len(args[0]), durable))
            return done


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase()


@pytest.fixture
def ledger(database: FakeDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    monkeypatch.setattr(writers, "FIRST_PAUSE", 0.01)
    made = Ledger(database, lease=0.15)  # type: ignore[arg-type]
    yield made
    database.gate.set()
    made.end()
    made.close(10)


class Caller(threading.Thread):
    """Somebody who waits for a write; `found`: its result, or what it raised."""

    def __init__(self, write: Callable[..., Any], *args: Any, **values: Any) -> None:
        super().__init__(daemon=True)
        self._call = lambda: write(*args, **values)
        self.found: Any = None
        self.start()

    def run(self) -> None:
        try:
            self.found = self._call()
        except Exception as error:
            self.found = error

    def result(self) -> Any:
        self.join(20)
        assert not self.is_alive()
        return self.found


def in_line(ledger: Ledger, count: int) -> None:
    wait_for(f"{count} in line", lambda: len(ledger._writer._line) == count)


def callers(ledger: Ledger, database: FakeDatabase, works: list[Callable[..., Any]]) -> list[Caller]:
    """All of them are in line, in order, behind a transaction that goes on."""
    database.gate.clear()
    busy = Caller(ledger.insist, lambda c: "busy")
    wait_for("the first", lambda: database.tries > 0)
    found = [busy]
    for number, work in enumerate(works, start=1):
        found.append(Caller(ledger.insist, work))
        in_line(ledger, number)
    return found


def test_what_is_pending_goes_to_the_database_in_one_transaction_and_in_order(
    ledger: Ledger, database: FakeDatabase
) -> None:
    order: list[int] = []

    def work(number: int) -> Callable[[Connection], int]:
        return lambda c: order.append(number) or number

    waiting = callers(ledger, database, [work(n) for n in range(20)])
    database.gate.set()
    assert [caller.result() for caller in waiting] == ["busy", *range(20)]
    assert database.transactions == [(1, True), (20, True)] and order == list(range(20))


def test_a_transaction_is_durable_if_one_in_it_must_be(ledger: Ledger, database: FakeDatabase) -> None:
    def write(durable: bool) -> Caller:
        return Caller(ledger.write, lambda c: None, durable=durable)

    database.gate.clear()
    first = write(False)
    wait_for("the first", lambda: database.tries > 0)
    more = [write(False), write(True)]
    in_line(ledger, 2)
    database.gate.set()
    assert [caller.result() for caller in (first, *more)] == [None] * 3
    assert database.transactions == [(1, False), (2, True)]


@pytest.mark.parametrize("error", [StatementRefused("no such column"), ValueError("a mistake in it")])
def test_one_that_is_refused_fails_alone_and_its_neighbours_are_written(
    ledger: Ledger, database: FakeDatabase, error: Exception
) -> None:
    def poison(c: Connection) -> None:
        raise error

    waiting = callers(ledger, database, [lambda c: 1, lambda c: 2, poison, lambda c: 4])
    database.gate.set()
    assert [caller.result() for caller in waiting] == ["busy", 1, 2, error, 4]
    assert ledger.message is None


def test_a_note_that_nobody_waits_for_goes_with_the_next_write(ledger: Ledger, database: FakeDatabase) -> None:
    seen: list[str] = []
    ledger.later(lambda c: seen.append("note"))
    assert ledger.insist(lambda c: "answer") == "answer"
    assert seen == ["note"] and database.transactions == [(2, True)]


def test_a_note_without_company_is_written_soon_all_the_same(ledger: Ledger, database: FakeDatabase) -> None:
    ledger.later(lambda c: None)
    wait_for("the note", lambda: database.transactions == [(1, False)])


def test_who_insists_waits_until_the_database_is_back(ledger: Ledger, database: FakeDatabase) -> None:
    database.away = True
    waiting = [Caller(ledger.insist, lambda c, n=n: n) for n in range(3)]
    wait_for("some tries", lambda: database.tries > 3)
    assert ledger.message == str(AWAY) and all(caller.is_alive() for caller in waiting)
    database.away = False
    assert [caller.result() for caller in waiting] == [0, 1, 2]
    assert ledger.message is None


def test_however_long_the_database_is_away_it_is_tried_several_times_in_a_lease(
    database: FakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it is back, nobody but this worker is slow to notice, and what it holds is given up."""
    pauses: list[float] = []
    made = Ledger(database, lease=6)  # type: ignore[arg-type]
    monkeypatch.setattr(made.ending, "wait", lambda pause: pauses.append(pause) or len(pauses) == 8)
    database.away = True
    assert made.insist(lambda c: 1) is None
    assert pauses[:3] == [0.2, 0.4, 0.8] and pauses[-3:] == [2.0, 2.0, 2.0]
    made.close(10)


def test_a_plain_write_hears_at_once_that_the_database_is_away(ledger: Ledger, database: FakeDatabase) -> None:
    database.away = True
    with pytest.raises(DatabaseUnavailable, match="nobody answers"):
        ledger.write(lambda c: None)
    database.away = False
    assert ledger.write(lambda c: "back") == "back"


def test_notes_are_dropped_while_the_database_is_away_and_one_line_says_so(
    ledger: Ledger, database: FakeDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    database.away, seen = True, []
    with caplog.at_level(logging.WARNING):
        for number in range(5):
            ledger.later(lambda c, n=number: seen.append(n))
        wait_for("a try", lambda: ledger.message is not None)
    database.away = False
    assert ledger.insist(lambda c: "answer") == "answer"
    assert seen == []
    assert [r.getMessage() for r in caplog.records if "notes" in r.getMessage()] == [
        "5 notes of what requests are doing were not written"
    ]


def test_a_write_that_brings_the_database_down_each_time_keeps_its_neighbours_no_longer_than_their_turn(
    ledger: Ledger, database: FakeDatabase
) -> None:
    def heavy(c: Connection) -> None:
        raise DatabaseUnavailable("statement timeout")

    waiting = callers(ledger, database, [lambda c: 1, heavy, lambda c: 3])
    database.gate.set()
    assert [waiting[n].result() for n in (1, 3)] == [1, 3]
    assert waiting[2].is_alive()
    ledger.end()
    assert waiting[2].result() is None


def test_a_worker_that_ends_gives_up_what_waits_for_the_database(ledger: Ledger, database: FakeDatabase) -> None:
    database.away, kept = True, []
    waiting = Caller(ledger.insist, lambda c: 1, otherwise=lambda: kept.append("on disk"))
    wait_for("a try", lambda: database.tries > 0)
    ledger.end()
    assert waiting.result() is None and kept == ["on disk"]


def test_a_worker_that_drains_waits_for_the_database_for_a_while(
    ledger: Ledger, database: FakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "DRAIN_PATIENCE", 0.1)
    database.away, kept = True, []
    ledger.drain()
    assert ledger.insist(lambda c: 1, otherwise=lambda: kept.append("on disk")) is None
    assert kept == ["on disk"] and not ledger.ending.is_set()


def test_after_its_end_a_worker_still_writes_what_is_in_line_and_then_no_more(
    ledger: Ledger, database: FakeDatabase
) -> None:
    waiting = callers(ledger, database, [lambda c: 1, lambda c: 2])
    ledger.end()
    database.gate.set()
    ledger.close(20)
    kept: list[str] = []
    assert [caller.result() for caller in waiting] == ["busy", 1, 2]
    assert ledger.insist(lambda c: 3, otherwise=lambda: kept.append("on disk")) is None and kept == ["on disk"]
    with pytest.raises(DatabaseUnavailable, match="writes no more"):
        ledger.write(lambda c: 4)
    ledger.later(lambda c: 5)


def test_a_problem_goes_with_its_kind_and_people_hear_of_all(ledger: Ledger) -> None:
    ledger.note(Trouble.DATA, "no data")
    ledger.insist(lambda c: None)
    assert ledger.message == "no data"


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(settings_for(tmp_path))
    ensure_schema(opened)
    yield opened
    opened.close()


def chore(connection: Connection, name: str) -> str:
    connection.execute(insert(ChoreRow).values(name=name, done_at=1.0))
    return name


def test_on_a_real_database_the_refused_one_leaves_nothing_and_the_others_are_there(sqlite: Database) -> None:
    real, names = Ledger(sqlite, lease=60), [f"{n}" for n in range(20)]

    def poisoned(connection: Connection) -> None:
        chore(connection, "half")
        connection.exec_driver_sql("INSERT INTO chores VALUES (NULL, NULL)")

    waiting = [Caller(real.insist, chore, name) for name in names[:10]]
    bad = Caller(real.insist, poisoned)
    waiting += [Caller(real.insist, chore, name) for name in names[10:]]
    assert [caller.result() for caller in waiting] == names
    assert isinstance(bad.result(), StatementRefused)
    real.end()
    real.close(10)
    with sqlite.read() as connection:
        assert set(connection.execute(select(ChoreRow.name)).scalars()) == set(names)


def test_twenty_threads_share_far_fewer_transactions(sqlite: Database) -> None:
    real, began = Ledger(sqlite, lease=60), threading.Barrier(20)
    transactions: list[int] = []
    original = sqlite.write

    def counted(work: Callable[..., Any], *args: Any, **values: Any) -> Any:
        time.sleep(0.02)  # as a busy database would: the others come meanwhile
        transactions.append(len(args[0]))
        return original(work, *args, **values)

    sqlite.write = counted  # type: ignore[method-assign]

    def one(name: str) -> str | None:
        began.wait(20)
        return real.insist(chore, name)

    waiting = [Caller(one, f"{n}") for n in range(20)]
    assert [caller.result() for caller in waiting] == [f"{n}" for n in range(20)]
    assert sum(transactions) == 20 and len(transactions) <= 10
    real.close(10)
