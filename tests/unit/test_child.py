"""A child process at its worst: it does not read, it does not end."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.servers import wait_for
from workers import child as child_module
from workers.child import Child

PARENT = """
import os, subprocess, time
from workers.pipes import parent_connection, receive, send
pipe = parent_connection()
grandchild = os.fork() or time.sleep(600)
send(pipe, {"pid": grandchild})
receive(pipe)
os._exit(7)
"""
"""A child with a child of its own, which holds the pipe open as long as it lives."""


@pytest.fixture
def child() -> Iterator[Child]:
    started = Child("workers.decoder_process", environ=dict(os.environ))
    yield started
    started.kill()


def test_sending_to_a_child_that_does_not_read_does_not_wait_for_it(child: Child) -> None:
    os.kill(child.pid, signal.SIGSTOP)
    sending = threading.Thread(target=lambda: [child.send({"text": "x" * 1_000_000}) for _ in range(4)], daemon=True)
    sending.start()
    sending.join(20)
    assert not sending.is_alive() and not child.connection.poll(0.2)
    assert child.kill() == "signal SIGKILL"


def test_a_worker_whose_child_cannot_be_ended_ends_itself_so_that_others_take_over() -> None:
    code = (
        "import subprocess, workers.child as c, os\n"
        "child = c.Child('workers.decoder_process', environ=dict(os.environ))\n"
        "def never(timeout=None): raise subprocess.TimeoutExpired('child', timeout)\n"
        "child.process.wait = never\n"
        "child.kill()\n"
        "print('still here')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == os.EX_UNAVAILABLE and "cannot be ended" in done.stderr and not done.stdout


def test_a_child_that_takes_seconds_to_give_back_its_memory_does_not_count_as_unkillable(
    child: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = child.process.wait

    def slowly(timeout: float | None = None) -> int:
        if timeout is not None and timeout < 8:
            raise subprocess.TimeoutExpired("child", timeout)
        return real(timeout)

    monkeypatch.setattr(child.process, "wait", slowly)
    monkeypatch.setattr(child_module, "_end_with_it", lambda pid: pytest.fail("its worker would have ended with it"))
    assert child.kill() == "signal SIGKILL"


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[Child]:
    """A child that has started a process itself."""
    (tmp_path / "a_parent.py").write_text(PARENT)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    started = Child("a_parent", environ={**os.environ, "PYTHONPATH": path})
    yield started
    started.kill()


def is_gone(pid: int) -> bool:
    """Whether a process has ended, also if nobody has buried it."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_what_a_child_has_started_is_ended_with_it(parent: Child) -> None:
    grandchild = parent.receive()["pid"]
    assert not is_gone(grandchild)
    assert parent.kill() == "signal SIGKILL"
    wait_for("its child to be gone", lambda: is_gone(grandchild))


def test_a_child_that_ends_by_itself_is_seen_to_although_its_own_child_holds_the_pipe_open(parent: Child) -> None:
    grandchild = parent.receive()["pid"]
    parent.send({})
    with pytest.raises(EOFError):
        while not parent.wait(time.monotonic() + 20):
            pass
    assert parent.death() == "exit code 7"
    wait_for("its child to be gone", lambda: is_gone(grandchild))
