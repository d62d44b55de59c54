"""The engine with its process: who hears of a death, what is loaded again, what is given back, how it ends."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.servers import settings_for, wait_for
from videval.errors import (
    DeadlineExceeded,
    DiedInCompany,
    EnvironmentProblem,
    ModelUnavailable,
    OutOfMemory,
    ProcessDied,
    Released,
)
from videval.models.catalog import model_spec
from videval.types import Answer, Clip, GenerationSettings, Prompt, Stage, Text, Video
from workers.device import parse_devices
from workers.engine import Engine

SETTINGS = GenerationSettings()


class Asked:
    """A request thread's question: where it is, and what becomes of it."""

    def __init__(self) -> None:
        self.stages: list[Stage] = []
        self.answer: Future[Answer]

    def is_in(self, stage: Stage) -> bool:
        return self.stages[-1:] == [stage]

    def text(self) -> str:
        return self.answer.result(60).generation.text

    def error(self) -> BaseException | None:
        return self.answer.exception(60)


class Asker:
    """Request threads around an engine."""

    def __init__(self, folder: Path, **values: object) -> None:
        self.settings = settings_for(folder, **{"batch_size": 2, "generate_deadline": 60, **values})
        self.engine = Engine(self.settings, parse_devices("cpu", gpus=[])[0])
        self._pool = ThreadPoolExecutor(16)

    def load(self, model: str = "fake", key: str = "k", dtype: str = "float32") -> None:
        self.engine.load(model_spec(model), key, dtype)

    def ask(
        self,
        said: str = "",
        *,
        key: str = "k",
        clip: Clip | None = None,
        alone: bool = False,
        on_stage: Callable[[Stage], object] | None = None,
        **row: Any,
    ) -> Asked:
        """Ask, and come back when the engine has it."""
        asked = Asked()
        steering = {"fake_answer": said, "index": said, **row}
        prompt = Prompt(parts=(Video(), Text(text="?")), clips=(clip,) if clip else (), steering=steering)
        begun = threading.Event()

        def entered(stage: Stage) -> None:
            asked.stages.append(stage)
            if on_stage is not None:
                on_stage(stage)

        def call() -> Answer:
            begun.set()
            return self.engine.ask(prompt, SETTINGS, alone=alone, together="", load_key=key, on_stage=entered)

        asked.answer = self._pool.submit(call)
        assert begun.wait(20)
        return asked

    def generating(self, said: str = "", **row: Any) -> Asked:
        """Ask, and come back when it is generated."""
        asked = self.ask(said, **row)
        wait_for("it to be generated", lambda: asked.is_in(Stage.GENERATE))
        return asked

    def waiting(self, *said: str, **row: Any) -> list[Asked]:
        """Ask one after the other behind what is generated, and come back when all of them are with the engine."""
        asked = []
        for one in said:
            asked.append(self.ask(one, **row))
            wait_for("it to wait", lambda: asked[-1].is_in(Stage.WAIT))
        return asked

    def close(self) -> None:
        self.engine.close()
        self._pool.shutdown()


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Asker]:
    asker = Asker(tmp_path)
    yield asker
    asker.close()


@pytest.fixture
def asker(made: Asker) -> Asker:
    made.load()
    return made


@pytest.fixture
def streams(made: Asker) -> Asker:
    """An engine whose server has two streams."""
    made.load("fake_server:2")
    return made


# deaths


def test_who_was_generated_alone_hears_of_the_crash_and_a_new_process_answers_the_others(asker: Asker) -> None:
    first = asker.engine.pid
    guilty = asker.ask(fake_fault="crash", alone=True)
    others = [asker.ask(str(i)) for i in range(5)]
    error = guilty.error()
    assert isinstance(error, ProcessDied) and "SIGKILL" in str(error)
    assert [other.text() for other in others] == list("01234")
    assert asker.engine.pid not in (None, first) and asker.engine.loads == 2


def test_those_that_were_generated_together_hear_that_they_had_company(streams: Asker) -> None:
    mate = streams.generating("mate", fake_fault="stall")
    guilty, waiting = streams.generating(latency_ms=300, fake_fault="crash"), streams.ask("waiting")
    assert isinstance(guilty.error(), DiedInCompany) and isinstance(mate.error(), DiedInCompany)
    assert waiting.text() == "waiting" and streams.engine.loads == 2


