"""TempCompass: Do Video LLMs Really Understand Videos?

Yuanxin Liu, Shicheng Li, Yi Liu, Yuxiang Wang, Shuhuai Ren, Lei Li, Sishuo Chen, Xu Sun, Lu Hou. Findings of ACL
2024. https://arxiv.org/abs/2403.00476

What is asked: five temporal aspects (action, speed, direction, order of events, change of attributes), each in four
forms: multi-choice, caption matching, yes/no, captioning.
What is shown: n frames, evenly spaced without the ends, or frames at a rate; then the question.
How it is scored: the option, yes or no that was said; in caption matching an option is read by its head ("Caption A",
"Option 2"), its letter or number, or its bare sentence. Captioning is for an LLM judge, which no rule stands in for:
these answers are stored and not scored. By aspect (`dim`) and form (`task_type`).

Wording as in the paper's code (e1b4631) and VLMEvalKit e8e78f0 (2026-08-18), which shows the clip first since
2025-05-29; protocol 1, until videval 0.1, asked first. VLMEvalKit's three tables are one here, with SUB_DATASET and
original_index.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from videval.benchmarks.base import Shown
from videval.benchmarks.published import (
    Archive,
    Download,
    PublishedBenchmark,
    Row,
    as_row,
    part_of,
    read_records,
)
from videval.types import Part, PromptSet, Sample, Scalar, Text

__all__ = ["TempCompass"]

_CHOOSE = "\nPlease directly give the best option:"
_ASKS = {
    "multi-choice": _CHOOSE,
    "caption_matching": _CHOOSE,
    "captioning": "",
    "yes_no": "\nPlease answer yes or no:",
}
_PARTS = {
    "TempCompass_MCQ": ("multi-choice", "caption_matching"),
    "TempCompass_Captioning": ("captioning",),
    "TempCompass_YorN": ("yes_no",),
}
_COLUMNS = ("task_type", "prefix", "suffix", "video", "question", "answer", "dim")
_MORE = {"TempCompass_MCQ": ("candidates",), "TempCompass_Captioning": ("mc_question", "mc_answer")}
_KEYS = ("video_id", "question", "answer", "dim")


class TempCompass(PublishedBenchmark):
    """Temporal perception in four forms of question."""

    name = "TempCompass"
    title = "TempCompass: Do Video LLMs Really Understand Videos?"
    authors = "Liu, Li, Liu, Wang, Ren, Li, Chen, Sun, Hou"
    paper = "https://arxiv.org/abs/2403.00476"
    questions = 7540
    videos = 410
    size_gb = 0.4
    scorer = "choice"
    vlmevalkit = "tempcompass"
    needs = "an LLM judge for captioning"
    groups = ("dim", "task_type")
    lettered = True
    prompt_sets = (PromptSet.PAPER, PromptSet.VLMEVALKIT)
    protocol_version = 2
    published = ("TempCompass_8frame", "TempCompass_64frame", "TempCompass_1fps", "TempCompass_0.5fps")

    downloads = (Download(repo="lmms-lab/TempCompass", also=("lmms-eval/TempCompass",)),)
    archives = (Archive(pattern="tempcompass_videos.zip"),)

    sources = tuple(f"{task}/test-00000-of-00001.parquet" for task in _ASKS)
    part_md5: ClassVar[Mapping[str, str]] = {
        "TempCompass_MCQ": "7efbb9e6d9dabacd22daf274852691dd",
        "TempCompass_Captioning": "35be9bf2581ea7767f02e9a8f37ae1ab",
        "TempCompass_YorN": "c72c046d7fa0e82c8cd7462f2e844ea8",
    }

    def build(self, root: Path) -> list[Row]:
        rows: list[dict[str, Any]] = []
        for part, tasks in _PARTS.items():
            asked = [
                _columns(part, task, record) for task in tasks for record in read_records(_published(root, task), _KEYS)
            ]
            rows += [{**columns, "original_index": i} for i, columns in enumerate(asked)]
        return [as_row(i, columns) for i, columns in enumerate(rows)]

    def part(self, name: str, rows: Sequence[Row]) -> list[Row]:
        return part_of(name, rows, (*_COLUMNS, *_MORE.get(name, ())))

    def video_path(self, row: Mapping[str, Scalar], root: Path) -> str:
        return f"videos/{row['video']}{row['suffix']}"

    def scorer_for(self, sample: Sample) -> str | None:
        task = sample.row.get("task_type")
        if task == "captioning" or sample.answer is None:
            return None
        return "yes_no" if task == "yes_no" else "choice"

    def prompt(self, sample: Sample, shown: Shown) -> tuple[Part, ...]:
        task = str(sample.row["task_type"])
        options = self.published_options(sample.row)
        question = "\n".join([sample.question, *options])
        ask = (Text(text=_ASKS[task]),) if _ASKS[task] else ()
        return (*self.frames_or_video(shown), Text(text=question), *ask)


def _published(root: Path, task: str) -> Path:
    """VLMEvalKit leaves a JSON file beside the parquet that was published; either will do."""
    beside = root / f"{task}.json"
    return beside if beside.is_file() else root / task / "test-00000-of-00001.parquet"


def _columns(part: str, task: str, record: Mapping[str, Any]) -> dict[str, Any]:
    first, *options = str(record["question"]).split("\n")
    return {
        "task_type": task,
        "prefix": "./videos",
        "suffix": ".mp4",
        "video": record["video_id"],
        "question": record["question"] if task == "captioning" else first,
        "answer": record["answer"],
        "dim": record["dim"],
        "candidates": options if part == "TempCompass_MCQ" else None,
        "SUB_DATASET": part,
        "mc_question": record.get("mc_question"),
        "mc_answer": record.get("mc_answer"),
    }
