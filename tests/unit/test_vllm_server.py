"""The vLLM adapter's Server over an engine that does as it is told: who begins, who is dropped, what a death is."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from tests.servers import wait_for
from videval.errors import ModelFailure, ProcessDied, VidevalError
from videval.models.vllm_engine.line import Line
from videval.models.vllm_engine.prompts import Prepared
from videval.models.vllm_engine.server import Answers, VllmServer
from videval.protocols import Server
from videval.types import Answer, Ask, Generation, GenerationSettings, Prompt, Stage, Text

END = 0
"""The token that ends an answer."""


class Engine:
    """vLLM's surface: what is added says a token at each step that the test lets it make."""

    def __init__(self) -> None:
        self.added: list[str] = []
        self.to_say: dict[str, list[int]] = {}
        self.dies: BaseException | None = None
        self._allowed = threading.Semaphore(0)

    def allow(self, steps: int) -> None:
        self._allowed.release(steps)

    def add_request(self, request_id: str, prompt: Any, params: Any) -> str:
        if prompt.get("too_long"):
            raise ValueError("longer than the encoder cache")
        self.added.append(request_id)
        self.to_say[request_id] = list(prompt["says"])
        return request_id

    def step(self) -> Sequence[Any]:
        if not self._allowed.acquire(timeout=0.05):
            return []
        if self.dies:
            raise self.dies
        return [self._say(id_) for id_ in list(self.to_say)]

    def _say(self, id_: str) -> Any:
        token, *rest = self.to_say[id_]
        self.to_say[id_] = rest
        if not rest:
            del self.to_say[id_]
        own = SimpleNamespace(token_ids=[token], finish_reason=None if rest else "stop" if token == END else "length")
        return SimpleNamespace(request_id=id_, outputs=[own], finished=not rest, num_cached_tokens=5)


class Prompts:
    """Makes of a prompt's text what the engine is to say: a token for each letter."""

    def prepare(self, prompt: Prompt, settings: GenerationSettings) -> Prepared:
        text = prompt.text("user")
        if text == "broken":
            raise ProcessDied("the device broke")
        if text == "refused":
            raise ModelFailure("no such thing")
        given = {"says": [ord(letter) for letter in text] + [END], "too_long": text == "long"}
        return Prepared(input=given, params=None, settings=settings, tokens=10)


class Words:
    """A tokenizer whose tokens are letters."""

    def decode(self, ids: Sequence[int], **_: Any) -> str:
        return "".join(map(chr, ids))


@dataclass
class Heard:
    """A caller that notes what it hears."""

    stages: list[Stage] = field(default_factory=list)
    outcome: Future[Generation] = field(default_factory=Future)

    def entered(self, stage: Stage) -> None:
        self.stages.append(stage)

    def answered(self, answer: Answer) -> None:
        self.outcome.set_result(answer.generation)

    def failed(self, error: VidevalError) -> None:
        self.outcome.set_exception(error)

    @property
    def stage(self) -> Stage | None:
        return self.stages[-1] if self.stages else None


class Driven:
    """A server over that engine, in a thread of its own until it dies."""

    def __init__(self) -> None:
        self.engine, self.death = Engine(), Future[None]()
        line = Line(slots=4, tokens=10_000, shares=True)
        answers = Answers(tokenizer=Words(), eos=(END,))
        self.server = VllmServer(self.engine, Prompts(), answers, line, slots=4, about={"vllm": "0"})
        self._count = 0
        threading.Thread(target=self._drive, daemon=True).start()

    def _drive(self) -> None:
        try:
            self.server.run()
        except ProcessDied as error:
            self.death.set_exception(error)

    def ask(self, text: str, clip: str = "", *, alone: bool = False) -> Heard:
        self._count += 1
        heard = Heard()
        prompt = Prompt(parts=(Text(text=text),))
        ask = Ask(id=self._count, prompt=prompt, settings=GenerationSettings(), alone=alone, together=clip)
        self.server.ask(ask, heard)
        return heard