def test_a_broken_device_ends_the_process_although_it_could_go_on(asker: Asker) -> None:
    guilty = asker.ask(fake_fault="device")
    assert isinstance(guilty.error(), ProcessDied) and "exit code 1" in str(guilty.error())
    assert asker.ask("next").text() == "next" and asker.engine.loads == 2


def test_who_hangs_is_ended_at_its_deadline_and_the_others_are_answered(tmp_path: Path) -> None:
    asker = Asker(tmp_path, generate_deadline=1.0)
    try:
        asker.load()
        first = asker.engine.pid
        guilty, waiting = asker.generating(fake_fault="hang"), asker.ask("later")
        error = guilty.error()
        assert isinstance(error, DeadlineExceeded) and str(error).startswith("generation took longer than 1 s")
        assert waiting.text() == "later" and asker.engine.loads == 2
        assert first is not None and not psutil.pid_exists(first)
    finally:
        asker.close()


def test_a_process_that_does_not_even_listen_is_ended_and_nobody_is_guilty(tmp_path: Path) -> None:
    asker = Asker(tmp_path, generate_deadline=1.0)
    try:
        asker.load()
        assert asker.engine.pid is not None
        os.kill(asker.engine.pid, signal.SIGSTOP)
        assert asker.ask("answered").text() == "answered" and asker.engine.loads == 2
    finally:
        asker.close()


def test_out_of_memory_is_said_and_the_process_lives_on(asker: Asker) -> None:
    assert isinstance(asker.ask(fake_fault="oom").error(), OutOfMemory)
    assert asker.ask("fine").text() == "fine" and asker.engine.loads == 1


def test_frames_that_are_gone_are_this_machine_s_problem_and_not_the_request_s(asker: Asker, tmp_path: Path) -> None:
    gone = Clip(
        path=str(tmp_path / "gone.npy"), frame_numbers=(0,), timestamps=(0.0,), total_frames=1, fps=1.0, width=2,
        height=2, decoder="none", policy="stride",
    )  # fmt: skip
    error = asker.ask(clip=gone).error()
    assert isinstance(error, EnvironmentProblem) and "cannot be mapped" in str(error)


# the device waits for nobody


def started(log: Path) -> list[str]:
    """What the fake has started on, in order."""
    return [json.loads(line)["index"] for line in log.read_text().splitlines()] if log.exists() else []


