"""TempCompass: Do Video LLMs Really Understand Videos?

Yuanxin Liu, Shicheng Li, Yi Liu, Yuxiang Wang, Shuhuai Ren, Lei Li, Sishuo Chen, Xu Sun, Lu Hou. Findings of ACL
2024. https://arxiv.org/abs/2403.00476

What is asked: five temporal aspects (action, speed, direction, order of events, change of attributes), each in four
forms: multi-choice, caption matching, yes/no, captioning.
What is shown: n frames, evenly spaced without the ends, or frames at a rate.
How it is scored: the option, yes or no that was said; in caption matching an option is read by its head ("Caption A",
"Option 2"), its letter or number, or its bare sentence. Captioning is for an LLM judge, which no rule stands in for:
these answers are stored and not scored. By aspect (`dim`) and form (`task_type`).

Wording as in the paper's code and VLMEvalKit, whose loader puts the question before the clip; that order is not
verified against its newest version. Its three tables are one here, with SUB_DATASET and original_index.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from videval.benchmarks.base import Shown
from videval.benchmarks.published import (
    Archive,
    Download,
    PublishedBenchmark,
    Row,
    as_row,
    read_records,
)
from videval.types import Part, Sample, Scalar, Text

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
    published = ("TempCompass_8frame", "TempCompass_64frame", "TempCompass_1fps", "TempCompass_0.5fps")

    downloads = (Download(repo="lmms-lab/TempCompass"),)
    archives = (Archive(pattern="tempcompass_videos.zip"),)

    sources = tuple(f"{task}/test-00000-of-00001.parquet" for task in _ASKS)

    def build(self, root: Path) -> list[Row]:
        rows: list[dict[str, Any]] = []
        for part, tasks in _PARTS.items():
            asked = [
                _columns(part, task, record) for task in tasks for record in read_records(_published(root, task), _KEYS)
            ]
            rows += [{**columns, "original_index": i} for i, columns in enumerate(asked)]
        return [as_row(i, columns) for i, columns in enumerate(rows)]

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
        return (Text(text=question), *self.frames_or_video(shown), *ask)


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
