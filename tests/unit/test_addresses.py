"""The two URLs: what is taken, what is refused with the form that is right, and that no password is ever shown."""

from pathlib import Path

import pytest

from tests.servers import settings_for
from videval.db.address import database_address, shown
from videval.errors import BrokerRefuses, DatabaseUnavailable, EnvironmentProblem
from videval.settings import Settings
from workers import broker
from workers.address import broker_address

SECRET = "s3kr1t"


def told(error: EnvironmentProblem) -> str:
    return f"{error} -> {error.hint}"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_each_way_to_write_postgresql_is_taken(scheme: str) -> None:
    url = database_address(f" {scheme}://me:{SECRET}@h/x\n")
    assert url.drivername == "postgresql+psycopg" and (url.username, url.password, url.host) == ("me", SECRET, "h")
    assert SECRET not in shown(url)


@pytest.mark.parametrize(
    "url",
    ["postgresql://me@/x?host=h1:5432&host=h2:5432", "postgresql://me@h1,h2/x", "sqlite:////a/b.db", "sqlite:///b"],
)
def test_other_right_forms_are_left_as_they_are(url: str) -> None:
    assert database_address(url).render_as_string() == url.replace("postgresql:", "postgresql+psycopg:").replace(
        "h1:5432&host=h2:5432", "h1%3A5432&host=h2%3A5432"
    )


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        (f"postgresql+psycopg2://me:{SECRET}@h/x", "postgresql+psycopg://"),
        (f"postgresql+asyncpg://me:{SECRET}@h/x", "postgresql+psycopg://"),
        (f"postgres+pg8000://me:{SECRET}@h/x", "postgresql+psycopg://"),
        (f"mysql://me:{SECRET}@h/x", "sqlite:///"),
        (f"oracle+{SECRET}", "postgresql+psycopg://"),
        (f"postgresql://me:{SECRET}@h1:5432,h2:5432/x", "@/x?host=h1:5432&host=h2:5432"),
        (f"postgresql://me:{SECRET}@h1:5432,h2:5433,h3/x?sslmode=require", "host=h1:5432&host=h2:5433&host=h3"),
        (f"postgresql://me:{SECRET[:3]}@{SECRET[3:]}@h/x", "%40"),
        (f"postgresql://me:a@{SECRET}:b@h/x", "%40"),
        (f"postgresql://me:a@h:{SECRET}/x", "%40"),
        (f"postgresql:me:{SECRET}@h/x", "postgresql+psycopg://"),
        ("sqlite://", "sqlite:////"),
        ("sqlite:///:memory:", "sqlite:////"),
        ("/var/lib/x.db", "postgresql+psycopg://"),
        ("", "postgresql+psycopg://"),
    ],
)
def test_a_database_url_that_is_none_is_refused_with_the_right_form_and_without_its_password(
    url: str, hint: str
) -> None:
    with pytest.raises(DatabaseUnavailable) as raised:
        database_address(url)
    assert hint in raised.value.hint and raised.value.exit_code == 3
    assert not any(part in told(raised.value) for part in (SECRET, SECRET[:3], SECRET[3:]))


@pytest.mark.parametrize("name", ["password", "sslpassword"])
def test_a_password_behind_the_question_mark_is_hidden_too(name: str) -> None:
    url = database_address(f"postgresql://me@h/x?{name}={SECRET}&sslmode=require")
    assert SECRET not in shown(url) and "sslmode=require" in shown(url)


def with_broker(tmp_path: Path, url: str) -> Settings:
    return settings_for(tmp_path, broker_url=url)


@pytest.mark.parametrize(
    ("url", "where"),
    [
        (f"redis://:{SECRET}@h:6379/0", "redis://h:6379/0"),
        (f"redis://:a@{SECRET}@h:6379/0", "redis://h:6379/0"),
        (f"REDIS://me:{SECRET}@h", "redis://h:6379/0"),
        (f"redis://:%23{SECRET}%2F@h:1/2", "redis://h:1/2"),
        ("redis://[::1]:1/2", "redis://[::1]:1/2"),
        (f"rediss://me:{SECRET}@h:6380/1", "rediss://h:6380/1"),
        (f"redis+socket://:{SECRET}@/run/r.sock?virtual_host=3", "/run/r.sock (database 3)"),
        ("unix:///run/r.sock?db=3", "/run/r.sock (database 3)"),
    ],
)
def test_a_redis_url_is_taken_and_shown_without_its_password(tmp_path: Path, url: str, where: str) -> None:
    address = broker_address(with_broker(tmp_path, url))
    assert address.shown == where and SECRET not in repr(address)
    if SECRET in url:
        assert SECRET in address.celery and SECRET in address.client