def test_while_one_s_owner_notes_its_stage_the_next_batch_is_begun(
    made: Asker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, noted = tmp_path / "log", threading.Event()
    monkeypatch.setenv("VIDEVAL_FAKE_LOG", str(log))
    made.load()
    engine = made.engine
    prompts = [
        Prompt(parts=(Text(text="?"),), steering={"index": said, "fake_answer": said}) for said in ("slow", "next")
    ]

    def note(stage: Stage) -> None:
        assert noted.wait(30), "as a database that is away"

    with ThreadPoolExecutor(2) as pool:
        asked = [
            pool.submit(engine.ask, prompt, SETTINGS, alone=True, together="", load_key="k", on_stage=note)
            for prompt in prompts
        ]
        wait_for("both to be generated", lambda: sorted(started(log)) == ["next", "slow"])
        assert not asked[0].done()
        noted.set()
        assert [one.result(20).generation.text for one in asked] == ["slow", "next"]


def test_an_owner_that_cannot_note_the_stage_gets_its_answer_all_the_same(asker: Asker) -> None:
    def unable(stage: Stage) -> None:
        raise RuntimeError("no database")

    prompt = Prompt(parts=(Text(text="?"),), steering={"fake_answer": "yes"})
    said = asker.engine.ask(prompt, SETTINGS, alone=False, together="", load_key="k", on_stage=unable)
    assert said.generation.text == "yes"


def test_each_is_told_where_it_is_and_the_seconds_come_from_the_process(asker: Asker) -> None:
    asked = asker.ask("a", latency_ms=30)
    answer = asked.answer.result(20)
    assert asked.stages == [Stage.PREPARE, Stage.WAIT, Stage.GENERATE]
    assert answer.prepare_s > 0 and answer.wait_s > 0 and asker.engine.busy_s >= 0.02
    assert answer.generate_s >= 0.03


# loading


def test_the_process_loads_neither_database_nor_settings_nor_celery() -> None:
    heavy = "{'sqlalchemy', 'pydantic', 'celery', 'torch'}"
    code = f"import sys, workers.engine.process; print(*({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_slots_are_one_until_the_model_says_how_many_it_wants(made: Asker) -> None:
    assert made.engine.slots == 1 and made.engine.ready() is None
    made.load()
    assert made.engine.slots == made.settings.batch_size
    made.load("fake_server:64", "other")
    ready = made.engine.ready()
    assert made.engine.slots == 64 and ready is not None and ready.load_key == "other"


@pytest.mark.parametrize(
    ("fault", "deadline", "said"),
    [
        ("error", 60, "asked not to load"),
        ("crash", 60, "died while it loaded"),
        ("hang", 1, "loading took longer than 1"),
    ],
)
def test_a_load_that_fails_crashes_or_hangs_is_said_and_asks_nothing_of_the_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, deadline: float, said: str
) -> None:
    monkeypatch.setenv("VIDEVAL_FAKE_LOAD_FAULT", fault)
    asker = Asker(tmp_path, load_deadline=deadline)
    try:
        with pytest.raises(ModelUnavailable, match=said):
            asker.load()
        wait_for("its process to be gone", lambda: asker.engine.pid is None)
        assert isinstance(asker.ask().error(), Released) and asker.engine.ready() is None
    finally:
        asker.close()


