"""A benchmark from one file of your own: `--data questions.{tsv,csv,jsonl}`.

Columns: `video` (relative to the data root, by default the file's folder) and `question`; if you like
`index`, `answer`, `candidates` (a list) or `A`, `B`, `C`, ..., `start` and `end` (seconds), `image`, `task_type`. Any
other column travels through to the export, in its place and as it stands. `video` may be a JSON list of clips, each a
path or `{"video": "b.mp4", "start": 1, "end": 3}` (with `frames` or `fps` of its own, if it needs them), and `image` a
list of paths.

What is asked: the clip, then the images, then the question; of several clips or images each stands behind `Video 1:`
or `Image 1:`. With options they follow, one a line as `(A) ...`, and the model
is told to answer with the letter only. With an answer and no options it is told to answer with a word or a
short phrase. With neither it gets the question as you wrote it, and what it says is not scored.
How it is scored: `choice` with options or where the answer is a letter, `exact` with any other answer.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from videval.benchmarks.base import Benchmark, Shown
from videval.benchmarks.option_columns import LONE_LETTER
from videval.benchmarks.prompts import bracketed
from videval.benchmarks.table_rows import read_table
from videval.errors import UsageError
from videval.types import Image, Part, Sample, Text, Variant

__all__ = ["TableBenchmark", "read_table", "table_variant"]

_LETTER = "Answer with the option's letter only."
_SHORT = "Answer with a word or a short phrase."
_LETTER_FIRST = re.compile(r"\s*\(?([A-H])[).:]")
_LISTED = re.compile(r"(?<![^\W_])\(?([A-Ha-h])\s?[).:]")


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

    def __init__(self, file: Path | None = None, *, allow_missing: bool = False) -> None:
        self.file = file
        self.allow_missing = allow_missing

    def load(self, root: Path, variant: Variant) -> Sequence[Sample]:
        if self.file is None:
            raise UsageError("a table is read from its file", hint="give the file: --data questions.tsv")
        return read_table(self.file, videos=None if self.allow_missing else root)

    def scorer_for(self, sample: Sample) -> str | None:
        if sample.answer is None:
            return None
        return "choice" if sample.candidates or _answer_is_letter(sample) else "exact"

    def remarks(self, samples: Sequence[Sample], *_: object) -> Iterator[str]:
        lettered = [s for s in samples if not s.candidates and _answer_is_letter(s)]
        if lettered:
            open_ones = sum(s.answer is not None and not s.candidates for s in samples)
            yield (
                f"{len(lettered)} of {open_ones} question(s) without options have a letter as their answer (index "
                f"{lettered[0].id}), and a letter is what will be read in what is said; "
                "if there are options, put them into candidates or A, B, C"
            )

    def prompt(self, sample: Sample, shown: Shown) -> tuple[Part, ...]:
        return (*self._shown(sample, shown), Text(text=_question(sample)))

    def pack_prompt(self, samples: Sequence[Sample], shown: Shown) -> tuple[Part, ...]:
        asked = json.dumps({s.id: _question(s) for s in samples}, ensure_ascii=False, indent=1)
        videos = "video" if len(shown.clips) == 1 else "videos"
        text = (
            f"Answer each of these questions about the {videos}. Reply with one JSON object that has an answer, as "
            f"text, under each question's key, and nothing else.\nQuestions:\n{asked}\nAnswers:\n"
        )
        return (*self._shown(samples[0], shown), Text(text=text))

    def _shown(self, sample: Sample, shown: Shown) -> Iterator[Part]:
        """The clips, then the images; where there are several, each behind its name and number."""
        for number in range(len(shown.clips)):
            yield from _called("Video", number, len(shown.clips))
            yield from self.frames_or_video(shown, number)
        for number, path in enumerate(sample.images):
            yield from _called("Image", number, len(sample.images))
            yield Image(path=path)


def _called(what: str, number: int, several: int) -> Iterator[Part]:
    if several > 1:
        yield Text(text=f"{what} {number + 1}:\n")


def _question(sample: Sample) -> str:
    if sample.candidates:
        return f"Question: {sample.question}\nOptions:\n{bracketed(sample.candidates)}\n{_LETTER}"
    if sample.answer is not None:
        return f"Question: {sample.question}\n{_SHORT}"
    return sample.question


def _answer_is_letter(sample: Sample) -> bool:
    """Whether the answer to a question without options is a letter: B, (b) or "B." alone, "B. out" only of a list."""
    letter = LONE_LETTER.fullmatch(sample.answer or "")
    return bool(letter and letter[1].upper() <= "H") or _lists_its_options(sample)


def _lists_its_options(sample: Sample) -> bool:
    """Whether the question itself lists options by their letters, among them the answer's."""
    answer = sample.answer or ""
    letter = LONE_LETTER.fullmatch(answer) or _LETTER_FIRST.match(answer)
    listed = {found.upper() for found in _LISTED.findall(sample.question)}
    return {"A", "B", letter[1].upper()} <= listed if letter else False
