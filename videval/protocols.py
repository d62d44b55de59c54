"""The seams: what a model and a scorer must offer, so that a fake is as good as the real thing."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from videval.errors import VidevalError
from videval.types import Allowance, Answer, Ask, Generation, GenerationSettings, Prompt, Sample, Score, Stage

Inputs = Any
"""What `Model.prepare` makes and `Model.generate` takes: opaque to everybody else."""


@runtime_checkable
class Model(Protocol):
    """A loaded model; lives in the engine process."""

    def prepare(self, prompt: Prompt, settings: GenerationSettings) -> Inputs:
        """Turn a prompt into inputs on the CPU; may be called from any thread.

        Raises ModelFailure when the prompt cannot be taken (too long, wrong number of frames).
        """

    def generate(self, batch: Sequence[Inputs]) -> list[Generation]:
        """Answer a batch, one Generation for each input in order. Raises OutOfMemory, ModelFailure."""

    def describe(self) -> Mapping[str, str]:
        """What the numbers depend on: dtype, device, library versions, checkpoint commit."""


@runtime_checkable
class KeepsPrefixes(Protocol):
    """A model or server that can share one computation of a clip among the questions about it."""

    def keep_prefixes(self, gb: float | None) -> None:
        """Keep the last clips' prefixes, up to so many GB (None: a share of what is free; 0: none); said once, after
        loading."""


class Caller(Protocol):
    """Hears of one Ask, from any thread: `entered` as often as it moves on, then one of the others."""

    def entered(self, stage: Stage) -> None:
        """It is in PREPARE, WAIT or GENERATE from now on; in GENERATE a death of the process is held against it."""

    def answered(self, answer: Answer) -> None:
        """It is answered."""

    def failed(self, error: VidevalError) -> None:
        """It is not: RequestFailure is the request's own fault, EnvironmentProblem this machine's."""


@runtime_checkable
class Server(Protocol):
    """Answers many at once, in any order; a Model becomes one by a Batcher.

    While it has something in hand, something of that is in PREPARE or GENERATE, or it is taken to hang.
    """

    slots: int
    """How many it wants in hand."""

    def ask(self, ask: Ask, caller: Caller) -> None:
        """Take a prompt on; never blocks, the caller hears what becomes of it. Called from any thread.

        One that is `alone` shares neither PREPARE nor GENERATE with another: if the process dies in it, it is known
        whose fault that was.
        """

    def forget(self, id: int) -> bool:
        """Drop an Ask that has not begun, and say whether it was: then its caller hears nothing more. One that has
        begun is answered: who asks for it back must not have it generated twice."""

    def run(self) -> None:
        """Answer what is asked, in the thread that loaded it, for as long as the process lives.

        Raises ProcessDied when the device is broken: only a new process mends it.
        """

    def describe(self) -> Mapping[str, str]:
        """What the numbers depend on: as of a Model."""


class Permit(Protocol):
    """Leave to send one request. Whoever has it says once how that went; nothing of this blocks or raises.

    `is_probe`: the endpoint failed again and again, and this one is sent to see whether it still does; that should cost
    the request nothing.
    """

    is_probe: bool

    def done(self, *, tokens: int | None = None, cost: float | None = None) -> None:
        """It is answered; it took so many tokens, prompt and all (None: as many as were reserved), and cost so much."""

    def throttled(self, retry_after: float | None = None) -> None:
        """There are too many (429): nothing is sent for so many seconds, by anybody."""

    def failed(self, status: int | None = None, *, why: str = "", is_sent: bool = True) -> None:
        """The endpoint failed: 5xx, or no whole answer at all (None: connection, time-out, half a body); `why`, in
        words. What was not sent takes nothing of a minute's."""

    def refused(self) -> None:
        """The endpoint works and does not take this request (4xx)."""

    def dropped(self) -> None:
        """Nobody waits for it any more: nothing is known of the endpoint, and it counts as if it took all it might."""


class Gate(Protocol):
    """What stands before an endpoint: lets requests through as the budget that all workers share has room."""

    async def enter(self, tokens: int, *, cost: float = 0.0, allowance: Allowance | None = None) -> Permit:
        """Wait for leave to send a request of so many tokens at most, prompt and longest answer, which may cost so
        much at most. May be cancelled at any time.

        Raises RunHalted when it does not fit into what its run may still take.
        """

    async def close(self) -> None:
        """Come back when all that was said of permits is known to the others; nobody enters any more."""


class OpenGate(Gate, Permit):
    """No budget: lets everything through, and nothing for as long as the endpoint has asked for, after a 429."""

    is_probe = False
    PAUSE = 1.0
    """Seconds, where the endpoint does not say how many."""

    def __init__(self) -> None:
        self._closed_until = 0.0

    async def enter(self, tokens: int, *, cost: float = 0.0, allowance: Allowance | None = None) -> Permit:
        """At once, as a rule."""
        while (pause := self._closed_until - time.monotonic()) > 0:
            await asyncio.sleep(pause)
        return self

    async def close(self) -> None:
        """Nobody hears of permits."""

    def done(self, *, tokens: int | None = None, cost: float | None = None) -> None:
        """Nothing is kept."""

    def throttled(self, retry_after: float | None = None) -> None:
        """Close for so long."""
        pause = self.PAUSE if retry_after is None else retry_after
        self._closed_until = max(self._closed_until, time.monotonic() + pause)

    def failed(self, status: int | None = None, *, why: str = "", is_sent: bool = True) -> None:
        """Nothing is kept."""

    def refused(self) -> None:
        """Nothing is kept."""

    def dropped(self) -> None:
        """Nothing is kept."""


@runtime_checkable
class Gated(Server, Protocol):
    """A Server that asks an endpoint: whoever drives it may put another gate before that, before anything is asked."""

    gate: Gate

    def close(self) -> None:
        """Have `run` return when all that was said to the gate is known. Called from any thread."""


@runtime_checkable
class Scorer(Protocol):
    """Says of one prediction whether it is right; pure, so that rescoring needs no inference."""

    name: str
    version: int
    """Counted up when it begins to score otherwise, so that a run says which scores are of before."""

    def score(self, sample: Sample, text: str) -> Score:
        """Score what was said (`text`, never a failure) against the sample's answer."""
