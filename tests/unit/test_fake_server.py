"""The fake as a server: how many at once, in which order, who runs alone, what a fault does to the others."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any

import pytest

from tests.servers import wait_for
from videval.errors import ModelFailure, ModelUnavailable, ProcessDied, UnknownName, VidevalError
from videval.models.catalog import load_key, load_model, model_spec
from videval.models.fake_server import FakeServer
from videval.protocols import Server
from videval.types import Answer, Ask, GenerationSettings, Prompt, Stage, Text


class Heard:
    """A caller that notes what it hears; `story` has who began and who ended, in order."""

    def __init__(self, said: str, story: list[str]) -> None:
        self.said, self.stages, self._story = said, list[Stage](), story
        self.outcome: Future[Answer] = Future()

    def entered(self, stage: Stage) -> None:
        self.stages.append(stage)
        if stage is Stage.GENERATE:
            self._story.append(f"{self.said} begins")

    def answered(self, answer: Answer) -> None:
        self._story.append(f"{self.said} ends")
        self.outcome.set_result(answer)

    def failed(self, error: VidevalError) -> None:
        self._story.append(f"{self.said} ends")
        self.outcome.set_exception(error)

    @property
    def is_generated(self) -> bool:
        return self.stages[-1:] == [Stage.GENERATE] and not self.outcome.done()


class Streams:
    """A server of two streams, driven by a thread until its device breaks."""

    def __init__(self) -> None:
        loaded = load_model(model_spec("fake_server:2"), devices=[])
        assert isinstance(loaded, FakeServer)
        self.server, self.story = loaded, list[str]()
        self.broken: Future[None] = Future()
        self._asked = 0
        self._thread = threading.Thread(target=self._drive, daemon=True)
        self._thread.start()

    def _drive(self) -> None:
        try:
            self.server.run()
        except ProcessDied as error:
            self.broken.set_exception(error)

    def ask(self, said: str, *, alone: bool = False, **row: Any) -> Heard:
        self._asked += 1
        prompt = Prompt(parts=(Text(text="?"),), steering={"fake_answer": said, **row})
        heard = Heard(said, self.story)
        self.server.ask(Ask(id=self._asked, prompt=prompt, settings=GenerationSettings(), alone=alone), heard)
        return heard

    def at_once(self) -> AbstractContextManager[Any]:
        """What is asked within comes to the server together."""
        return self.server._changed

    def close(self) -> None:
        """Ends by a broken device, for which one of the streams must be free."""
        self.ask("the end", fake_fault="device")
        self._thread.join(20)
        assert not self._thread.is_alive()


@pytest.fixture
def streams() -> Iterator[Streams]:
    made = Streams()
    yield made
    made.close()


def test_it_is_a_server_with_as_many_slots_as_its_name_says(streams: Streams) -> None:
    assert isinstance(streams.server, Server) and streams.server.slots == 2
    assert streams.server.describe()["adapter"] == "fake_server"
    assert load_key(model_spec("fake_server:2"), "auto") != load_key(model_spec("fake_server:3"), "auto")


@pytest.mark.parametrize("streams", ["0", "many", "-1"])
def test_a_server_of_no_streams_cannot_be_loaded(streams: str) -> None:
    with pytest.raises(ModelUnavailable, match="fake_server has streams"):
        load_model(model_spec(f"fake_server:{streams}"), devices=[])
    with pytest.raises(UnknownName):
        model_spec("fake_server")


def test_it_answers_as_many_at_once_as_it_has_streams_and_the_quick_ones_first(streams: Streams) -> None:
    slow = streams.ask("slow", fake_fault="stall")
    quick = [streams.ask(str(i)) for i in range(3)]
    assert [heard.outcome.result(20).generation.text for heard in quick] == ["0", "1", "2"]
    assert slow.stages == [Stage.PREPARE, Stage.GENERATE] and slow.is_generated


def test_of_those_that_are_done_the_youngest_is_answered_first(streams: Streams) -> None:
    with streams.at_once():
        both = [streams.ask("old", latency_ms=30), streams.ask("young")]
    assert all(heard.outcome.result(20) for heard in both)
    assert streams.story == ["old begins", "young begins", "young ends", "old ends"]


def test_who_runs_alone_waits_until_nothing_else_runs_and_all_others_wait_for_it(streams: Streams) -> None:
    with streams.at_once():
        streams.ask("first", latency_ms=30)
        streams.ask("alone", alone=True, latency_ms=30)
        behind = streams.ask("behind")
    assert behind.outcome.result(20).generation.text == "behind"
    assert streams.story == [f"{who} {what}" for who in ("first", "alone", "behind") for what in ("begins", "ends")]


def test_only_what_has_no_place_yet_can_be_dropped(streams: Streams) -> None:
    begun = streams.ask("begun", latency_ms=300)
    wait_for("it to be generated", lambda: begun.is_generated)
    with streams.at_once():
        alone, behind = streams.ask("alone", alone=True), streams.ask("behind")
        assert streams.server.forget(2) and not streams.server.forget(1)
    assert behind.outcome.result(20) and begun.outcome.result(20) and not streams.server.forget(1)
    assert alone.stages == [] and not alone.outcome.done()


def test_an_error_is_that_stream_s_and_a_broken_device_is_the_whole_server_s(streams: Streams) -> None:
    mate = streams.ask("mate", fake_fault="stall")
    assert isinstance(streams.ask("wrong", fake_fault="error").outcome.exception(20), ModelFailure)
    wait_for("it to be generated", lambda: mate.is_generated)
    streams.ask("breaks", fake_fault="device")
    assert isinstance(streams.broken.exception(20), ProcessDied) and mate.is_generated
