"""The engine: only the guilty hear of a crash or a hang, everybody else is answered by the next child."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.servers import settings_for, wait_for
from videval.errors import (
    DeadlineExceeded,
    EnvironmentProblem,
    ModelFailure,
    ModelUnavailable,
    OutOfMemory,
    ProcessDied,
)
from videval.inference import Released
from videval.models.catalog import model_spec
from videval.types import Answer, Clip, GenerationSettings, Prompt, Stage, Text, Video
from workers.device import parse_devices
from workers.engine import Engine

SETTINGS = GenerationSettings()


def prompt(text: str = "What?", clip: Clip | None = None, **row: object) -> Prompt:
    return Prompt(parts=(Video(), Text(text=text)) if clip else (Text(text=text),), clip=clip, row=row)


class Asker:
    """Request threads around an engine."""

    def __init__(self, folder: Path, **values: object) -> None:
        self.settings = settings_for(folder, **{"batch_size": 4, "generate_deadline": 30, **values})
        self.engine = Engine(self.settings, parse_devices("cpu", gpus=[])[0])
        self._pool = ThreadPoolExecutor(16)

    def load(self, key: str = "k", dtype: str = "float32") -> None:
        self.engine.load(model_spec("fake"), key, dtype)

    def ask(
        self, key: str = "k", *, alone: bool = False, begun: threading.Event | None = None, **row
    ) -> Future[Answer]:
        said = prompt(**row)

        def on_stage(stage: Stage) -> None:
            if begun is not None and stage == Stage.GENERATE:
                begun.set()

        return self._pool.submit(
            self.engine.ask, said, SETTINGS, alone=alone, together="", load_key=key, on_stage=on_stage
        )

    def close(self) -> None:
        self.engine.close()
        self._pool.shutdown()


@pytest.fixture
def asker(tmp_path: Path) -> Iterator[Asker]:
    made = Asker(tmp_path)
    made.load()
    yield made
    made.close()


def outcome(answer: Future[Answer]) -> BaseException | str:
    error = answer.exception(60)
    return error if error is not None else answer.result().generation.text


def test_a_crash_is_told_to_the_guilty_and_the_others_are_answered_by_a_new_child(asker):
    first = asker.engine.pid
    guilty = asker.ask(alone=True, fake_fault="crash")
    others = [asker.ask(fake_answer=str(i)) for i in range(6)]
    assert isinstance(outcome(guilty), ProcessDied) and "SIGKILL" in str(outcome(guilty))
    assert [outcome(o) for o in others] == [str(i) for i in range(6)]
    assert asker.engine.pid != first and asker.engine.loads == 2


def test_a_batch_that_hangs_is_ended_at_its_deadline(tmp_path):
    asker = Asker(tmp_path, generate_deadline=1.0)
    asker.load()
    try:
        guilty = asker.ask(alone=True, fake_fault="hang")
        waiting = asker.ask(fake_answer="later")
        assert isinstance(outcome(guilty), DeadlineExceeded) and "longer than 1 s" in str(outcome(guilty))
        assert outcome(waiting) == "later"
    finally:
        asker.close()


def test_an_engine_that_is_killed_from_outside_is_started_again(asker):
    begun = threading.Event()
    busy = asker.ask(alone=True, begun=begun, latency_ms=20000)
    assert begun.wait(20)
    waiting = asker.ask(fake_answer="answered")
    os.kill(asker.engine.pid, signal.SIGKILL)
    assert isinstance(outcome(busy), ProcessDied)
    assert outcome(waiting) == "answered"


def test_children_that_are_killed_while_they_start_do_not_end_the_engine(asker):
    for n in range(4):
        with ThreadPoolExecutor(1) as pool:
            loading = pool.submit(asker.load, f"k{n}")
            old = asker.engine.pid
            wait_for("a new child", lambda old=old: asker.engine.pid not in (None, old), 20)
            time.sleep(0.02 * n)
            os.kill(asker.engine.pid, signal.SIGKILL)
            assert isinstance(loading.exception(30), ModelUnavailable)
    asker.load()
    assert outcome(asker.ask(fake_answer="alive")) == "alive"


def test_an_error_in_a_batch_is_the_failure_of_one_and_the_rest_are_answered(asker):
    hold = asker.ask(alone=True, latency_ms=500, fake_answer="held")
    batch = [asker.ask(fake_answer="a"), asker.ask(fake_fault="error"), asker.ask(fake_answer="c")]
    assert outcome(hold) == "held"
    first, second, third = (outcome(b) for b in batch)
    assert (first, third) == ("a", "c") and isinstance(second, ModelFailure)
    assert asker.engine.loads == 1


def in_turn(asker: Asker, *rows: dict[str, object]) -> list[Future[Answer]]:
    """Ask one after the other, behind what is in hand."""
    asked, before = [], len(asker.engine._keeper.mailbox._hand)
    for n, row in enumerate(rows, start=1):
        asked.append(asker.ask(**row))
        wait_for("the engine to have it", lambda n=n: len(asker.engine._keeper.mailbox._hand) == before + n, 20)
    return asked


def test_who_breaks_the_device_is_guilty_and_its_mates_are_answered_by_a_new_child(asker):
    """The batch fails of one error; tried one by one, the second breaks the device: the third is innocent."""
    (hold,) = in_turn(asker, {"latency_ms": 500, "fake_answer": "held"})
    batch = in_turn(asker, {"fake_fault": "error"}, {"fake_fault": "device"}, {"fake_answer": "c"})
    assert outcome(hold) == "held"
    wrong, broken, innocent = (outcome(b) for b in batch)
    assert isinstance(wrong, ModelFailure) and isinstance(broken, ProcessDied) and innocent == "c"
    assert asker.engine.loads == 2


def test_who_hangs_when_it_is_tried_alone_is_ended_and_its_mates_are_answered(tmp_path):
    asker = Asker(tmp_path, generate_deadline=1.5)
    asker.load()
    try:
        (hold,) = in_turn(asker, {"latency_ms": 500, "fake_answer": "held"})
        batch = in_turn(asker, {"fake_fault": "error"}, {"fake_fault": "hang"}, {"fake_answer": "c"})
        assert outcome(hold) == "held"
        wrong, hangs, innocent = (outcome(b) for b in batch)
        assert isinstance(wrong, ModelFailure) and isinstance(hangs, DeadlineExceeded) and innocent == "c"
    finally:
        asker.close()


def test_out_of_memory_is_the_whole_batch_s_and_the_child_lives_on(asker):
    hold = asker.ask(alone=True, latency_ms=500, fake_answer="held")
    batch = [asker.ask(fake_answer="a"), asker.ask(fake_fault="oom")]
    assert outcome(hold) == "held" and all(isinstance(outcome(b), OutOfMemory) for b in batch)
    assert outcome(asker.ask(fake_answer="fine")) == "fine" and asker.engine.loads == 1


def test_frames_that_are_gone_are_this_machine_s_problem_and_not_the_request_s(asker, tmp_path):
    gone = Clip(
        path=str(tmp_path / "gone.npy"), frame_numbers=(0,), timestamps=(0.0,), total_frames=1, fps=1.0, width=2,
        height=2, decoder="none", policy="stride",
    )  # fmt: skip
    with pytest.raises(EnvironmentProblem, match="cannot be mapped"):
        asker.engine.ask(prompt(clip=gone), SETTINGS, alone=False, together="", load_key="k", on_stage=print)


def test_a_load_that_fails_is_said_and_asks_nothing_of_the_requests(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEVAL_FAKE_LOAD_FAULT", "error")
    asker = Asker(tmp_path)
    try:
        with pytest.raises(ModelUnavailable, match="asked not to load"):
            asker.load()
        assert isinstance(outcome(asker.ask()), Released) and asker.engine.ready() is None
    finally:
        asker.close()


@pytest.mark.parametrize(
    ("fault", "deadline", "said"), [("crash", 60, "died while it loaded"), ("hang", 1, "loading took longer than 1")]
)
def test_a_load_that_crashes_or_hangs_comes_to_an_end(tmp_path, monkeypatch, fault, deadline, said):
    monkeypatch.setenv("VIDEVAL_FAKE_LOAD_FAULT", fault)
    asker = Asker(tmp_path, load_deadline=deadline)
    try:
        with pytest.raises(ModelUnavailable, match=said):
            asker.load()
        assert asker.engine.pid is None
    finally:
        asker.close()


def test_draining_finishes_the_batch_in_hand_and_releases_the_rest(asker):
    begun = threading.Event()
    busy = asker.ask(alone=True, begun=begun, latency_ms=1000, fake_answer="finished")
    assert begun.wait(20)
    waiting = [asker.ask() for _ in range(3)]
    time.sleep(0.2)
    asker.engine.drain()
    assert all(isinstance(outcome(w), Released) for w in waiting)
    assert outcome(busy) == "finished"
    assert isinstance(outcome(asker.ask()), Released), "nothing more is taken"


def test_closing_releases_everything_and_leaves_no_process(asker):
    begun = threading.Event()
    busy = asker.ask(alone=True, begun=begun, latency_ms=60000)
    assert begun.wait(20)
    pid = asker.engine.pid
    asker.engine.close()
    assert isinstance(outcome(busy), Released)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_another_model_gets_another_process_and_requests_for_the_old_one_are_released(asker):
    first = asker.engine.pid
    asker.load("other")
    assert asker.engine.pid != first and asker.engine.loaded.load_key == "other"
    assert isinstance(outcome(asker.ask("k")), Released)
    assert outcome(asker.ask("other", fake_answer="new")) == "new"


def test_a_load_of_what_is_being_loaded_again_after_a_crash_is_not_a_second_load(asker, monkeypatch):
    monkeypatch.setenv("VIDEVAL_FAKE_LOAD_S", "1")
    os.kill(asker.engine.pid, signal.SIGKILL)
    wait_for("the crash to be seen", lambda: asker.engine.is_loading, 20)
    asker.load()
    assert asker.engine.loads == 2


def test_requests_wait_for_a_model_that_is_loaded_again(asker, monkeypatch):
    monkeypatch.setenv("VIDEVAL_FAKE_LOAD_S", "1")
    os.kill(asker.engine.pid, signal.SIGKILL)
    wait_for("the crash to be seen", lambda: asker.engine.is_loading, 20)
    assert asker.engine.ready().load_key == "k"


def test_what_waits_forms_a_batch_up_to_its_size(asker):
    """Requests of one batch took the same time to the last digit."""
    hold = asker.ask(alone=True, latency_ms=800, fake_answer="held")
    answers = [asker.ask(latency_ms=20, fake_answer=str(i)) for i in range(9)]
    assert outcome(hold) == "held"
    assert [outcome(a) for a in answers] == [str(i) for i in range(9)]
    sizes = Counter(a.result().generate_s for a in answers).values()
    assert 1 < max(sizes) <= asker.settings.batch_size and sum(sizes) == 9


def test_who_runs_alone_is_never_in_a_batch(asker):
    hold = asker.ask(alone=True, latency_ms=400, fake_answer="held")
    struck = asker.ask(alone=True, fake_fault="oom")
    fine = asker.ask(fake_answer="fine")
    assert outcome(hold) == "held" and isinstance(outcome(struck), OutOfMemory) and outcome(fine) == "fine"


def test_an_engine_whose_owner_cannot_note_the_stage_answers_all_the_same(asker):
    def unable(stage: Stage) -> None:
        raise RuntimeError("no database")

    answer = asker.engine.ask(
        prompt(fake_answer="yes"), SETTINGS, alone=False, together="", load_key="k", on_stage=unable
    )
    assert answer.generation.text == "yes"
