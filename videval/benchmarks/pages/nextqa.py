"""NExT-QA: Next Phase of Question-Answering to Explaining Temporal Actions.

Junbin Xiao, Xindi Shang, Angela Yao, Tat-Seng Chua. CVPR 2021. https://arxiv.org/abs/2105.08276

What is asked (multi-choice test set): causal (CW, CH), temporal (TN, TC, TP) and descriptive (DC, DL, DO) questions
with five options.
What is shown: n frames, evenly spaced with both ends, or frames at a rate; then the question.
How it is scored: the letter that was said; by type as its own evaluation does: C, T and D over all of their kind,
TP within TN.

The paper publishes no prompt and VLMEvalKit has no loader. Layout, wording and frames are those of lmms-eval 75571cf
(2026-08-06), `nextqa_mc_test`: question and options, and no closing line (none since 2024-05-29). Protocol 1, until
videval 0.1, had a closing line and left the ends out. The open-ended set (WUPS) is not here.
"""

from collections.abc import Mapping
from pathlib import Path

from videval.benchmarks.base import Shown
from videval.benchmarks.prompts import dotted, letter_of
from videval.benchmarks.published import (
    Archive,
    Download,
    PublishedBenchmark,
    Row,
    as_row,
    read_records,
)
from videval.types import Part, PromptSet, Sample, Scalar, Text

__all__ = ["NExTQA"]

_OPTIONS = ("a0", "a1", "a2", "a3", "a4")
_KEYS = ("video", "question", "answer", "qid", "type", *_OPTIONS)


class NExTQA(PublishedBenchmark):
    """Five-option questions about why, when and what, on everyday videos."""

    name = "NExT-QA"
    title = "NExT-QA: Next Phase of Question-Answering to Explaining Temporal Actions"
    authors = "Xiao, Shang, Yao, Chua"
    paper = "https://arxiv.org/abs/2105.08276"
    license = "MIT (questions)"
    questions = 8564
    videos = 1000
    size_gb = 6.5
    scorer = "letter"
    groups = ("type",)
    frame_policy = "uniform"
    prompt_sets = (PromptSet.PAPER, PromptSet.LMMS_EVAL)
    protocol_version = 2
    published = ("NExT-QA_8frame", "NExT-QA_64frame", "NExT-QA_1fps")

    downloads = (Download(repo="lmms-eval/NExTQA", also=("lmms-lab/NExTQA",), only=("MC/*", "videos.zip")),)
    sources = ("MC/test-00000-of-00001.parquet",)
    archives = (Archive(pattern="videos.zip"),)

    def build(self, root: Path) -> list[Row]:
        found = read_records(root / self.sources[0], _KEYS)
        return [
            as_row(
                i,
                {
                    "index": i,
                    **record,
                    "candidates": [str(record[option]).strip() for option in _OPTIONS],
                },
            )
            for i, record in enumerate(found)
        ]

    def video_path(self, row: Mapping[str, Scalar], root: Path) -> str:
        ways = (f"NExTVideo/{row['video']}.mp4", f"videos/{row['video']}.mp4")
        return next((way for way in ways if (root / way).exists()), ways[0])

    def groups_of(self, column: str, value: str) -> tuple[str, ...]:
        return (value[:1], "TN" if value == "TP" else value)

    def answer(self, row: Mapping[str, Scalar]) -> str | None:
        return letter_of(row.get("answer"), "answer", len(_OPTIONS))

    def prompt(self, sample: Sample, shown: Shown) -> tuple[Part, ...]:
        question = f"{sample.question.strip()}\n{dotted(sample.candidates)}"
        return (*self.frames_or_video(shown), Text(text=question))
