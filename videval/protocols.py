"""The seams: what a model and a scorer must offer, so that a fake is as good as the real thing."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from videval.types import Generation, GenerationSettings, Prompt, Sample, Score

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
class Scorer(Protocol):
    """Says of one prediction whether it is right; pure, so that rescoring needs no inference."""

    name: str

    def score(self, sample: Sample, text: str) -> Score:
        """Score what was said (`text`, never a failure) against the sample's answer."""
