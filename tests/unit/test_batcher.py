"""What goes together, what becomes of a batch that fails, what is forgotten: a Batcher in this process."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.servers import wait_for
from videval.errors import EnvironmentProblem, ModelFailure, OutOfMemory, ProcessDied, VidevalError
from videval.models.fake import FakeInputs, FakeModel
from videval.protocols import Server
from videval.types import Answer, Ask, Generation, GenerationSettings, Prompt, Stage, Text
from workers.engine.batcher import Batcher
from workers.engine.flight import Flight

SETTINGS = GenerationSettings()
OTHER = GenerationSettings(max_new_tokens=9)
TRIED_ALONE = [Stage.PREPARE, Stage.WAIT, Stage.GENERATE, Stage.WAIT, Stage.GENERATE]


class Gate(FakeModel):
    """The fake; `batches` is what was said in each, and a batch with `held` in it ends when `open` is set."""

    def __init__(self) -> None:
        super().__init__({"adapter": "fake"})
        self.batches: list[list[str]] = []
        self.open, self.prepare_open = threading.Event(), threading.Event()
        self.during: Callable[[Sequence[FakeInputs]], object] = lambda batch: None

    def prepare(self, prompt: Prompt, settings: GenerationSettings) -> FakeInputs:
        inputs = super().prepare(prompt, settings)
        if inputs.fault == "slow to prepare":
            assert self.prepare_open.wait(20)
            return replace(inputs, row={})
        if inputs.answer == "late":
            assert self.open.wait(20)
        if inputs.answer == "gone":
            raise EnvironmentProblem("the frames are gone")
        if inputs.fault == "prepare breaks":
            raise ProcessDied("the device broke")
        return inputs

    def generate(self, batch: Sequence[FakeInputs]) -> list[Generation]:
        self.batches.append([inputs.answer for inputs in batch])
        if batch[0].answer == "held":
            assert self.open.wait(20)
        self.during(batch)
        return super().generate(batch)


@dataclass
class Heard:
    """A caller that notes what it hears."""

    ask: Ask
    flight: Flight
    stages: list[Stage] = field(default_factory=list)
    outcome: Future[Answer] = field(default_factory=Future)

    def entered(self, stage: Stage) -> None:
        self.stages.append(stage)
        self.flight.entered(self.ask.id, stage, 0.0)

    def answered(self, answer: Answer) -> None:
        self.flight.landed(self.ask.id, 0.0)
        self.outcome.set_result(answer)

    def failed(self, error: VidevalError) -> None:
        self.flight.landed(self.ask.id, 0.0)
        self.outcome.set_exception(error)

    def text(self) -> str:
        return self.outcome.result(20).generation.text

    def error(self) -> BaseException | None:
        return self.outcome.exception(20)


class World:
    """A batcher that is driven by a thread; its first batch is held until `open`."""

    def __init__(self, size: int = 3) -> None:
        self.model = Gate()
        self.batcher = Batcher(self.model, size)
        self.flight = Flight(60.0)
        self.ended: Future[None] = Future()
        self._asked = 0
        self._thread = threading.Thread(target=self._drive, daemon=True)
        self._thread.start()

    def _drive(self) -> None:
        try:
            self.batcher.run()
            self.ended.set_result(None)
        except BaseException as error:
            self.ended.set_exception(error)

    def ask(
        self,
        said: str,
        fault: str = "",
        *,
        alone: bool = False,
        together: str = "",
        settings: GenerationSettings = SETTINGS,
    ) -> Heard:
        self._asked += 1
        row: dict[str, Any] = {"fake_answer": said, "fake_fault": fault}
        prompt = Prompt(parts=(Text(text="What?"),), steering=row)
        asked = Ask(id=self._asked, prompt=prompt, settings=settings, alone=alone, together=together)
        heard = Heard(asked, self.flight)
        self.flight.told(asked.id, 0.0)
        self.batcher.ask(asked, heard)
        return heard

    def hold(self) -> Heard:
        """The device is busy from now on, until `release`."""
        held = self.ask("held")
        wait_for("the device to be busy", lambda: self.model.batches == [["held"]])
        return held

    def release(self, *waiting: Heard) -> None:
        """The device is free, when all of these wait for it."""
        wait_for("them to wait", lambda: all(Stage.WAIT in heard.stages for heard in waiting))
        self.model.open.set()

    def close(self) -> None:
        self.model.open.set()
        self.batcher.close()
        self._thread.join(20)
        assert not self._thread.is_alive()


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def test_a_model_is_served_in_batches_of_what_waits_oldest_first(world: World) -> None:
    held = world.hold()
    asked = [world.ask(str(i)) for i in range(7)]
    world.release(*asked)
    assert held.text() == "held" and [heard.text() for heard in asked] == list("0123456")
    assert world.model.batches == [["held"], ["0", "1", "2"], ["3", "4", "5"], ["6"]]
    assert asked[0].stages == [Stage.PREPARE, Stage.WAIT, Stage.GENERATE]


def test_a_batcher_is_a_server_with_as_many_slots_as_its_batches_have_and_speaks_for_its_model(world: World) -> None:
    assert isinstance(world.batcher, Server)
    assert (world.batcher.slots, world.batcher.describe()) == (3, {"adapter": "fake"})


def test_the_next_batch_is_prepared_while_one_is_generated(world: World) -> None:
    world.hold()
    waiting = world.ask("next")
    wait_for("it to be prepared", lambda: waiting.stages == [Stage.PREPARE, Stage.WAIT])
    assert not world.model.open.is_set()


def test_questions_about_one_clip_go_together_before_older_ones_about_others(world: World) -> None:
    world.hold()
    clips = ["a", "b", "a", "b", "a", "c"]
    world.release(*[world.ask(f"{clip}{n}", together=clip) for n, clip in enumerate(clips)])
    wait_for("all batches", lambda: sum(map(len, world.model.batches)) == 7)
    assert world.model.batches[1:] == [["a0", "a2", "a4"], ["b1", "b3", "c5"]]


def test_no_batch_waits_for_a_sibling_that_takes_long_to_prepare(world: World) -> None:
    first = world.ask("first", together="a")
    sibling = world.ask("sibling", "slow to prepare", together="a")
    assert first.text() == "first" and world.model.batches == [["first"]]
    assert Stage.WAIT not in sibling.stages
    world.model.prepare_open.set()


def test_a_batch_waits_for_siblings_that_take_far_less_to_prepare_than_its_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.engine.batcher.GRACE", 1e6)
    asked = [world.ask("0", "slow to prepare", together="a"), world.ask("1", together="a")]
    asked += [world.ask("gone", together="a"), world.ask("2", together="a"), world.ask("other", together="b")]
    world.model.prepare_open.set()
    assert [asked[n].text() for n in (0, 1, 3)] == ["0", "1", "2"] and asked[2].error() is not None
    assert asked[4].text() == "other"
    assert world.model.batches == [["0", "1", "2"], ["other"]]


def test_nobody_waits_for_a_sibling_that_stands_in_line_behind_another_clip(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.engine.batcher.GRACE", 1e6)
    first = world.ask("first", "slow to prepare", together="a")
    others = [world.ask("late", together="b"), world.ask("sibling", together="a")]
    world.model.prepare_open.set()
    assert first.text() == "first" and world.model.batches == [["first"]]
    world.model.open.set()
    assert [other.text() for other in others] == ["late", "sibling"]


def test_nobody_waits_for_a_sibling_that_is_forgotten_or_runs_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.engine.batcher.GRACE", 1e6)
    first = world.ask("first", "slow to prepare", together="a")
    sibling, alone = world.ask("sibling", together="a"), world.ask("alone", together="a", alone=True)
    assert world.batcher.forget(sibling.ask.id)
    world.model.prepare_open.set()
    assert (first.text(), alone.text()) == ("first", "alone")
    assert world.model.batches == [["first"], ["alone"]]


def test_other_settings_never_share_a_batch(world: World) -> None:
    world.hold()
    world.release(world.ask("a"), world.ask("other", settings=OTHER), world.ask("c"))
    wait_for("all batches", lambda: sum(map(len, world.model.batches)) == 4)
    assert world.model.batches[1:] == [["a", "c"], ["other"]]


def test_who_runs_alone_goes_by_itself_when_its_turn_comes(world: World) -> None:
    world.hold()
    world.release(world.ask("a"), world.ask("alone", alone=True), world.ask("b"), world.ask("c", alone=True))
    wait_for("all batches", lambda: sum(map(len, world.model.batches)) == 5)
    assert world.model.batches[1:] == [["a", "b"], ["alone"], ["c"]]


def test_an_error_in_a_batch_is_the_failure_of_one_since_each_is_tried_alone(world: World) -> None:
    world.hold()
    first, wrong, third = world.ask("a"), world.ask("b", "error"), world.ask("c")
    world.release(first, wrong, third)
    assert (first.text(), third.text()) == ("a", "c")
    assert isinstance(wrong.error(), ModelFailure) and "asked to fail" in str(wrong.error())
    assert world.model.batches[1:] == [["a", "b", "c"], ["a"], ["b"], ["c"]]
    assert third.stages == TRIED_ALONE, "while it waits for its turn, no death is held against it"


@pytest.mark.parametrize("fault", ["oom", "no memory"])
def test_out_of_memory_is_the_whole_batch_s(world: World, fault: str) -> None:
    def fill(batch: Sequence[FakeInputs]) -> None:
        if any(inputs.fault == "no memory" for inputs in batch):
            raise MemoryError

    world.model.during = fill
    world.hold()
    mates = [world.ask("a"), world.ask("b", fault)]
    world.release(*mates)
    assert all(isinstance(heard.error(), OutOfMemory) for heard in mates)
    assert world.model.batches[1:] == [["a", "b"]]


def test_a_model_that_gives_too_few_answers_fails_by_name(world: World) -> None:
    world.model.generate = lambda batch: []  # type: ignore[method-assign]
    error = world.ask("a").error()
    assert isinstance(error, ModelFailure) and "0 answers to 1 prompts" in str(error)


def test_what_a_library_raises_is_the_request_s_failure_with_its_traceback(world: World) -> None:
    world.model.during = lambda batch: 1 // 0
    error = world.ask("a").error()
    assert isinstance(error, ModelFailure) and str(error) == "ZeroDivisionError: integer division or modulo by zero"
    assert isinstance(error.__cause__, ZeroDivisionError)


def test_what_is_wrong_with_this_machine_is_not_the_request_s_failure(world: World) -> None:
    assert isinstance(world.ask("gone").error(), EnvironmentProblem)
    assert world.ask("fine").text() == "fine"


def test_a_broken_device_ends_the_server_and_nobody_is_told_that_he_failed(world: World) -> None:
    world.hold()
    batch = [world.ask("a"), world.ask("b", "device"), world.ask("c")]
    world.release(*batch)
    assert isinstance(world.ended.exception(20), ProcessDied)
    assert not any(heard.outcome.done() for heard in batch)
    assert world.flight.guilt_of_death().company == tuple(heard.ask.id for heard in batch)


def test_who_breaks_the_device_when_it_is_tried_alone_is_guilty_and_its_mates_are_not(world: World) -> None:
    world.hold()
    batch = [world.ask("a", "error"), world.ask("b", "device"), world.ask("c")]
    world.release(*batch)
    assert isinstance(world.ended.exception(20), ProcessDied)
    wrong, breaks, innocent = batch
    assert isinstance(wrong.error(), ModelFailure) and not innocent.outcome.done()
    assert world.flight.guilt_of_death().struck == (breaks.ask.id,)


def test_a_device_that_breaks_while_a_prompt_is_prepared_ends_the_server_after_the_batch_in_hand(world: World) -> None:
    held = world.hold()
    breaks = world.ask("a", "prepare breaks")
    wait_for("it to be prepared", lambda: breaks.stages == [Stage.PREPARE])
    world.model.open.set()
    assert isinstance(world.ended.exception(20), ProcessDied) and held.text() == "held"
    assert world.flight.guilt_of_death().struck == (breaks.ask.id,)


def test_what_is_forgotten_while_it_waits_is_never_generated_and_hears_nothing(world: World) -> None:
    world.hold()
    dropped, kept = world.ask("dropped"), world.ask("kept")
    wait_for("them to wait", lambda: Stage.WAIT in kept.stages)
    assert world.batcher.forget(dropped.ask.id)
    assert not world.batcher.forget(12345)
    world.release(kept)
    assert kept.text() == "kept" and world.model.batches[1:] == [["kept"]] and not dropped.outcome.done()


def test_what_is_forgotten_before_or_while_it_is_prepared_is_not_generated(world: World) -> None:
    slow, behind, kept = world.ask("slow", "slow to prepare"), world.ask("behind"), world.ask("kept")
    wait_for("it to be prepared", lambda: slow.stages == [Stage.PREPARE])
    for heard in (slow, behind):
        world.batcher.forget(heard.ask.id)
    world.model.prepare_open.set()
    assert kept.text() == "kept" and world.model.batches == [["kept"]] and behind.stages == []


def test_what_is_forgotten_hears_of_no_failure_either(world: World) -> None:
    dropped, kept = world.ask("gone", "slow to prepare"), world.ask("kept")
    wait_for("it to be prepared", lambda: dropped.stages == [Stage.PREPARE])
    world.batcher.forget(dropped.ask.id)
    world.model.prepare_open.set()
    assert kept.text() == "kept" and not dropped.outcome.done()


def test_what_is_forgotten_too_late_is_answered(world: World) -> None:
    held = world.hold()
    assert not world.batcher.forget(held.ask.id)
    world.release()
    assert held.text() == "held"


def test_each_answer_says_how_long_it_was_prepared_waited_and_was_generated(world: World) -> None:
    world.hold()
    waited = threading.Event()
    world.model.during = lambda batch: waited.wait(0.02)
    asked = [world.ask("a"), world.ask("b")]
    wait_for("them to wait", lambda: all(Stage.WAIT in heard.stages for heard in asked))
    waited.wait(0.03)
    world.release(*asked)
    first, second = (heard.outcome.result(20) for heard in asked)
    assert first.wait_s >= 0.03 and first.prepare_s > 0
    assert first.generate_s == second.generate_s >= 0.02, "a batch's seconds are each of its requests'"
