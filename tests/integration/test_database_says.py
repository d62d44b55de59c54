"""Whatever a database says, people are told of it in one line with its remedy, and the doctor sees it beforehand."""

import os
import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.fake_servers import postgresql_that_says
from tests.servers import postgres, settings_for
from videval.cli.findings import findings
from videval.db import schema
from videval.db.session import Database, open_database
from videval.db.trial import try_writing
from videval.errors import DatabaseUnavailable, StatementRefused, VidevalError
from videval.settings import Settings


def told(settings: Settings) -> str:
    """What a command says."""
    opened = open_database(settings)
    try:
        with pytest.raises(VidevalError) as raised:
            schema.ensure_schema(opened)
    finally:
        opened.close()
    assert raised.value.exit_code == 3 and raised.value.hint
    said = f"{raised.value} -> {raised.value.hint}"
    assert "s3kr1t" not in said and "\n" not in said
    return said


def examined(settings: Settings) -> str:
    """What the doctor says."""
    found = next(f for f in findings(settings) if f.what == "database")
    assert not found.ok and found.mend
    return f"{found.says} -> {found.mend}"


@pytest.mark.parametrize(
    ("state", "message", "remedy"),
    [
        ("28P01", 'password authentication failed for user "me"', "%40"),
        ("28000", 'no pg_hba.conf entry for host "1.2.3.4", user "me", database "x", no encryption', "pg_hba.conf"),
        ("28000", 'role "me" does not exist', "create that role"),
        ("3D000", 'database "x" does not exist', "createdb"),
        ("53300", "sorry, too many clients already", "max_connections"),
        ("53300", "remaining connection slots are reserved for roles with the SUPERUSER attribute", "max_connections"),
        ("08P01", "no more connections allowed (max_client_conn)", "max_connections"),
        ("08P01", "unsupported startup parameter: options", "PGOPTIONS"),
        ("08P01", "SSL required", "sslmode"),
        ("08P01", "SASL authentication failed", "password"),
        ("57P03", "the database system is starting up", "is the server up?"),
        ("28P01", "Passwort-Authentifizierung für Benutzer »me« fehlgeschlagen", "VIDEVAL_DATABASE_URL"),
        ("ZZZZZ", "something nobody ever heard of", "VIDEVAL_DATABASE_URL"),
    ],
)
def test_what_postgresql_says_to_who_comes_is_passed_on_with_the_remedy(tmp_path, state, message, remedy):
    with postgresql_that_says(state, message) as url:
        said = told(settings_for(tmp_path, database_url=url))
    assert message in said and remedy in said.split(" -> ")[1]


def test_a_server_that_wants_or_cannot_do_tls_says_where_that_is_set(tmp_path):
    with postgresql_that_says("08P01", "unused") as url:
        assert "sslmode" in told(settings_for(tmp_path, database_url=f"{url}?sslmode=require")).split(" -> ")[1]
        missing = f"{url}?sslmode=verify-full&sslrootcert=/nowhere/ca.pem"
        assert "sslrootcert" in told(settings_for(tmp_path, database_url=missing)).split(" -> ")[1]


def role(tmp_path: Path, *rights: str, name: str | None = None) -> tuple[Settings, str]:
    """A role of its own in a database that is not its own, with these rights."""
    made = make_url(postgres().new_database())
    user = f"u{uuid.uuid4().hex[:8]}"
    opened = open_database(settings_for(tmp_path, database_url=made.render_as_string()))
    with postgres().connect() as admin:
        admin.execute(f"CREATE ROLE {user} LOGIN")  # type: ignore[call-overload]
    if rights:
        schema.upgrade(opened)
    for right in rights:
        opened.write(lambda c, right=right: c.exec_driver_sql(f"{right} TO {user}"))
    opened.close()
    return settings_for(tmp_path, database_url=made.set(username=user).render_as_string()), user


@pytest.mark.postgres
def test_a_role_that_may_not_make_tables_is_told_the_line_that_lets_it(tmp_path):
    settings, user = role(tmp_path)
    for said in (told(settings), examined(settings)):
        assert "permission denied for schema public" in said and f"GRANT CREATE ON SCHEMA public TO {user}" in said


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("rights", "lacks"),
    [
        (("GRANT SELECT ON ALL TABLES IN SCHEMA public",), "GRANT ALL ON ALL TABLES"),
        (("GRANT ALL ON ALL TABLES IN SCHEMA public",), "GRANT ALL ON ALL SEQUENCES"),
    ],
    ids=["tables", "sequences"],
)
def test_the_doctor_writes_to_every_table_before_it_says_ok(tmp_path, rights, lacks):
    settings, _ = role(tmp_path, *rights)
    assert lacks in examined(settings)


@pytest.mark.postgres
def test_a_role_with_all_rights_on_tables_that_somebody_else_made_is_enough(tmp_path):
    every = [f"GRANT ALL ON ALL {what} IN SCHEMA public" for what in ("TABLES", "SEQUENCES")]
    settings, _ = role(tmp_path, *every)
    opened = open_database(settings)
    schema.ensure_schema(opened)
    try_writing(opened, has_tables=True)
    opened.close()


@pytest.mark.postgres
@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_hold_every_text_is_refused(tmp_path, encoding):
    name = f"t{uuid.uuid4().hex[:12]}"
    with postgres().connect() as admin:
        admin.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")  # type: ignore[call-overload]
    settings = settings_for(tmp_path, database_url=postgres().url(name))
    for said in (told(settings), examined(settings)):
        assert encoding in said and "UTF8 is needed" in said and "ENCODING 'UTF8'" in said


