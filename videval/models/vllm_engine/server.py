"""vLLM's engine as a Server: continuous batching, one clip's questions on one prefix."""

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from videval.errors import ProcessDied, as_failure
from videval.models import generating
from videval.models.families import Thinking
from videval.models.hf_chat.thinking import parted
from videval.models.vllm_engine.line import Line, Place
from videval.protocols import Caller
from videval.types import Answer, Ask, Generation, GenerationSettings, Prompt, Stage

__all__ = ["Answers", "Steps", "VllmServer"]

EXPECTED = 1024
"""New tokens that room is kept for, of an answer that may be longer; if it is, vLLM makes room by itself."""


class Steps(Protocol):
    """What is used of vLLM's LLMEngine."""

    def add_request(self, request_id: str, prompt: Any, params: Any) -> Any:
        """Take a prompt on. Raises ValueError for one that it cannot take."""

    def step(self) -> Sequence[Any]:
        """Go one step on; what was said since."""


class Prepares(Protocol):
    """What makes inputs of prompts."""

    def prepare(self, prompt: Prompt, settings: GenerationSettings) -> Any:
        """A `Prepared`. Raises ModelFailure."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """Reads new tokens as an answer, as hf_chat does."""

    tokenizer: Any
    eos: tuple[int, ...]
    thinking: Thinking | None = None

    def read(self, prepared: Any, said: Sequence[int], *, is_cut: bool, cached: int | None) -> Generation:
        """The answer; `is_cut`: it ended at its longest."""
        stop = prepared.settings.stop
        ends = generating.Ends(eos=self.eos, stop=stop)
        own, count, truncated = generating.said_tokens(said, ends, None if is_cut else len(said))
        thinking, text = parted(self.tokenizer, own, self.thinking, opened=prepared.opened)
        return Generation(
            text=generating.before_stop(text, stop),
            prompt_tokens=prepared.tokens,
            new_tokens=count,
            truncated=truncated,
            thinking=thinking if thinking is None else generating.before_stop(thinking, stop),
            seen=prepared.seen,
            rendered=prepared.rendered,
            cached_tokens=cached,
        )


@dataclass(kw_only=True, eq=False)
class _Stream:
    """An Ask in hand; times are of the monotonic clock."""

    ask: Ask
    caller: Caller
    prepared: Any = None
    prepare_s: float = 0.0
    ready_at: float = 0.0
    began_at: float = 0.0
    said: list[int] = field(default_factory=list)

    @property
    def has_begun(self) -> bool:
        """Whether it is being generated, or has been."""
        return self.began_at > 0

    @property
    def place(self) -> Place:
        tokens = self.prepared.tokens + min(self.ask.settings.max_new_tokens, EXPECTED)
        return Place(id=self.ask.id, tokens=tokens, clip=self.ask.together, alone=self.ask.alone)


class VllmServer:
    """Prepares on a thread of its own; the thread that loaded it steps the engine."""

    def __init__(
        self, engine: Steps, prompts: Prepares, answers: Answers, line: Line, *, slots: int, about: Mapping[str, str]
    ) -> None:
        self.slots = slots
        self._engine, self._prompts, self._answers, self._line = engine, prompts, answers, line
        self._about = about
        self._changed = threading.Condition()
        self._hand: dict[int, _Stream] = {}
        self._to_prepare: deque[int] = deque()
        self._running: dict[int, _Stream] = {}
        self._dead = ""

    def ask(self, ask: Ask, caller: Caller) -> None:
        """Take a prompt on."""
        with self._changed:
            self._hand[ask.id] = _Stream(ask=ask, caller=caller)
            self._to_prepare.append(ask.id)
            self._changed.notify_all()

    def forget(self, id: int) -> bool:
        """Drop an Ask that vLLM's engine does not have yet."""
        with self._changed:
            stream = self._hand.get(id)
            if stream is None or stream.has_begun:
                return False
            del self._hand[id]
            return True

    def died(self, why: str) -> None:
        """One of the engine's processes is dead: `run` ends. Called from any thread."""
        with self._changed:
            self._dead = why
            self._changed.notify_all()

    def describe(self) -> Mapping[str, str]:
        """Versions, attention backend, context, prefix cache: all that answers depend on."""
        return dict(self._about)

    def run(self) -> None:
        """Step the engine as long as it lives. Raises ProcessDied when it does not."""
        threading.Thread(target=self._prepare_all, name="prepare", daemon=True).start()
        while True:
            for stream in self._next():
                self._begin(stream)
            for output in self._step() if self._running else ():
                self._hear(output)

    # the thread that prepares

    def _prepare_all(self) -> None:
        while True:
            stream = self._next_to_prepare()
            stream.caller.entered(Stage.PREPARE)
            began = time.monotonic()
            try:
                prepared = self._prompts.prepare(stream.ask.prompt, stream.ask.settings)
            except ProcessDied as error:
                self.died(str(error))
                return
            except Exception as error:  # noqa: BLE001 - whatever a model's libraries raise is this request's failure
                self._fail(stream, error)
            else:
                stream.prepare_s = time.monotonic() - began
                self._let_wait(stream, prepared)

    def _next_to_prepare(self) -> _Stream:
        with self._changed:
            while True:
                while self._to_prepare:
                    stream = self._hand.get(self._to_prepare.popleft())
                    if stream is not None:
                        return stream
                self._changed.wait()

    def _let_wait(self, stream: _Stream, prepared: Any) -> None:
        """It can be generated from now on. Its caller hears of it before that can begin."""
        stream.ready_at = time.monotonic()
        stream.caller.entered(Stage.WAIT)
        with self._changed:
            stream.prepared = prepared
            self._changed.notify_all()

    # the thread that steps

    def _next(self) -> list[_Stream]:
        """Who begins now; waits as long as there is nothing to do."""
        with self._changed:
            while True:
                if self._dead:
                    raise ProcessDied(f"vLLM's engine is dead: {self._dead}")
                waiting = [s for s in self._hand.values() if s.prepared is not None and not s.has_begun]
                admitted = [self._hand[place.id] for place in self._line.admit(s.place for s in waiting)]
                for stream in admitted:
                    stream.began_at = time.monotonic()
                if admitted or self._running:
                    return admitted
                self._changed.wait()

    def _begin(self, stream: _Stream) -> None:
        stream.caller.entered(Stage.GENERATE)
        self._running[stream.ask.id] = stream
        try:
            self._engine.add_request(str(stream.ask.id), stream.prepared.input, stream.prepared.params)
        except ValueError as error:
            self._leave(stream.ask.id)
            self._fail(stream, error)

    def _leave(self, id_: int) -> None:
        del self._running[id_]
        self._line.left(id_)

    def _fail(self, stream: _Stream, error: Exception) -> None:
        with self._changed:
            is_wanted = self._hand.pop(stream.ask.id, None) is not None
        if is_wanted:
            stream.caller.failed(as_failure(error))

    def _step(self) -> Sequence[Any]:
        try:
            return self._engine.step()
        except Exception as error:
            raise ProcessDied(f"vLLM's engine broke: {type(error).__name__}: {error}") from error

    def _hear(self, output: Any) -> None:
        stream = self._running[int(output.request_id)]
        (own,) = output.outputs
        stream.said += own.token_ids
        if stream.said:
            self._line.said(stream.ask.id)
        if output.finished:
            self._end(stream, own.finish_reason, output.num_cached_tokens)

    def _end(self, stream: _Stream, reason: str, cached: int | None) -> None:
        self._leave(stream.ask.id)
        seconds = time.monotonic() - stream.began_at
        try:
            generation = self._answers.read(stream.prepared, stream.said, is_cut=reason == "length", cached=cached)
        except Exception as error:  # noqa: BLE001 - an answer that cannot be read is this request's failure
            self._fail(stream, error)
            return
        with self._changed:
            del self._hand[stream.ask.id]
        wait_s = stream.began_at - stream.ready_at
        times = {"prepare_s": stream.prepare_s, "wait_s": wait_s, "generate_s": seconds}
        stream.caller.answered(Answer(generation=generation, **times))
