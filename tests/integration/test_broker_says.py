"""Whatever a Redis says, people hear it in one line with its remedy, and doctor and workers meet it beforehand."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import redis

from tests.cli import caller
from tests.fake_servers import redis_that_says
from tests.servers import TcpRedis, settings_for
from videval.cli.findings import findings
from videval.db.identity import database_id, known_id
from videval.db.schema import upgrade
from videval.db.session import Database, open_database
from videval.errors import BrokerRefuses, BrokerUnavailable, EnvironmentProblem
from workers import broker, consumer
from workers.bell import queue_length, queue_name
from workers.reasons import explain
from workers.trial import memory_risk, try_broker


def told(error: EnvironmentProblem) -> str:
    said = f"{error} -> {error.hint}"
    assert error.exit_code == 3 and error.hint and "s3kr1t" not in said and "\n" not in said
    return said


@pytest.mark.parametrize(
    ("line", "kind", "remedy"),
    [
        ("NOAUTH Authentication required.", BrokerRefuses, "redis://:PASSWORD@"),
        ("WRONGPASS invalid username-password pair or user is disabled.", BrokerRefuses, "%23"),
        ("ERR invalid password", BrokerRefuses, "%23"),
        ("NOPERM this user has no permissions to run the 'llen' command", BrokerRefuses, "+@all"),
        ("NOPERM No permissions to access a channel", BrokerRefuses, "&*"),
        ("OOM command not allowed when used memory > 'maxmemory'.", BrokerUnavailable, "maxmemory"),
        ("MOVED 3999 127.0.0.1:6381", BrokerRefuses, "no cluster"),
        ("ASK 3999 127.0.0.1:6381", BrokerRefuses, "no cluster"),
        ("CLUSTERDOWN Hash slot not served", BrokerRefuses, "no cluster"),
        ("CROSSSLOT Keys in request don't hash to the same slot", BrokerRefuses, "no cluster"),
        ("READONLY You can't write against a read only replica.", BrokerUnavailable, "master"),
        ("LOADING Redis is loading the dataset in memory", BrokerUnavailable, "waited for"),
        ("MASTERDOWN Link with MASTER is down", BrokerUnavailable, "waited for"),
        ("BUSY Redis is busy running a script.", BrokerUnavailable, "waited for"),
        ("NOREPLICAS Not enough good replicas to write.", BrokerUnavailable, "waited for"),
        ("MISCONF Redis is configured to save RDB snapshots, but unable to", BrokerUnavailable, "space"),
        ("DENIED Redis is running in protected mode", BrokerRefuses, "requirepass"),
        ("ERR max number of clients reached", BrokerUnavailable, "maxclients"),
        ("ERR DB index is out of range", BrokerRefuses, "databases"),
        ("ERR SELECT is not allowed in cluster mode", BrokerRefuses, "no cluster"),
        ("ERR unknown command 'PING', with args beginning with:", BrokerRefuses, "Sentinel"),
        ("STRANGE nobody ever heard of it", BrokerUnavailable, "log"),
        ("ERR neither of that", BrokerUnavailable, "log"),
    ],
)
def test_what_a_redis_says_is_passed_on_with_the_remedy(tmp_path, line, kind, remedy):
    with redis_that_says(line) as url:
        settings = settings_for(tmp_path, broker_url=url)
        with pytest.raises(BrokerUnavailable) as raised:
            broker.reach(settings)
        found = next(f for f in findings(settings) if f.what == "broker")
    assert type(raised.value) is kind and remedy in raised.value.hint
    assert line.partition(" ")[2][:15] in told(raised.value)
    assert not found.ok and remedy in found.mend


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("redis://:s3kr1t@127.0.0.1:1/0", "start it"),
        ("redis://:s3kr1t@nowhere.invalid/0", "start it"),
        ("redis://:s3kr1t@..nowhere/0", "start it"),
        ("redis+socket://:s3kr1t@/nowhere/r.sock", "start it"),
    ],
)
def test_nobody_there_is_told_with_the_place(tmp_path, url, remedy):
    with pytest.raises(BrokerUnavailable, match="no Redis answers at") as raised:
        broker.ensure(settings_for(tmp_path, broker_url=url))
    assert remedy in told(raised.value)


def test_what_is_no_redis_at_all_is_told_as_such(tmp_path):
    error = redis.InvalidResponse("Protocol Error: b'HTTP/1.1 400 Bad Request'")
    assert "lead to a Redis" in explain(error, "redis://h:80/0").hint


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate", "ssl_ca_certs"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired", "ssl_ca_certs"),
        ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required", "ssl_certfile"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", "redis:// for one without"),
        ("_ssl.c:989: The handshake operation timed out", "redis:// for one without"),
        ("Connection closed by server.", "rediss://"),
    ],
)
def test_trouble_with_tls_names_what_to_write(said, remedy):
    assert remedy in told(explain(redis.ConnectionError(said), "rediss://h:6379/0"))


@pytest.fixture
def server() -> Iterator[TcpRedis]:
    made = TcpRedis()
    yield made
    made.kill()


def test_a_trial_leaves_nothing_and_a_full_or_a_forgetful_redis_is_told_by_the_doctor(tmp_path, server):
    settings = settings_for(tmp_path, broker_url=server.url)
    try_broker(settings)
    with broker.broker_client(settings) as client:
        assert client.keys() == [] and memory_risk(settings) == ""
        client.config_set("maxmemory-policy", "allkeys-lru")
        (found,) = [f for f in findings(settings) if f.what == "broker"]
        assert found.ok and "allkeys-lru" in found.says and "noeviction" in found.mend
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        with pytest.raises(BrokerUnavailable, match="is full: OOM") as raised:
            try_broker(settings)
        assert type(raised.value) is BrokerUnavailable
        with pytest.raises(BrokerUnavailable, match="is full"):
            broker.reach(settings, writes=True)


def test_a_user_without_channels_is_found_before_a_worker_meets_it(tmp_path, server):
    with redis.Redis.from_url(server.url) as admin:
        admin.execute_command("ACL", "SETUSER", "eval", "on", ">s3kr1t", "~*", "+@all", "resetchannels")
    settings = settings_for(tmp_path, broker_url=server.url.replace("://", "://eval:s3kr1t@"))
    broker.ensure(settings)
    with pytest.raises(BrokerRefuses) as raised:
        try_broker(settings)
    assert "NOPERM" in told(raised.value) and "&*" in raised.value.hint


def test_the_broker_s_status_is_what_redis_says(tmp_path, server, monkeypatch, capsys):
    videval = caller(tmp_path / "home", monkeypatch, capsys)
    with redis.Redis.from_url(server.url) as admin:
        admin.config_set("requirepass", "s3kr1t")
    for url, code, words in (
        (server.url, 3, "NOAUTH"),
        (server.url.replace("://", "://:wr0ng@"), 3, "WRONGPASS"),
        (server.url.replace("://", "://:s3kr1t@"), 0, "Redis answers at redis://"),
    ):
        monkeypatch.setenv("VIDEVAL_BROKER_URL", url)
        said = videval("broker", "status")
        assert said.code == code and words in said.out + said.err, said
        assert "s3kr1t" not in said.out + said.err and "wr0ng" not in said.out + said.err


@pytest.mark.parametrize(
    ("error", "is_told_in_full"),
    [(redis.OutOfMemoryError("full"), False), (ConnectionResetError("by peer"), False), (KeyError("a mistake"), True)],
)
def test_what_redis_refuses_is_a_line_of_a_worker_s_log_and_a_mistake_keeps_its_traceback(
    caplog, error, is_told_in_full
):
    for name in consumer.TELL_TRACEBACKS:
        logging.getLogger(name).error("it could not be acknowledged", exc_info=error)
    assert [bool(record.exc_info) for record in caplog.records] == [is_told_in_full] * 3


def run(code: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], env=os.environ | environ, capture_output=True, text=True)


def test_no_variable_of_celery_s_leads_anywhere_else(tmp_path):
    elsewhere = "redis://:s3kr1t@elsewhere/9"
    names = ("BROKER_URL", "BROKER_READ_URL", "BROKER_WRITE_URL", "RESULT_BACKEND", "CONFIG_MODULE", "LOADER")
    foreign = {f"CELERY_{name}": elsewhere for name in names} | {"BROKER_URL": elsewhere, "CELERY_WORKER_POOL": "solo"}
    code = (
        "import os; from workers import app\n"
        "print(app.connection_for_read().as_uri(), app.connection_for_write().as_uri(), app.conf.result_backend,"
        " [n for n in os.environ if n.startswith('CELERY_')])"
    )
    done = run(code, VIDEVAL_BROKER_URL="redis://:s3kr1t@here/1", VIDEVAL_HOME=str(tmp_path), **foreign)
    assert done.stdout.split() == ["redis://:**@here:6379/1"] * 2 + ["None", "[]"], done.stderr
    assert "not heeded" in done.stderr and "s3kr1t" not in done.stderr


def test_a_worker_whose_settings_are_wrong_says_so_without_a_traceback(tmp_path):
    done = run("from workers import app", VIDEVAL_BROKER_URL="localhost:6379", VIDEVAL_HOME=str(tmp_path))
    assert done.returncode == 3 and "no scheme" in done.stderr and "Traceback" not in done.stderr


def test_every_way_to_a_database_knows_it_by_one_name_and_two_have_two(database, tmp_path):
    opened = open_database(settings_for(tmp_path / "other"))
    upgrade(opened)
    with database.read() as connection:
        assert known_id(connection) is None
    again = Database(database.engine, url=database.engine.url)
    names = [database_id(database), database_id(again), database_id(database)]
    assert len(set(names)) == 1 and database_id(opened) not in names
    assert queue_name(names[0], "k") != queue_name(database_id(opened), "k")
    opened.close()


def test_a_length_is_that_of_one_database_s_queue(tmp_path, server):
    settings = settings_for(tmp_path, broker_url=server.url)
    with broker.broker_client(settings) as client:
        client.lpush(queue_name("one", "k"), "bell")
    assert queue_length(settings, queue_name("one", "k")) == 1
    assert queue_length(settings, queue_name("two", "k")) == 0
