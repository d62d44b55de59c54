"""Sums kept for each run: changes that are appended, folded by one, and read as if they had always been one number."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import func, select

from tests.questions import make_run
from videval.db import sums
from videval.db.session import Connection, Database, open_database
from videval.db.tables import SumChangeRow, SumRow
from videval.settings import Settings


@pytest.fixture
def run_id(database: Database, tmp_path: Path) -> int:
    return make_run(database, tmp_path / "data")


def read(database: Database, run_id: int, prefix: str = "test:") -> dict[str, float]:
    with database.read() as connection:
        return sums.of_run(connection, run_id, prefix=prefix)


def rows(database: Database, run_id: int) -> list[int]:
    with database.read() as connection:
        return [
            connection.execute(
                select(func.count()).where(table.run_id == run_id, table.name.startswith("test:"))
            ).scalar_one()
            for table in (SumRow, SumChangeRow)
        ]


def test_changes_of_one_name_are_one_row_and_one_that_is_nothing_is_none(database: Database, run_id: int) -> None:
    database.write(sums.add, [(run_id, "test:a", 2.0), (run_id, "test:a", 0.5), (run_id, "test:b", 0.0)])
    assert read(database, run_id) == {"test:a": 2.5} and rows(database, run_id) == [0, 1]


def test_a_sum_is_the_same_before_between_and_after_folding(database: Database, run_id: int) -> None:
    for amount in (1.0, 2.0, -4.0):
        database.write(sums.add, [(run_id, "test:a", amount), (run_id + 1, "test:a", 7.0)])
    assert read(database, run_id) == {"test:a": -1.0}
    assert database.write(sums.fold) >= 6
    assert read(database, run_id) == {"test:a": -1.0} and rows(database, run_id) == [1, 0]
    database.write(sums.add, [(run_id, "test:a", 10.0)])
    assert read(database, run_id) == {"test:a": 9.0}
    database.write(sums.fold)
    assert read(database, run_id) == {"test:a": 9.0} and rows(database, run_id) == [1, 0]
    assert database.write(sums.fold) == 0


def test_of_all_runs_and_by_prefix(database: Database, run_id: int) -> None:
    database.write(sums.add, [(run_id, "test:a", 1.0), (run_id, "other:a", 2.0)])
    with database.read() as connection:
        assert sums.of_runs(connection, prefix="test:") == {run_id: {"test:a": 1.0}}
        assert sums.of_run(connection, run_id)["other:a"] == 2.0


def test_several_that_add_and_fold_at_once_lose_nothing_and_wait_for_no_lock(
    database: Database, database_settings: Settings, run_id: int
) -> None:
    def work(opened: Database) -> None:
        for number in range(25):
            opened.write(sums.add, [(run_id, "test:a", 1.0), (run_id, f"test:{number % 3}", 1.0)])
            if number % 5 == 0:
                opened.write(sums.fold)

    others = [open_database(database_settings) for _ in range(4)]
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, others))
    finally:
        for opened in others:
            opened.close()
    assert read(database, run_id)["test:a"] == 100.0
    assert sum(read(database, run_id).values()) == 200.0


@pytest.mark.postgres
def test_who_adds_does_not_wait_for_who_adds_to_the_same_sum(
    database: Database, database_settings: Settings, run_id: int
) -> None:
    if database.dialect == "sqlite":
        pytest.skip("SQLite's writers take turns")
    other, entered, leave = open_database(database_settings), threading.Event(), threading.Event()

    def slowly(connection: Connection) -> None:
        sums.add(connection, [(run_id, "test:a", 1.0)])
        entered.set()
        assert leave.wait(20)

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(other.write, slowly)
        assert entered.wait(20)
        database.write(sums.add, [(run_id, "test:a", 2.0)])
        assert read(database, run_id) == {"test:a": 2.0}
        leave.set()
        slow.result(20)
    other.close()
    assert read(database, run_id) == {"test:a": 3.0}
