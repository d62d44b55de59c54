"""EgoSchema: A Diagnostic Benchmark for Very Long-form Video Language Understanding.

Karttikeya Mangalam, Raiymbek Akshulakov, Jitendra Malik. NeurIPS 2023. https://arxiv.org/abs/2308.09126

What is asked: one question with five options about each three-minute egocentric clip. The answers of the full set
(5,031) are not public; this is the Subset of 500 whose answers are.
What is shown: n frames, evenly spaced with both ends, or frames at a rate; then the question.
How it is scored: the letter that was said; one number.

The paper publishes no prompt and VLMEvalKit has no loader. Wording, layout and frames are those of lmms-eval 75571cf
(2026-08-06), `egoschema_subset`. Protocol 1, until videval 0.1, left the ends of the video out.
"""

from collections.abc import Mapping
from pathlib import Path

from videval.benchmarks.base import Shown
from videval.benchmarks.prompts import LETTERS
from videval.benchmarks.published import (
    Archive,
    Download,
    PublishedBenchmark,
    Row,
    as_row,
    read_records,
)
from videval.types import Part, PromptSet, Sample, Scalar, Text

__all__ = ["EgoSchema"]

_KEYS = ("question_idx", "question", "video_idx", "option", "answer")
_ASK = "\nAnswer with the option's letter from the given choices directly."


class EgoSchema(PublishedBenchmark):
    """Five-option questions about three-minute egocentric clips; the public subset."""

    name = "EgoSchema"
    title = "EgoSchema: A Diagnostic Benchmark for Very Long-form Video Language Understanding"
    authors = "Mangalam, Akshulakov, Malik"
    paper = "https://arxiv.org/abs/2308.09126"
    license = "Ego4D licence"
    questions = 500
    videos = 500
    size_gb = 105.7
    scorer = "letter"
    lettered = True
    frame_policy = "uniform"
    prompt_sets = (PromptSet.PAPER, PromptSet.LMMS_EVAL)
    protocol_version = 2
    published = ("EgoSchema_8frame", "EgoSchema_64frame", "EgoSchema_1fps")

    downloads = (Download(repo="lmms-eval/egoschema", also=("lmms-lab/egoschema",)),)
    sources = ("Subset/test-00000-of-00001.parquet",)
    archives = (Archive(pattern="videos_chunked_*.zip", into="videos", flat=True),)

    def build(self, root: Path) -> list[Row]:
        found = read_records(root / self.sources[0], _KEYS)
        return [
            as_row(
                i,
                {
                    "index": i,
                    "video": record["video_idx"],
                    "question": record["question"],
                    "candidates": record["option"],
                    "answer": record["answer"],
                    "question_idx": record["question_idx"],
                },
            )
            for i, record in enumerate(found)
        ]

    def video_path(self, row: Mapping[str, Scalar], root: Path) -> str:
        upper = f"videos/{row['video']}.MP4"
        return upper if (root / upper).exists() else f"videos/{row['video']}.mp4"

    def answer(self, row: Mapping[str, Scalar]) -> str | None:
        answer = super().answer(row)
        if answer is None or not answer.isdigit():
            return answer
        if int(answer) >= len(LETTERS):
            raise ValueError(f"answer {answer} is not the number of an option")
        return LETTERS[int(answer)]

    def prompt(self, sample: Sample, shown: Shown) -> tuple[Part, ...]:
        question = "\n".join([sample.question, *self.published_options(sample.row)])
        return (*self.frames_or_video(shown), Text(text=f"{question}{_ASK}"))
