"""A fleet for a block of a program: it answers with the program's settings, and ends however the block ends."""

import asyncio
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

import videval
from tests.servers import Postgres, TcpRedis, settings_for, wait_for
from tests.trees import clip
from videval.door import local
from videval.errors import BrokerUnavailable, EnvironmentProblem, UsageError
from videval.settings import Settings
from workers import broker
from workers import fleet as fleet_module
from workers.device import parse_devices
from workers.fleet import Fleet


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Those of an embedded home, which nothing in the environment points at."""
    runtime = tempfile.mkdtemp(prefix="vv-")
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    made = settings_for(tmp_path, reconcile=0.5, heartbeat=1.0)
    yield made
    broker.stop(made)
    shutil.rmtree(runtime, ignore_errors=True)


def table(folder: Path, count: int = 6, latency_ms: int = 0) -> Path:
    """Questions about a real clip."""
    (folder / "a.mp4").write_bytes(clip())
    rows = [
        {"index": str(i), "video": "a.mp4", "question": f"What is {i}?", "answer": "x", "fake_answer": "x" * (i % 2)}
        | ({"latency_ms": latency_ms} if latency_ms else {})
        for i in range(count)
    ]
    path = folder / "asked.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def workers_of(pid: int) -> list[psutil.Process]:
    """The workers that a process has had made and that live."""
    return [child for child in psutil.Process(pid).children(recursive=True) if _is_worker(child)]


def _is_worker(child: psutil.Process) -> bool:
    with suppress(psutil.Error):  # it ends just now
        return "workers" in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE
    return False


def test_a_fleet_answers_with_the_settings_of_the_program_and_is_gone_after_the_block(
    settings: Settings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with videval.fleet("cpu*2", settings=settings) as fleet:
        assert fleet.devices == ("cpu0", "cpu1")
        run = videval.enqueue(table(tmp_path), "fake", settings=settings)
        assert run.wait(timeout=120).status().state == "finished"
        wait_for("both to be there", lambda: fleet.alive == len(workers_of(os.getpid())) == 2)
        with pytest.raises(UsageError, match="started already"):
            fleet.start()
    assert workers_of(os.getpid()) == [] and fleet.alive == 0
    assert not broker.ping(settings)
    assert 0 < (run.score().value or 0) < 1 and len(run.to_pandas()) == 6
    fleet.stop()
    assert capfd.readouterr() == ("", "")


def test_an_exception_ends_the_workers_and_goes_on_its_way(settings: Settings) -> None:
    with pytest.raises(ZeroDivisionError), videval.fleet("cpu", settings=settings):
        wait_for("a worker", lambda: bool(workers_of(os.getpid())))
        _ = 1 / 0
    assert workers_of(os.getpid()) == []


def test_a_fleet_may_be_used_in_a_thread_and_in_an_event_loop(settings: Settings, tmp_path: Path) -> None:
    found: list[videval.Run] = []

    async def evaluate() -> None:
        async with videval.fleet("cpu", settings=settings):
            run = await videval.enqueue_async(table(tmp_path), "fake", settings=settings)
            seen = [status.counts.done async for status in run.progress(period=0.2, timeout=120)]
            assert seen[-1] == 6 and seen == sorted(seen)
            found.append(run)

    thread = threading.Thread(target=asyncio.run, args=(evaluate(),))
    thread.start()
    thread.join(150)
    assert found and found[0].status().counts.done == 6
    assert workers_of(os.getpid()) == []


def test_a_loop_that_is_cancelled_while_the_fleet_starts_leaves_no_worker(settings: Settings) -> None:
    async def evaluate() -> None:
        async with videval.fleet("cpu", settings=settings):
            await asyncio.sleep(60)

    async def cancelled() -> None:
        task = asyncio.create_task(evaluate())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert workers_of(os.getpid()) == []


@contextmanager
def closing_fleet(fleet: videval.LocalFleet) -> Iterator[None]:
    """Stop a fleet that is started already."""
    try:
        yield
    finally:
        fleet.stop()


PROGRAM = """
import signal, videval
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job ignores
settings = {{"home": {home!r}, "lock_dir": {locks!r}}}
with videval.fleet("cpu", settings=settings):
    run = videval.enqueue({table!r}, "fake", settings=settings)
    for status in run.progress(period=0.2):
        print(status.counts.done, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_a_program_that_is_stopped(
    number: signal.Signals, settings: Settings, tmp_path: Path
) -> None:
    code = PROGRAM.format(
        home=str(settings.home), locks=str(settings.lock_dir), table=str(table(tmp_path, 500, latency_ms=50))
    )
    environ = os.environ | {"VIDEVAL_HEARTBEAT": "0.5", "VIDEVAL_RECONCILE": "0.5"}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ
    ) as p:
        assert p.stdout and p.stderr
        for line in p.stdout:
            if int(line) > 0:
                break
        started = workers_of(p.pid)
        p.send_signal(number)
        said = p.stderr.read().decode()
    assert len(started) == 1
    assert p.returncode == -number and ("KeyboardInterrupt" in said) == (number == signal.SIGINT)
    wait_for("the worker's end", lambda: not any(w.is_running() for w in started))
    (run,) = videval.list_runs(settings=settings)
    assert 0 < run.status().counts.done < 500


def _look_and_stay(run: videval.Run, fleet: videval.LocalFleet, stay: float) -> None:
    """What a process that was forked inside the block may do."""
    assert run.status().counts.total == 6 and fleet.alive == 0
    fleet.stop()
    time.sleep(stay)


