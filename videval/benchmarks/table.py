"""A benchmark from one file of your own: `--data questions.{tsv,csv,jsonl}`.

Columns: `video` (relative to the data root, by default the file's folder) and `question`; if you like
`index`, `answer`, `candidates` (a JSON or Python list) or `A`, `B`, `C`, ..., `start` and `end` (seconds),
`task_type`. Any other column travels through to the export, in its place and with its type.

What is asked: the clip, then the question. With options they follow, one a line as `(A) ...`, and the model
is told to answer with the letter only. With an answer and no options it is told to answer with a word or a
short phrase. With neither it gets the question as you wrote it, and what it says is not scored.
How it is scored: `choice` with options, `exact` with an answer only.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from videval.benchmarks.base import Benchmark, Shown
from videval.benchmarks.prompts import bracketed
from videval.benchmarks.table_rows import read_table
from videval.errors import UsageError
from videval.types import Part, Sample, Text, Variant

__all__ = ["TableBenchmark", "read_table", "table_variant"]

_LETTER = "Answer with the option's letter only."
_SHORT = "Answer with a word or a short phrase."


def table_variant(
    file: Path, *, num_frames: int | None = None, fps: float | None = None, pack: bool = False
) -> Variant:
    """The variant of a file, questions_8frame; UsageError unless one of count and rate is given."""
    if (num_frames is None) == (fps is None):
        raise UsageError(f"{file.name}: how many frames?", hint="give --frames N or --fps F, one of them")
    if (num_frames or fps or 0) <= 0:
        raise UsageError(f"{file.name}: frames and fps are more than 0")
    named = TableBenchmark().variant(num_frames=num_frames, fps=fps, pack=pack)
    stem = re.sub(r"[^\w.-]+", "-", file.stem).strip("-.") or TableBenchmark.name
    return Variant(
        name=stem + named.name.removeprefix(TableBenchmark.name),
        benchmark=named.benchmark,
        num_frames=named.num_frames,
        fps=named.fps,
        pack=pack,
    )


class TableBenchmark(Benchmark):
    """The questions of a user's file. Without a file it still words prompts: these need the samples only."""

    name = "table"
    title = "A benchmark from one file"
    scorer = "choice"
    groups = ("task_type",)
    times = "real"  # who writes down seconds took them from a player
    supports_pack = True

    def __init__(self, file: Path | None = None) -> None:
        self.file = file

    def load(self, root: Path, variant: Variant) -> list[Sample]:
        if self.file is None:
            raise UsageError("a table is read from its file", hint="give the file: --data questions.tsv")
        return read_table(self.file)

    def scorer_for(self, sample: Sample) -> str | None:
        if sample.answer is None:
            return None
        return "choice" if sample.candidates else "exact"

    def prompt(self, sample: Sample, shown: Shown) -> tuple[Part, ...]:
        return (*self.frames_or_video(shown), Text(text=_question(sample)))

    def pack_prompt(self, samples: Sequence[Sample], shown: Shown) -> tuple[Part, ...]:
        asked = json.dumps({s.id: _question(s) for s in samples}, ensure_ascii=False, indent=1)
        text = (
            "Answer each of these questions about the video. Reply with one JSON object that has an answer, as "
            f"text, under each question's key, and nothing else.\nQuestions:\n{asked}\nAnswers:\n"
        )
        return (*self.frames_or_video(shown), Text(text=text))


def _question(sample: Sample) -> str:
    if sample.candidates:
        return f"Question: {sample.question}\nOptions:\n{bracketed(sample.candidates)}\n{_LETTER}"
    if sample.answer is not None:
        return f"Question: {sample.question}\n{_SHORT}"
    return sample.question