@pytest.mark.parametrize(
    ("url", "says", "hint"),
    [
        ("localhost:6379", "no scheme", "redis://"),
        (f"{SECRET}@localhost", "no scheme", "redis://"),
        (f"redis://:pa#{SECRET}@h:6379/0", "port", "%23"),
        (f"redis://:{SECRET}#@h:6379/0", "port", "%23"),
        (f"redis://:12#{SECRET}@h:6379/0", "cut short", "%23"),
        (f"redis://:pa/{SECRET}@h:6379/0", "port", "%2F"),
        (f"redis://:12/{SECRET}@h:6379/0", "cut short", "%2F"),
        (f"redis://:pa?{SECRET}@h:6379/0", "port", "%3F"),
        (f"redis://:pa%{SECRET}@h:6379/0", "%", "%25"),
        (f"redis://:[{SECRET}@h:6379/0", "port", "%5B"),
        (f"redis://:{SECRET}@h:x/0", "port", "%23"),
        (f"redis://:{SECRET}@h:6379/x", "number of a database", "/0"),
        (f"redis://:{SECRET}@:6379/0", "no host", "redis://"),
        (f"redis://:{SECRET}@h1:6379,h2:6379/0", "several", "name one"),
        (f"redis://:{SECRET}@h1;redis://h2", "several", "name one"),
        (f"sentinel://:{SECRET}@h:26379/0", "Sentinel", "master"),
        (f"redis+sentinel://:{SECRET}@h:26379/0", "Sentinel", "master"),
        (f"redis+cluster://:{SECRET}@h:6379", "Cluster", "no cluster"),
        (f"amqp://me:{SECRET}@h//", "not that of a Redis", "redis://"),
        (f"redis://:{SECRET}@h:6379/0?ssl_cert_reqs=none", "ssl_cert_reqs", "rediss"),
        (f"rediss://:{SECRET}@h:6379/0?ssl_cert_reqs=perhaps", "ssl_cert_reqs", "required"),
        (f"rediss://:{SECRET}@h:6379/0?ssl_ca_certs=/nowhere/ca.pem", "no such file", "PATH"),
        ("redis+socket://run/r.sock", "no socket", "three slashes"),
        ("redis+socket:///run/r.sock?virtual_host=x", "number of a database", "virtual_host"),
    ],
)
def test_a_broker_url_that_is_none_is_refused_with_the_remedy_and_without_its_password(
    tmp_path: Path, url: str, says: str, hint: str
) -> None:
    settings = with_broker(tmp_path, url)
    for step in (broker_address, broker.ensure, broker.reach, broker.BrokerUser):
        with pytest.raises(BrokerRefuses) as raised:
            step(settings)
        assert says in str(raised.value) and hint in raised.value.hint and SECRET not in told(raised.value)
    assert not broker.ping(settings)


def test_tls_is_checked_unless_the_url_says_otherwise(tmp_path: Path) -> None:
    assert "ssl_cert_reqs=required" in broker_address(with_broker(tmp_path, "rediss://h")).celery
    relaxed = broker_address(with_broker(tmp_path, "rediss://h?ssl_cert_reqs=CERT_NONE"))
    assert "ssl_cert_reqs=none" in relaxed.celery and "ssl_cert_reqs=none" in relaxed.client


def test_a_setting_that_is_none_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEVAL_BATCH_SIZE", "many")
    monkeypatch.setenv("VIDEVAL_LEASE", "-1")
    wrong = "VIDEVAL_BATCH_SIZE is a number, not 'many'; VIDEVAL_LEASE is more than 0, not '-1'"
    with pytest.raises(EnvironmentProblem, match=wrong):
        Settings()