@pytest.fixture
def driven() -> Iterator[Driven]:
    made = Driven()
    yield made
    made.server.died("the end of the test")


def until(heard: Heard, stage: Stage) -> None:
    wait_for(f"stage {stage}", lambda: heard.stage == stage)


def test_it_is_a_server(driven: Driven) -> None:
    assert isinstance(driven.server, Server) and driven.server.describe() == {"vllm": "0"}


def test_an_answer_is_read_from_its_tokens_with_what_came_from_the_cache(driven: Driven) -> None:
    driven.engine.allow(3)
    said = driven.ask("hi").outcome.result(20)
    assert (said.text, said.new_tokens, said.truncated, said.cached_tokens) == ("hi", 3, False, 5)


def test_siblings_begin_after_the_first_token_of_the_first_question_of_their_clip(driven: Driven) -> None:
    first = driven.ask("first", "clip")
    until(first, Stage.GENERATE)
    siblings = [driven.ask(text, "clip") for text in ("two", "three")]
    for sibling in siblings:
        until(sibling, Stage.WAIT)
    other = driven.ask("other", "another clip")
    until(other, Stage.GENERATE)
    assert driven.engine.added == ["1", "4"]
    driven.engine.allow(1)
    for sibling in siblings:
        until(sibling, Stage.GENERATE)
    driven.engine.allow(20)
    assert [heard.outcome.result(20).text for heard in (first, *siblings, other)] == ["first", "two", "three", "other"]


def test_what_has_begun_is_answered_although_it_is_asked_back(driven: Driven) -> None:
    first = driven.ask("first")
    until(first, Stage.GENERATE)
    assert not driven.server.forget(1)
    driven.engine.allow(20)
    assert first.outcome.result(20).text == "first" and not driven.server.forget(1)


def test_what_is_forgotten_before_it_begins_never_does(driven: Driven) -> None:
    alone = driven.ask("alone", alone=True)
    until(alone, Stage.GENERATE)
    waiting = driven.ask("waiting")
    until(waiting, Stage.WAIT)
    assert driven.server.forget(2)
    driven.engine.allow(20)
    assert alone.outcome.result(20).text == "alone"
    assert driven.ask("later").outcome.result(20).text == "later"
    assert driven.engine.added == ["1", "3"]


def test_who_is_alone_is_generated_alone(driven: Driven) -> None:
    mate = driven.ask("mate")
    until(mate, Stage.GENERATE)
    alone, behind = driven.ask("alone", alone=True), driven.ask("behind")
    until(alone, Stage.WAIT)
    until(behind, Stage.WAIT)
    driven.engine.allow(5)
    assert mate.outcome.result(20).text == "mate"
    until(alone, Stage.GENERATE)
    assert behind.stage == Stage.WAIT
    driven.engine.allow(20)
    assert (alone.outcome.result(20).text, behind.outcome.result(20).text) == ("alone", "behind")


def test_a_prompt_that_cannot_be_taken_is_that_request_s_failure(driven: Driven) -> None:
    assert isinstance(driven.ask("refused").outcome.exception(20), ModelFailure)
    error = driven.ask("long").outcome.exception(20)
    assert isinstance(error, ModelFailure) and "encoder cache" in str(error)
    driven.engine.allow(5)
    assert driven.ask("ok").outcome.result(20).text == "ok"


def test_an_engine_that_breaks_at_a_step_takes_the_process_with_it(driven: Driven) -> None:
    driven.engine.dies = RuntimeError("Executor failed.")
    heard = driven.ask("hello")
    driven.engine.allow(1)
    assert "Executor failed" in str(driven.death.exception(20)) and not heard.outcome.done()


@pytest.mark.parametrize("how", ["a worker of it ended", "the device broke"])
def test_a_death_is_noticed_while_nothing_is_generated(driven: Driven, how: str) -> None:
    if how == "the device broke":
        driven.ask("broken")
    else:
        driven.server.died(how)
    assert how in str(driven.death.exception(20))