def test_processes_that_are_forked_inside_leave_the_fleet_alone_and_do_not_keep_its_broker(
    settings: Settings, tmp_path: Path
) -> None:
    forking = multiprocessing.get_context("fork")  # as a DataLoader does
    with videval.fleet("cpu", settings=settings) as fleet:
        run = videval.enqueue(table(tmp_path), "fake", settings=settings)
        wait_for("a worker", lambda: fleet.alive == 1)
        short, long = (forking.Process(target=_look_and_stay, args=(run, fleet, s)) for s in (0.0, 120.0))
        long.start()
        short.start()
        short.join(60)
        assert short.exitcode == 0 and fleet.alive == 1
        run.wait(timeout=120)
    again = threading.Thread(target=lambda: broker.BrokerUser(settings).leave(), daemon=True)
    again.start()
    again.join(30)
    assert long.is_alive() and not again.is_alive()
    long.kill()
    long.join()


def test_a_fleet_that_can_never_start_ends_the_wait(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FIRST_PAUSE", "LONGEST_PAUSE"):
        monkeypatch.setattr(fleet_module, name, 0.01)
    monkeypatch.setattr(local, "TICK", 0.02)
    wrapper = tmp_path / "python"
    wrapper.write_text("#!/bin/sh\necho 'videval worker: no weights' >&2\nexit 3\n")
    wrapper.chmod(0o755)
    with broker.using(settings):  # whose guardian is a Python, too
        monkeypatch.setattr("workers.fleet.sys.executable", str(wrapper))
        with videval.fleet("cpu", settings=settings) as fleet:
            run = videval.enqueue(table(tmp_path), "fake", settings=settings)
            with pytest.raises(EnvironmentProblem, match="no weights") as raised:
                run.wait(timeout=60)
            assert raised.value.hint == "videval doctor" and "no weights" in fleet.trouble
    with pytest.raises(TimeoutError):  # it is nobody's trouble any more
        run.wait(timeout=0)


def test_what_the_machine_refuses_for_a_moment_is_tried_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "TICK", 0.02)
    refused: list[Exception] = [OSError("no process to be had"), EnvironmentProblem("no lock to be had")]
    tick = Fleet.tick

    def refusing(self: Fleet) -> None:
        if refused:
            raise refused.pop()
        tick(self)

    monkeypatch.setattr(Fleet, "tick", refusing)
    with videval.fleet("cpu", settings=settings) as fleet:
        wait_for("a worker", lambda: fleet.alive == 1)
    assert not refused


def test_a_second_ctrl_c_kills_the_workers(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Fleet, *, patience: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Fleet, "stop", interrupted)
    with pytest.raises(KeyboardInterrupt), videval.fleet("cpu", settings=settings) as fleet:
        wait_for("a worker", lambda: fleet.alive == 1)
    assert workers_of(os.getpid()) == [] and not broker.ping(settings)


@pytest.mark.postgres
def test_database_and_broker_may_be_away_for_a_moment(tmp_path: Path) -> None:
    postgres, redis = Postgres(options={"fsync": "off"}), TcpRedis()
    try:
        settings = settings_for(tmp_path, database_url=postgres.new_database(), broker_url=redis.url, reconcile=0.5)
        run = videval.enqueue(table(tmp_path), "fake", limit=2, settings=settings)
        postgres.stop()
        redis.kill()
        with ThreadPoolExecutor() as pool:
            asked, started = pool.submit(run.status), pool.submit(videval.fleet("cpu", settings=settings).start)
            waited = pool.submit(run.wait, 120)
            time.sleep(1.0)
            assert not any(future.done() for future in (asked, started, waited))
            postgres.start()
            redis.start()
            with closing_fleet(started.result()):
                assert asked.result().counts.queued == 2
                assert waited.result().status().counts.done == 2
        redis.kill()
        more = videval.enqueue(table(tmp_path), "fake", settings=settings)
        assert more == run and "away" in more.remarks[-1] and more.status().counts.queued == 4
    finally:
        redis.kill()
        postgres.close()


def test_a_broker_that_stays_away_is_an_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "BROKER_PATIENCE", 0.0)
    with pytest.raises(BrokerUnavailable):
        videval.fleet("cpu", settings=settings_for(tmp_path, broker_url="redis://127.0.0.1:1/0")).start()
    assert workers_of(os.getpid()) == []


def test_a_worker_gets_the_settings_whole_and_no_rank_of_a_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranks = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "GROUP_WORLD_SIZE", "MASTER_ADDR", "TORCHELASTIC_RUN_ID", "CELERY_X")
    for name in ranks:
        monkeypatch.setenv(name, "1")
    given = settings_for(
        tmp_path,
        database_url="postgresql://u:secret@h/d",
        allow_symlinks=True,
        lease=7.5,
        max_rss_gb=2.0,
        frame_cache=None,
    )
    fleet = Fleet(settings=given, devices=parse_devices("cpu", gpus=[]), tied=True)
    environ = fleet._environ(fleet.seats[0], os.getpid())
    assert not set(ranks) & set(environ) and environ["PATH"] == os.environ["PATH"]
    for name in [n for n in os.environ if n.startswith("VIDEVAL_")]:
        monkeypatch.delenv(name)
    for name, value in environ.items():
        if name.startswith("VIDEVAL_"):
            monkeypatch.setenv(name, value)
    assert Settings() == given.model_copy(update={"devices": "cpu:0", "tied_to": os.getpid()})
