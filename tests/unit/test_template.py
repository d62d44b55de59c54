"""Workers as clones of one process: how they are made, how their ends are heard of, and what they must not know."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.servers import wait_for
from workers import spares
from workers.template import Clone, Template

MODULE = """
import json, os, sys, time
from pathlib import Path
from workers import spares

folder = Path(os.environ["VV_FOLDER"])
(folder / f"imported-{os.getpid()}").touch()

def main():
    told = {"argv": sys.argv, "environ": dict(os.environ), "spares": [s.process.pid for s in spares._spares]}
    print("said by", os.getpid(), flush=True)
    partial = folder / f"{os.getpid()}.partial"
    partial.write_text(json.dumps(told))
    partial.rename(folder / f"clone-{os.getpid()}")
    match sys.argv[1]:
        case "sleep":
            time.sleep(600)
        case "child":
            from workers.child import Child
            lock = os.open(os.environ["VV_FOLDER"] + "/lock", os.O_RDWR | os.O_CREAT)
            child = Child("a_child", environ={"VV_FOLDER": str(folder), "ONLY": "this"}, keep_fds=[lock])
            (folder / "of-child").write_text(json.dumps(child.receive()))
            time.sleep(600)
        case code:
            sys.exit(int(code))
"""
CHILD = """
import os, sys, time
from workers.pipes import parent_connection, receive, send

def main():
    connection = parent_connection()
    files = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if int(fd) > 2]
    send(connection, {"pid": os.getpid(), "environ": dict(os.environ), "files": files, "session": os.getsid(0),
                      "line": open("/proc/self/cmdline").read().split(chr(0))})
    receive(connection)
"""
KILLED = """
import os, signal
from pathlib import Path

fork, template = os.fork, os.getpid()

def fork_and_die():
    pid = fork()
    if pid and os.getpid() == template:
        Path(os.environ["VV_FOLDER"], "forked").write_text(str(pid))
        os.kill(template, signal.SIGKILL)
    return pid

os.fork = fork_and_die
"""
"""A template that is killed as soon as it has forked."""
SECRET = "postgresql://me:hunter2@h/d"

Make = Callable[..., Clone]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where modules lie that a template can import, and where clones say what they see."""
    (tmp_path / "a_worker.py").write_text(MODULE)
    (tmp_path / "a_child.py").write_text(CHILD)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    monkeypatch.setenv("VV_FOLDER", str(tmp_path))
    monkeypatch.setenv("VIDEVAL_DATABASE_URL", SECRET)
    return tmp_path


@pytest.fixture
def template(folder: Path) -> Iterator[Template]:
    made = Template("a_worker")
    yield made
    for file in folder.glob("clone-*"):
        with_no_mercy(int(file.name.removeprefix("clone-")))
    made.close()