@pytest.mark.postgres
def test_texts_are_right_whatever_encoding_the_environment_asks_for(tmp_path, monkeypatch):
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    opened = open_database(settings_for(tmp_path, database_url=postgres().new_database()))
    try_writing(opened, has_tables=False)
    opened.close()


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("state", "kind", "remedy"),
    [
        ("53100", DatabaseUnavailable, "free some space"),
        ("53200", DatabaseUnavailable, "memory"),
        ("57014", DatabaseUnavailable, "statement_timeout"),
        ("57P01", DatabaseUnavailable, "is the server up?"),
        ("25006", DatabaseUnavailable, "primary"),
        ("22P05", DatabaseUnavailable, "UTF8"),
        ("3F000", DatabaseUnavailable, "search_path"),
        ("42P01", DatabaseUnavailable, "videval db upgrade"),
        ("42501", DatabaseUnavailable, "GRANT"),
        ("58030", DatabaseUnavailable, "server"),
        ("XX001", DatabaseUnavailable, "server"),
        ("0A000", StatementRefused, "report it"),
        ("23514", StatementRefused, "report it"),
        ("42883", StatementRefused, "report it"),
        ("P0001", StatementRefused, "report it"),
    ],
)
def test_each_class_of_error_has_its_remedy(tmp_path, state, kind, remedy):
    opened = open_database(settings_for(tmp_path, database_url=postgres().url("postgres")))
    sql = f"DO $$ BEGIN RAISE 'so it is' USING ERRCODE = '{state}'; END $$"
    with pytest.raises(VidevalError, match="so it is") as raised:
        opened.write(lambda c: c.exec_driver_sql(sql))
    opened.close()
    assert type(raised.value) is kind and remedy in raised.value.hint and raised.value.exit_code == 3


@pytest.mark.postgres
def test_a_statement_that_takes_too_long_is_an_outage(tmp_path):
    opened = open_database(settings_for(tmp_path, database_url=postgres().url("postgres")))

    def too_long(connection) -> None:
        connection.exec_driver_sql("SET LOCAL statement_timeout = 50")
        connection.exec_driver_sql("SELECT pg_sleep(5)")

    with pytest.raises(DatabaseUnavailable, match="statement timeout"):
        opened.write(too_long)
    opened.close()


def not_a_database(file: Path) -> None:
    file.write_bytes(b"not a database at all" * 200)


def torn(file: Path) -> None:
    whole = bytearray(file.read_bytes())
    whole[4096 : len(whole)] = os.urandom(len(whole) - 4096)
    file.write_bytes(bytes(whole))


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def without_tables(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.executescript("DROP TABLE sample_scores; DROP TABLE predictions;")
    connection.close()


@pytest.mark.parametrize(
    ("spoil", "remedy"),
    [
        (not_a_database, "backup"),
        (torn, "backup"),
        (a_folder, "writable folder"),
        (without_tables, "videval db upgrade"),
    ],
)
def test_a_spoilt_sqlite_file_is_told_as_such_by_command_and_doctor(tmp_path, spoil: Callable[[Path], None], remedy):
    settings = settings_for(tmp_path)
    opened = open_database(settings)
    schema.ensure_schema(opened)
    opened.engine.dispose()
    spoil(settings.home_path / "videval.db")
    with pytest.raises(VidevalError) as raised:
        schema.check(opened)
        try_writing(opened, has_tables=True)
    opened.close()
    assert remedy in raised.value.hint and raised.value.exit_code == 3
    assert remedy in examined(settings)


def limited_to_its_pages(opened: Database) -> None:
    with opened.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")


def test_a_full_disk_below_sqlite_is_told_as_such(tmp_path):
    opened = open_database(settings_for(tmp_path), pool_size=1)
    schema.ensure_schema(opened)
    limited_to_its_pages(opened)
    with pytest.raises(DatabaseUnavailable, match="full") as raised:
        opened.write(lambda c: c.exec_driver_sql("CREATE TABLE big AS SELECT zeroblob(1000000) AS b"))
    opened.close()
    assert "free some space" in raised.value.hint


def test_a_read_only_sqlite_file_is_told_as_such(tmp_path):
    settings = settings_for(tmp_path)
    opened = open_database(settings)
    schema.ensure_schema(opened)
    opened.close()
    reader = open_database(settings, read_only=True)
    with pytest.raises(DatabaseUnavailable, match="readonly") as raised:
        try_writing(reader, has_tables=True)
    reader.close()
    assert "writable folder" in raised.value.hint


@pytest.mark.parametrize("name", ["a?b=c", "a#b", "a%20b", "a@b:c"])
def test_a_home_may_have_any_name(tmp_path, name):
    settings = settings_for(tmp_path / name)
    opened = open_database(settings)
    schema.ensure_schema(opened)
    opened.close()
    assert (settings.home_path / "videval.db").is_file()
    reader = open_database(settings, read_only=True)
    schema.check(reader)
    reader.close()


def test_what_the_doctor_tries_leaves_nothing(database):
    before = tables(database)
    try_writing(database, has_tables=True)
    try_writing(database, has_tables=False)
    assert tables(database) == before


def tables(opened: Database) -> set[str]:
    from sqlalchemy import inspect

    return set(inspect(opened.engine).get_table_names())
