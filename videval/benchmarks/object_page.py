"""Questions of an object of their user's, of the kind of VLMEvalKit's VideoBaseDataset.

What is asked and shown is what the object says: its `build_prompt` words each question in the process that has it, and
nobody else can. How it is scored is the object's own affair (`evaluate`).
"""

from collections.abc import Sequence
from pathlib import Path

from videval.benchmarks.base import NO_SCORER, Benchmark, Shown
from videval.errors import UsageError
from videval.types import Part, PromptSet, Sample, Variant

__all__ = ["ObjectBenchmark"]


class ObjectBenchmark(Benchmark):
    """A data set that is an object; `samples` are its questions, none where it is not here."""

    name = "object"
    title = "A data set that is an object"
    scorer = NO_SCORER
    needs = "a data set that is an object is scored by its own evaluate"
    prompt_sets = (PromptSet.VLMEVALKIT,)
    frame_policy = "interior"
    supports_pack = True
    supports_subtitles = True

    def __init__(self, samples: Sequence[Sample] = ()) -> None:
        self.samples = tuple(samples)

    def load(self, root: Path, variant: Variant) -> list[Sample]:
        return list(self.samples)

    def prompt(self, sample: Sample, shown: Shown) -> tuple[Part, ...]:
        raise UsageError(_ELSEWHERE)

    def pack_prompt(self, samples: Sequence[Sample], shown: Shown) -> tuple[Part, ...]:
        raise UsageError(_ELSEWHERE)


_ELSEWHERE = "a data set that is an object words its questions itself, in the process that has it"