def test_a_process_that_is_killed_while_it_loads_makes_the_model_unavailable_until_the_next_load(
    made: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDEVAL_FAKE_LOAD_S", "60")
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(made.load)
        wait_for("the process", lambda: made.engine.pid is not None)
        assert made.engine.pid is not None and made.engine.is_loading
        os.kill(made.engine.pid, signal.SIGKILL)
        assert isinstance(loading.exception(30), ModelUnavailable)
    monkeypatch.delenv("VIDEVAL_FAKE_LOAD_S")
    made.load()
    assert made.ask("loaded").text() == "loaded"


def test_a_model_that_cannot_be_loaded_again_releases_what_waits_for_it(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDEVAL_FAKE_LOAD_FAULT", "error")
    guilty, waiting = asker.ask(fake_fault="crash", alone=True), asker.ask("waits", alone=True)
    assert isinstance(guilty.error(), ProcessDied) and isinstance(waiting.error(), Released)
    assert asker.engine.ready() is None and asker.engine.loaded is None


def test_a_bell_that_waits_for_a_model_that_cannot_be_loaded_again_hears_that_there_is_none(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDEVAL_FAKE_LOAD_FAULT", "error")
    monkeypatch.setenv("VIDEVAL_FAKE_LOAD_S", "0.5")
    assert asker.engine.pid is not None
    os.kill(asker.engine.pid, signal.SIGKILL)
    wait_for("the crash to be seen", lambda: asker.engine.is_loading)
    assert asker.engine.ready() is None


def test_while_a_model_is_loaded_again_requests_wait_for_it_and_it_is_not_loaded_twice(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDEVAL_FAKE_LOAD_S", "0.5")
    assert asker.engine.pid is not None
    os.kill(asker.engine.pid, signal.SIGKILL)
    wait_for("the crash to be seen", lambda: asker.engine.is_loading)
    ready = asker.engine.ready()
    assert ready is not None and ready.load_key == "k"
    asker.load()
    assert asker.engine.loads == 2


def test_another_model_waits_for_what_is_generated_and_nothing_else_reaches_it(asker: Asker) -> None:
    first = asker.engine.pid
    busy = asker.generating("finished", latency_ms=2000)
    (waiting,) = asker.waiting("waits")
    asker.load("fake:b", "other")
    assert busy.text() == "finished" and isinstance(waiting.error(), Released)
    assert asker.engine.pid != first and asker.engine.loads == 2
    assert isinstance(asker.ask().error(), Released), "who asks for the model of before"
    assert asker.ask("new", key="other").text() == "new"


# giving back and ending


def test_the_newest_that_have_not_begun_are_given_back_and_the_others_answered(
    made: Asker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv("VIDEVAL_FAKE_LOG", str(log))
    made.load()
    busy = made.generating("busy", latency_ms=500)
    old, middle, young = made.waiting("old", "middle", "young")
    assert made.engine.give_back(2) == 2
    assert isinstance(middle.error(), Released) and isinstance(young.error(), Released)
    assert (busy.text(), old.text()) == ("busy", "old") and started(log) == ["busy", "old"]
    assert made.engine.give_back() == 0


def test_what_the_engine_began_before_the_worker_heard_of_it_is_answered_although_it_was_asked_back(
    made: Asker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be generated, thrown away, and generated again by somebody else."""
    log, may_hear = tmp_path / "log", threading.Event()
    monkeypatch.setenv("VIDEVAL_FAKE_LOG", str(log))
    made.load()
    begun = made.ask("begun", on_stage=lambda stage: may_hear.wait(20))
    wait_for("it to be generated, unheard", lambda: started(log) == ["begun"])
    made.engine.drain()
    may_hear.set()
    assert begun.text() == "begun" and started(log) == ["begun"]


def test_draining_finishes_what_is_generated_releases_the_rest_and_takes_nothing_more(asker: Asker) -> None:
    busy = asker.generating("finished", latency_ms=500)
    waiting = asker.waiting("a", "b")
    asker.engine.drain()
    assert all(isinstance(one.error(), Released) for one in waiting)
    assert busy.text() == "finished"
    assert isinstance(asker.ask().error(), Released) and asker.engine.ready() is None
    with pytest.raises(ModelUnavailable, match="draining"):
        asker.load("fake:b", "other")


def test_closing_releases_everything_and_leaves_no_process(asker: Asker) -> None:
    busy = asker.generating(fake_fault="stall")
    (waiting,) = asker.waiting("waits")
    pid = asker.engine.pid
    assert pid is not None
    asker.engine.close()
    assert isinstance(busy.error(), Released) and isinstance(waiting.error(), Released)
    assert not psutil.pid_exists(pid) and asker.engine.pid is None and asker.engine.loaded is None


def test_closing_ends_a_load(made: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEVAL_FAKE_LOAD_S", "60")
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(made.load)
        wait_for("the process", lambda: made.engine.pid is not None)
        made.engine.close()
        assert isinstance(loading.exception(30), ModelUnavailable) and made.engine.pid is None


def children() -> list[psutil.Process]:
    return [p for p in psutil.Process().children() if "workers.engine.process" in p.cmdline()]


@pytest.fixture
def prepared(tmp_path: Path) -> Iterator[tuple[Engine, psutil.Process]]:
    """An engine whose process was started ahead, and that process."""
    before = children()
    engine = Engine(settings_for(tmp_path), parse_devices("cpu", gpus=[])[0])
    engine.prepare()
    wait_for("its command line", lambda: len(children()) > len(before))  # the kernel shows it a moment after the start
    (process,) = [p for p in children() if p not in before]
    yield engine, process
    engine.close()


def test_a_process_that_was_started_ahead_loads_the_first_model(prepared: tuple[Engine, psutil.Process]) -> None:
    engine, process = prepared
    assert engine.loads == 0
    engine.load(model_spec("fake"), "k", "float32")
    assert (engine.pid, engine.loads) == (process.pid, 1)


def test_one_that_died_meanwhile_is_nobody_s_failure(prepared: tuple[Engine, psutil.Process]) -> None:
    engine, process = prepared
    process.kill()
    wait_for("it to be dead", lambda: process.status() == psutil.STATUS_ZOMBIE)
    engine.load(model_spec("fake"), "k", "float32")
    assert engine.pid not in (None, process.pid)


def test_one_that_was_never_needed_ends_with_the_engine(prepared: tuple[Engine, psutil.Process]) -> None:
    engine, process = prepared
    engine.close()
    assert not process.is_running()
