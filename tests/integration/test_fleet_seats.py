"""The supervisor: starts, restarts with patience, gives up with the reason, never blames a worker for an outage."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.servers import settings_for, wait_for
from videval.errors import EnvironmentProblem, UsageError
from videval.settings import Settings
from workers import fleet as fleet_module
from workers.device import parse_devices
from workers.fleet import Fleet
from workers.locks import claim_device
from workers.template import Template


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_for(tmp_path)


@pytest.fixture
def fleet(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """One whose workers run `tmp_path/worker.py`, with pauses cut short."""
    monkeypatch.setattr(fleet_module, "FIRST_PAUSE", 0.01)
    script = tmp_path / "worker.py"
    script.write_text("import time; time.sleep(60)")
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} {script} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setattr(fleet_module.sys, "executable", str(wrapper))
    made = Fleet(settings=settings, devices=parse_devices("cpu*2", gpus=[]))
    yield made
    made.signal(signal.SIGKILL)
    made.wait(10)


def becomes(folder: Path, script: str) -> None:
    (folder / "worker.py").write_text(script)


def tick_until(fleet: Fleet, ready, patience: float = 30.0) -> None:
    def step() -> bool:
        fleet.tick()
        return bool(ready())

    wait_for("the fleet", step, patience)


@pytest.fixture
def cloning(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """One whose workers are clones of a template that has imported `tmp_path/a_worker.py`."""
    (tmp_path / "a_worker.py").write_text("import time\ndef main(): time.sleep(60)")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    monkeypatch.setattr(fleet_module, "FIRST_PAUSE", 0.01)
    made = Fleet(settings=settings, devices=parse_devices("cpu*2", gpus=[]), tied=True, template=Template("a_worker"))
    yield made
    made.signal(signal.SIGKILL)
    assert made.wait(10)


def started(fleet: Fleet) -> bool:
    return all(seat.process is not None and seat.process.pid is not None for seat in fleet.alive)


def test_workers_are_clones_of_the_template_and_tied_to_it_and_it_ends_with_them(cloning: Fleet) -> None:
    tick_until(cloning, lambda: len(cloning.alive) == 2 and started(cloning))
    assert cloning.template is not None
    template, pids = cloning.template.pid, [seat.process.pid for seat in cloning.alive]
    assert [psutil.Process(pid).ppid() for pid in pids] == [template] * 2
    assert cloning._environ(cloning.seats[0], template)["VIDEVAL_TIED_TO"] == str(template)
    cloning.stop()
    assert not any(psutil.pid_exists(pid) for pid in (template, *pids))


def test_a_killed_template_is_replaced_when_the_next_worker_is_due_and_the_others_go_on(cloning: Fleet) -> None:
    tick_until(cloning, lambda: len(cloning.alive) == 2 and started(cloning))
    assert cloning.template is not None
    first, kept = cloning.template.pid, cloning.seats[1].process.pid
    for pid in (first, cloning.seats[0].process.pid):
        os.kill(pid, signal.SIGKILL)
    tick_until(cloning, lambda: cloning.template.pid != first and len(cloning.alive) == 2 and started(cloning))
    assert cloning.seats[1].process.pid == kept and psutil.Process(kept).is_running()
    assert psutil.Process(cloning.seats[0].process.pid).ppid() == cloning.template.pid


def test_where_the_template_cannot_be_had_each_worker_is_started_by_itself(fleet: Fleet, tmp_path: Path) -> None:
    fleet.template = Template("no_such_module")  # what runs in its place ends at once
    becomes(tmp_path, "import sys, time; time.sleep(60) if 'worker' in sys.argv else sys.exit(1)")
    tick_until(fleet, lambda: fleet.template is None and len(fleet.alive) == 2 and started(fleet))


def test_a_fleet_of_nothing_is_refused(settings):
    with pytest.raises(UsageError, match="at least one device"):
        Fleet(settings=settings, devices=[])


def test_a_home_without_room_for_logs_says_which_variable_to_set(tmp_path):
    (tmp_path / "home").write_text("a file")
    with pytest.raises(EnvironmentProblem) as raised:
        Fleet(settings=settings_for(tmp_path), devices=parse_devices("cpu", gpus=[]))
    assert raised.value.hint == "set VIDEVAL_HOME"


def test_a_worker_that_can_never_start_is_given_up_with_what_it_said(fleet, tmp_path):
    becomes(tmp_path, "import sys; sys.stderr.write('videval worker: no weights\\n  -> fetch them\\n'); sys.exit(3)")
    tick_until(fleet, lambda: fleet.hopeless)
    assert "exit code 3" in fleet.hopeless and "no weights" in fleet.hopeless and "fetch them" in fleet.hopeless
    assert all(seat.restarts == fleet_module.GIVE_UP_AFTER - 1 for seat in fleet.seats)


def test_while_the_database_is_away_nobody_is_given_up(fleet, tmp_path, settings, monkeypatch):
    away = settings.model_copy(
        update={"database_url": type(settings.database_url)("postgresql+psycopg://x@127.0.0.1:1/x")}
    )
    fleet.settings = away
    becomes(tmp_path, "import sys; sys.exit(3)")
    tick_until(fleet, lambda: min(s.restarts for s in fleet.seats) > fleet_module.GIVE_UP_AFTER + 1)
    assert fleet.hopeless == "" and all(s.quick_deaths == 0 for s in fleet.seats)


def test_one_device_that_is_given_up_does_not_stop_the_others(fleet, tmp_path):
    becomes(
        tmp_path, "import os, sys, time; sys.exit(3) if os.environ['VIDEVAL_DEVICES'] == 'cpu:0' else time.sleep(60)"
    )
    tick_until(fleet, lambda: fleet.seats[0].gave_up)
    assert fleet.hopeless == "" and [s.device.label for s in fleet.alive] == ["cpu1"]


def test_a_worker_that_is_killed_is_started_again(fleet):
    fleet.tick()
    before = [s.process.pid for s in fleet.alive]
    os.kill(before[0], signal.SIGKILL)
    tick_until(fleet, lambda: len(fleet.alive) == 2 and fleet.seats[0].process.pid != before[0])
    assert fleet.seats[1].process.pid == before[1]


def test_a_worker_that_drained_by_itself_is_replaced_at_once_and_never_counted(fleet, tmp_path):
    becomes(tmp_path, "")
    tick_until(fleet, lambda: min(s.restarts for s in fleet.seats) > fleet_module.GIVE_UP_AFTER)
    assert fleet.hopeless == ""


def test_a_device_that_somebody_else_holds_is_waited_for(fleet, settings):
    held = claim_device(settings.lock_path, parse_devices("cpu:0", gpus=[]))
    fleet.tick()
    assert fleet.seats[0].waits and [s.device.label for s in fleet.alive] == ["cpu1"]
    for fd in held.fds:
        os.close(fd)
    tick_until(fleet, lambda: len(fleet.alive) == 2)


def test_each_worker_is_told_its_device_by_its_lock_s_name(fleet, tmp_path):
    becomes(tmp_path, f"import os; open(r'{tmp_path}/' + os.environ['VIDEVAL_DEVICES'], 'w').close()")
    tick_until(fleet, lambda: (tmp_path / "cpu:0").exists() and (tmp_path / "cpu:1").exists())


def test_drain_asks_kindly_and_starts_nobody_again(fleet, tmp_path):
    becomes(
        tmp_path,
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.3), sys.exit(0)))\n"
        f"open(r'{tmp_path}/ready' + str(__import__('os').getpid()), 'w').close()\ntime.sleep(60)",
    )
    fleet.tick()
    wait_for("both to be ready", lambda: len(list(tmp_path.glob("ready*"))) == 2)
    fleet.drain()
    assert fleet.wait(20) and all(s.process.returncode == 0 for s in fleet.seats)
    fleet.tick()
    assert fleet.alive == []


def test_who_does_not_end_is_ended(fleet, tmp_path):
    becomes(
        tmp_path,
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"open(r'{tmp_path}/ready' + str(__import__('os').getpid()), 'w').close()\ntime.sleep(60)",
    )
    fleet.tick()
    wait_for("both to be ready", lambda: len(list(tmp_path.glob("ready*"))) == 2)
    began = time.monotonic()
    fleet.stop(patience=0.2)
    assert fleet.alive == [] and time.monotonic() - began < 20
