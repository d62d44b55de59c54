"""A child process at its worst: it does not read, it does not end."""

import os
import signal
import subprocess
import sys
import time

import pytest

from workers import child as child_module
from workers.child import Child


@pytest.fixture
def child():
    started = Child("workers.decoder_process", environ=dict(os.environ))
    yield started
    started.kill()


def test_sending_to_a_child_that_does_not_read_does_not_wait_for_it(child):
    os.kill(child.pid, signal.SIGSTOP)
    began = time.monotonic()
    for _ in range(4):
        child.send({"text": "x" * 1_000_000})
    assert time.monotonic() - began < 2
    assert not child.connection.poll(0.2)
    assert child.kill() == "signal SIGKILL"


def test_a_worker_whose_child_cannot_be_ended_ends_itself_so_that_others_take_over():
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


def test_a_child_that_takes_seconds_to_give_back_its_memory_does_not_count_as_unkillable(child, monkeypatch):
    real = child.process.wait

    def slowly(timeout: float | None = None) -> int:
        if timeout is not None and timeout < 8:
            raise subprocess.TimeoutExpired("child", timeout)
        return real(timeout)

    monkeypatch.setattr(child.process, "wait", slowly)
    monkeypatch.setattr(child_module, "_end_with_it", lambda pid: pytest.fail("its worker would have ended with it"))
    assert child.kill() == "signal SIGKILL"