def with_no_mercy(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def made(template: Template, folder: Path, *argv: str, **environ: str) -> Clone:
    """A clone; its output is in `log`."""
    with (folder / "log").open("ab") as log:
        clone = template.clone(["a_worker", *argv], os.environ | environ, [log.fileno(), log.fileno()])
    assert clone is not None
    return clone


def told(clone: Clone, folder: Path) -> Mapping[str, Any]:
    """What a clone says of itself, when it runs."""
    wait_for("the clone", lambda: clone.poll() is None and clone.pid is not None)
    file = folder / f"clone-{clone.pid}"
    wait_for("its word", file.exists)
    said: Mapping[str, Any] = json.loads(file.read_text())
    return said


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_clones_import_nothing_again_and_have_command_lines_environments_and_logs_of_their_own(
    template: Template, folder: Path
) -> None:
    clones = [made(template, folder, "sleep", DEVICE=device) for device in ("a", "b")]
    said = [told(clone, folder) for clone in clones]
    assert [file.name for file in folder.glob("imported-*")] == [f"imported-{template.pid}"]
    assert [s["argv"] for s in said] == [["a_worker", "sleep"]] * 2
    assert [s["environ"]["DEVICE"] for s in said] == ["a", "b"]
    for clone in clones:
        assert psutil.Process(clone.pid).cmdline()[:5] == [sys.executable, "-P", "-m", "a_worker", "sleep"]
        assert f"said by {clone.pid}" in (folder / "log").read_text()
        assert os.getsid(clone.pid or 0) == clone.pid


def test_how_a_clone_ended_is_heard_of(template: Template, folder: Path) -> None:
    clones = [made(template, folder, "7"), made(template, folder, "sleep")]
    told(clones[1], folder)
    clones[1].send_signal(signal.SIGKILL)
    wait_for("both to have ended", lambda: all(clone.poll() is not None for clone in clones))
    assert [clone.returncode for clone in clones] == [7, -signal.SIGKILL]


def test_clones_that_are_not_there_yet_get_their_signal_and_the_template_heeds_none(
    template: Template, folder: Path
) -> None:
    told(made(template, folder, "sleep"), folder)
    os.kill(template.pid, signal.SIGTERM)
    clones = [made(template, folder, "sleep") for _ in range(8)]
    for clone in clones:
        clone.send_signal(signal.SIGTERM)
    wait_for("them to have ended", lambda: all(clone.poll() is not None for clone in clones))
    assert {clone.returncode for clone in clones} == {-signal.SIGTERM}


def test_clones_outlive_the_template_and_their_end_is_seen_all_the_same(template: Template, folder: Path) -> None:
    clone = made(template, folder, "sleep")
    told(clone, folder)
    with_no_mercy(template.pid)
    wait_for("the template to be gone", lambda: clone.poll() is None and template.is_gone)
    assert clone.pid is not None and not is_gone(clone.pid)
    assert template.clone(["a_worker", "sleep"], {}, [1, 2]) is None
    clone.send_signal(signal.SIGTERM)
    wait_for("its end", lambda: clone.poll() is not None)
    assert clone.returncode == 0 and is_gone(clone.pid)


def test_what_was_asked_of_a_template_that_dies_of_its_imports_never_comes_to_be(folder: Path) -> None:
    (folder / "broken.py").write_text("import os; os._exit(3)")
    with Template("broken") as template:
        clone = made(template, folder, "sleep")
        wait_for("its end", lambda: clone.poll() is not None)
        assert clone.pid is None and template.is_gone and template.successor() is None
        clone.send_signal(signal.SIGTERM)


def test_a_template_whose_imports_started_a_thread_makes_no_clone_and_says_why(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "threaded.py").write_text("import _thread, time; _thread.start_new_thread(time.sleep, (60,))")
    with Template("threaded") as template:
        clone = made(template, folder, "sleep")
        wait_for("its end", lambda: clone.poll() is not None)
    assert "videval template: RuntimeError: it has 2 threads" in capfd.readouterr().err


def test_a_clone_whose_template_is_killed_before_it_tells_of_it_ends_as_nobody_could_drain_it(folder: Path) -> None:
    (folder / "killed.py").write_text(KILLED + MODULE)
    with Template("killed") as template:
        clone = made(template, folder, "sleep")
        wait_for("the template to be gone", lambda: clone.poll() is not None and template.is_gone)
        assert clone.pid is None
    forked = int((folder / "forked").read_text())
    wait_for("the clone to be gone", lambda: is_gone(forked))


def test_ends_are_heard_of_also_where_who_starts_the_fleet_ignores_those_of_its_children(folder: Path) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        template = Template("a_worker")
    finally:
        signal.signal(signal.SIGCHLD, before)
    with template:
        clone = made(template, folder, "7")
        wait_for("its end", lambda: clone.poll() is not None)
        assert clone.returncode == 7 and not template.is_gone


def test_where_python_knows_no_pidfd_there_is_no_clone_and_a_word_about_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "sitecustomize.py").write_text("import os; del os.pidfd_open")
    for missing in ("memfd_create", "pidfd_open"):
        monkeypatch.delattr(os, missing, raising=False)
    with Template("a_worker") as template, (folder / "log").open("ab") as log:
        clone = template.clone(["a_worker", "sleep"], os.environ, [log.fileno(), log.fileno()])
        wait_for("its end", lambda: clone is None or clone.poll() is not None)
        wait_for("the template to be gone", lambda: is_gone(template.pid))
    assert not list(folder.glob("imported-*"))
    assert "has no attribute 'pidfd_open' (workers start without it" in capfd.readouterr().err


