"""The seams: what a model and a scorer must offer, so that a fake is as good as the real thing."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from videval.errors import VidevalError
from videval.types import Answer, Ask, Generation, GenerationSettings, Prompt, Sample, Score, Stage

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


@runtime_checkable
class Scorer(Protocol):
    """Says of one prediction whether it is right; pure, so that rescoring needs no inference."""

    name: str
    version: int
    """Counted up when it begins to score otherwise, so that a run says which scores are of before."""

    def score(self, sample: Sample, text: str) -> Score:
        """Score what was said (`text`, never a failure) against the sample's answer."""
