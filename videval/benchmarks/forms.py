"""The words of a page as a digest: what a recipe that asks by the page was written for.

A made-up question about a made-up clip is worded, for a model that takes a video and for one that takes images.
"""

import hashlib
import json
from pathlib import Path

from videval.benchmarks.base import Benchmark, Shown
from videval.plain import plain
from videval.types import Clip, PromptSet, Sample, Scalar

__all__ = ["form_of"]

_CLIP = Clip(
    path="", frame_numbers=(0, 30, 60), timestamps=(0.0, 1.0, 2.0), total_frames=90, fps=30.0, width=640, height=360,
    decoder="", policy="",
)  # fmt: skip
_OPTIONS = ("a red ball", "a blue box", "a green cone", "nothing")


class _Row(dict[str, Scalar]):
    """Columns of any benchmark: one that is not there is empty."""

    def __missing__(self, name: str) -> Scalar:
        return ""


def form_of(benchmark: Benchmark, prompts: PromptSet) -> str:
    """16 hex digits of how the page words a question in a prompt set."""
    options = json.dumps(_OPTIONS)
    row = _Row(candidates=options, options=options, task_type="multi-choice", question="What moves?", answer="A")
    sample = Sample(id="0", question="What moves?", video="a.mp4", answer="A", candidates=_OPTIONS, row=row)
    said = [
        [{type(part).__name__: plain(part)} for part in benchmark.prompt(sample, shown)]
        for shown in (
            Shown(clips=(_CLIP,), form="video", root=Path(), prompts=prompts),
            Shown(clips=(_CLIP,), form="frames", root=Path(), prompts=prompts),
        )
    ]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]
