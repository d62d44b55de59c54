"""The schema: from empty to head and back on both back ends, and what a wrong one says."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from tests.questions import answer, make_run, request_ids, samples, take
from tests.servers import settings_for
from videval.db import browse, results, runs, schema, workers
from videval.db.session import Connection, Database, open_database
from videval.db.tables import Base
from videval.errors import DatabaseUnavailable, SchemaMismatch
from videval.settings import Settings


@pytest.fixture
def empty(database_settings: Settings) -> Iterator[Database]:
    opened = open_database(database_settings)
    yield opened
    opened.close()


def tables(database: Database) -> set[str]:
    return set(inspect(database.engine).get_table_names()) - {"alembic_version"}


def test_an_empty_database_says_that_it_is_empty_and_how_to_mend_it(empty: Database) -> None:
    with pytest.raises(SchemaMismatch, match="is empty") as raised:
        schema.check(empty)
    assert raised.value.hint == "videval db upgrade"


def test_a_newer_schema_is_refused_and_asks_for_a_newer_videval(database: Database) -> None:
    database.write(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    for step in (schema.check, schema.upgrade, schema.ensure_schema):
        with pytest.raises(SchemaMismatch, match="9999, which is newer") as raised:
            step(database)
        assert "pip install" in raised.value.hint


def test_an_older_schema_is_named_and_never_changed_without_being_asked(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = f"{int(schema.HEAD) + 1:04}"
    monkeypatch.setattr(schema, "head", lambda: newer)
    with pytest.raises(SchemaMismatch, match=f"at schema {schema.HEAD}, older than {newer}"):
        schema.ensure_schema(database)


def test_a_database_of_the_first_schema_keeps_its_workers(empty: Database) -> None:
    schema.upgrade(empty, "0001")
    known = {"id": "w", "name": "cpu@host", "host": "h", "lock_domain": "d", "device": "cpu:0", "device_name": "CPU"}
    numbers = ("pid", "loads", "started_at", "heartbeat_at", "rss_mb", "busy_s", "done", "failed", "refused")
    row = known | {"state": "idle", "activity": "{}"} | dict.fromkeys(numbers, 1)
    empty.write(_write, "workers", row)
    schema.upgrade(empty)
    with empty.read() as connection:
        (kept,) = workers.live_workers(connection)
        (seat,) = workers.seats(connection, silent_s=1e12)
    assert (kept.id, seat.refuses) == ("w", ())


def test_a_run_of_the_second_schema_has_the_prompts_that_it_was_asked_with(empty: Database) -> None:
    schema.upgrade(empty, "0002")
    snapshot = {"id": 1, "digest": "d", "benchmark": "b", "columns": "[]", "num_samples": 0, "created_at": 1.0}
    empty.write(_write, "snapshots", snapshot)
    texts = dict.fromkeys(("variant", "model", "load_key", "form", "scorer", "data_root", "state"), "x")
    objects = dict.fromkeys(("spec", "sampling", "generation", "card"), "{}") | {"missing": "[]"}
    whole = dict.fromkeys(("copy", "snapshot_id", "max_attempts", "priority"), 1) | {"created_at": 1.0}
    for number, name in enumerate(("MLVU", "NExT-QA", "EgoSchema", "LVBench", "mine"), 1):
        own = {"id": number, "name": name, "key": name, "benchmark": name, "pack": False, "subtitles": False}
        row = own | texts | objects | whole
        empty.write(_write, "runs", row)
    schema.upgrade(empty)
    with empty.read() as connection:
        found = {r.name: (r.prompts, r.protocol) for r in runs.list_runs(connection)}
    there = dict.fromkeys(("NExT-QA", "EgoSchema", "LVBench"), ("lmms-eval", 1))
    assert found == {"MLVU": ("paper", 1), "mine": ("paper", 1), **there}
    schema.downgrade(empty, "0002")
    with empty.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM runs")).scalar_one() == 5
        assert "prompts" not in {column["name"] for column in inspect(connection).get_columns("runs")}


@pytest.mark.parametrize("revision", ["0001", "0002", "0003"])
def test_a_run_with_answers_goes_to_an_earlier_schema_and_back(
    database: Database, tmp_path: Path, revision: str
) -> None:
    run_id = make_run(database, tmp_path / "data", 3)
    asked = request_ids(database, run_id)
    answer(database, take(database, asked[0]))
    schema.downgrade(database, revision)
    schema.upgrade(database)
    with database.read() as connection:
        found = runs.counts(connection, run_id)
        (run,) = runs.list_runs(connection)
        (first, _, _) = results.iter_results(connection, run_id)
    assert (found.done, found.total, run.prompts) == (1, 3, "paper")
    assert first.sample == samples(1)[0] and first.prediction == "A"
    assert request_ids(database, run_id) == asked


CLIP = {"frame_numbers": [0, 8], "timestamps": [0.0, 0.8], "policy": "stride"}


@pytest.mark.parametrize(("before", "after"), [(CLIP, [CLIP]), ({}, [])], ids=["a clip", "none"])
def test_what_a_response_of_the_third_schema_saw_is_still_known(
    database: Database, tmp_path: Path, before: dict[str, Any], after: list[dict[str, Any]]
) -> None:
    run_id = make_run(database, tmp_path / "data", 1)
    (asked,) = request_ids(database, run_id)
    answer(database, take(database, asked))
    schema.downgrade(database, "0003")
    database.write(_saw, json.dumps(before))
    for _ in range(2):
        schema.upgrade(database)
        with database.read() as connection:
            line = browse.sample_line(connection, runs.list_runs(connection)[0], "0")
            assert line is not None
            (detail,) = browse.requests_of_sample(connection, run_id, line.row_id)
        assert list(detail.clips) == after
        schema.downgrade(database, "0003")
    schema.upgrade(database)


def _saw(connection: Connection, clip: str) -> None:
    connection.execute(text("UPDATE responses SET clip = :clip"), {"clip": clip})


def _write(connection: Connection, table: str, row: Mapping[str, Any]) -> None:
    columns, values = ", ".join(row), ", ".join(f":{name}" for name in row)
    connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({values})"), row)


def test_a_password_is_never_in_a_schema_error(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, database_url="postgresql+psycopg://me:secret@127.0.0.1:1/none")
    opened = open_database(settings)
    with pytest.raises(DatabaseUnavailable) as raised:
        schema.ensure_schema(opened)
    assert "secret" not in str(raised.value) and "***" in str(raised.value)


def test_upgrade_makes_every_table_and_downgrade_leaves_none(empty: Database) -> None:
    schema.upgrade(empty)
    assert tables(empty) == set(Base.metadata.tables)
    schema.downgrade(empty)
    assert tables(empty) == set()
    schema.upgrade(empty)
    schema.check(empty)


def test_the_migrations_and_the_tables_say_the_same(database: Database) -> None:
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_several_that_find_it_empty_at_once_make_it_once(database_settings: Settings) -> None:
    databases = [open_database(database_settings) for _ in range(6)]
    try:
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(schema.ensure_schema, databases))
        schema.check(databases[0])
    finally:
        for opened in databases:
            opened.close()


def test_the_version_that_the_code_asks_for_is_the_newest_migration() -> None:
    from alembic.script import ScriptDirectory

    assert ScriptDirectory.from_config(schema._config()).get_current_head() == schema.head()