def test_settings_that_no_socket_holds_are_for_a_worker_that_is_started_by_itself(
    template: Template, folder: Path
) -> None:
    assert template.clone(["a_worker", "sleep"], {"LARGE": "x" * 2**24}, [1, 2]) is None
    assert told(made(template, folder, "sleep"), folder)["argv"] == ["a_worker", "sleep"]


def test_what_the_workers_share_starts_no_thread_opens_no_file_and_reads_no_settings() -> None:
    code = (
        "import os, sys, workers.cloned\n"
        "files = [os.path.realpath(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd') if int(fd) > 2]\n"
        "heavy = {'workers.config', 'torch'} & set(sys.modules)\n"
        "print(len(os.listdir('/proc/self/task')), heavy, [f for f in files if not f.startswith('/proc/')])"
    )
    environ = os.environ | {"OPENBLAS_NUM_THREADS": "1", "VIDEVAL_HOME": "/nowhere", "VIDEVAL_LEASE": "no number"}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "1 set() []\n"


def test_a_template_ends_with_who_started_it_although_a_fork_of_that_holds_its_line(folder: Path) -> None:
    code = (
        "import os, time\nfrom workers.template import Template\n"
        "template = Template('a_worker')\n"
        "print(template.pid, os.fork() or time.sleep(600), flush=True)\n"
        "time.sleep(600)"
    )
    program = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    template, fork = map(int, program.stdout.readline().split())
    program.kill()
    program.wait()
    wait_for("the template to be gone", lambda: is_gone(template))
    assert not is_gone(fork)
    with_no_mercy(fork)
    program.stdout.close()


# spares


def of_child(clone: Clone, folder: Path) -> Mapping[str, Any]:
    told(clone, folder)
    wait_for("its child", (folder / "of-child").exists)
    said: Mapping[str, Any] = json.loads((folder / "of-child").read_text())
    return said


def test_a_child_is_a_spare_of_its_worker_with_the_locks_and_the_environment_that_it_is_given(
    template: Template, folder: Path
) -> None:
    clone = made(template, folder, "child")
    child = of_child(clone, folder)
    assert child["pid"] in told(clone, folder)["spares"]
    assert child["environ"] == {"VV_FOLDER": str(folder), "ONLY": "this"}
    assert child["session"] == child["pid"] and child["line"][3] == "a_child"
    assert [f for f in child["files"] if "socket" not in f and "/proc/" not in f] == [f"{folder}/lock"]


def test_no_process_that_a_spare_comes_from_has_seen_a_secret(template: Template, folder: Path) -> None:
    clone = made(template, folder, "child")
    child = of_child(clone, folder)
    assert SECRET.encode() in memory(clone.pid or 0)
    assert SECRET.encode() not in Path(f"/proc/{child['pid']}/environ").read_bytes()
    assert SECRET.encode() not in memory(child["pid"])
    assert SECRET.encode() not in memory(template.pid)


def memory(pid: int) -> bytes:
    """What a process may write to of its own memory."""
    found = []
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as file:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, mode, *_ = line.split()
            if mode.startswith("rw"):
                start, end = (int(edge, 16) for edge in place.split("-"))
                file.seek(start)
                found.append(file.read(end - start))
    return b"".join(found)


def test_a_killed_worker_takes_its_spares_with_it(template: Template, folder: Path) -> None:
    clone = made(template, folder, "sleep")
    spares = told(clone, folder)["spares"]
    assert len(spares) == 2 and not any(map(is_gone, spares))
    clone.send_signal(signal.SIGKILL)
    wait_for("the spares to be gone", lambda: all(map(is_gone, spares)))


def test_where_there_is_no_room_for_a_process_there_are_no_spares(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> int:
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", full)
    monkeypatch.setattr(spares, "_spares", [])
    files = psutil.Process().num_fds()
    spares.fork_ahead(2)
    assert spares.take_spare() is None and psutil.Process().num_fds() <= files
