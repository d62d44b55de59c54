"""MLVU: Benchmarking Multi-task Long Video Understanding.

Junjie Zhou, Yan Shu, Bo Zhao, Boya Wu, Zhengyang Liang, Shitao Xiao, Minghao Qin, Xi Yang, Yongping Xiong, Bo Zhang,
Tiejun Huang, Zheng Liu. CVPR 2025. https://arxiv.org/abs/2406.04264

What is asked (dev set): seven tasks with options (plotQA, needle, ego, count, order, anomaly_reco, topic_reasoning)
and two of free text (sub_scene, summary) about videos of three minutes to two hours.
What is shown: n frames, evenly spaced without the ends, or frames at a rate; then the question.
How it is scored: options by the letter that was said, per task, M-Avg is the mean of the tasks; free text by an LLM
judge (G-Avg), which no rule stands in for: these answers are stored and not scored.

Wording of `paper` and `vlmevalkit`: VLMEvalKit e8e78f0 (2026-08-18), which shows the clip first since 2025-05-29, as
MLVU's own code does; protocol 1, until videval 0.1, asked first. `lmms-eval` (75571cf, 2026-08-06) has no system text,
its own closing lines, and frames with both ends; it asks the tasks with options only, and those of free text get their
question alone.

VLMEvalKit's two tables (MLVU_MCQ, MLVU_OpenEnded) are one here, with SUB_DATASET and original_index. In the annotations
of MLVU's own repository (fd060c1) one question is empty and two answers are not among their options: such rows are left
out, and named.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from videval.benchmarks.base import Shown
from videval.benchmarks.prompts import bracketed
from videval.benchmarks.published import Download, PublishedBenchmark, Row, as_row, part_of, read_records
from videval.metrics import GroupMean, Mean
from videval.types import Part, PromptSet, Sample, Scalar, Text

__all__ = ["MLVU"]

_WATCH = "Carefully watch this video and pay attention to every detail. Based on your observations, "
_CHOOSE = f"{_WATCH}select the best option that accurately addresses the question."
_TELL = f"{_WATCH}answer the given questions."
_TASKS = {
    "plotQA": "1_plotQA",
    "needle": "2_needle",
    "ego": "3_ego",
    "count": "4_count",
    "order": "5_order",
    "anomaly_reco": "6_anomaly_reco",
    "topic_reasoning": "7_topic_reasoning",
    "sub_scene": "8_sub_scene",
    "summary": "9_summary",
}
_FREE = ("sub_scene", "summary")
_CHOICES = tuple(task for task in _TASKS if task not in _FREE)
_BEST = "\nOnly give the best option."
_BEGIN = "\nBest option: ("
_COLUMNS = ("task_type", "prefix", "duration", "video", "question", "answer")
_PARTS = {"MLVU_MCQ": (*_COLUMNS, "candidates"), "MLVU_OpenEnded": (*_COLUMNS, "scoring_points")}


class MLVU(PublishedBenchmark):
    """Nine tasks about long videos: seven with options, two of free text."""

    name = "MLVU"
    title = "MLVU: Benchmarking Multi-task Long Video Understanding"
    authors = "Zhou, Shu, Zhao, Wu, Liang, Xiao, Qin, Yang, Xiong, Zhang, Huang, Liu"
    paper = "https://arxiv.org/abs/2406.04264"
    license = "CC-BY-NC-SA-4.0"
    scorer = "choice"
    vlmevalkit = "mlvu"
    needs = "an LLM judge for the free-text tasks sub_scene and summary"
    groups = ("task_type",)
    prompt_sets = (PromptSet.PAPER, PromptSet.VLMEVALKIT, PromptSet.LMMS_EVAL)
    frame_policies: ClassVar[Mapping[PromptSet, str]] = {PromptSet.LMMS_EVAL: "uniform"}
    protocol_version = 2
    metrics = (
        Mean(),
        GroupMean(column="task_type", name="M-Avg"),
        Mean(name="M-Avg of VLMEvalKit", column="task_type", only=_CHOICES),
    )
    published = ("MLVU_8frame", "MLVU_64frame", "MLVU_1fps")

    downloads = (Download(repo="MLVU/MVLU"),)
    sources = tuple(f"MLVU/json/{file}.json" for file in _TASKS.values())
    leaves_out = True
    part_md5: ClassVar[Mapping[str, str]] = {
        "MLVU_MCQ": "bb5c37e7cf8d43fc9a25c23d2b4633f5",
        "MLVU_OpenEnded": "cee573a3627c6ac434ded704c60511ba",
    }

    def build(self, root: Path) -> list[Row]:
        rows: list[dict[str, Any]] = []
        for free in (False, True):
            part = [
                _columns(task, record, free)
                for task, file in _TASKS.items()
                if (task in _FREE) == free
                for record in read_records(root / f"MLVU/json/{file}.json", _keys(free))
            ]
            rows += [{**columns, "original_index": i} for i, columns in enumerate(part)]
        return [as_row(i, columns) for i, columns in enumerate(rows)]

    def part(self, name: str, rows: Sequence[Row]) -> list[Row]:
        return part_of(name, rows, _PARTS[name])

    def video_path(self, row: Mapping[str, Scalar], root: Path) -> str:
        return f"{str(row['prefix']).removeprefix('./').rstrip('/')}/{row['video']}"

    def scorer_for(self, sample: Sample) -> str | None:
        return None if sample.row.get("task_type") in _FREE else super().scorer_for(sample)

    def prompt(self, sample: Sample, shown: Shown) -> tuple[Part, ...]:
        clip = self.frames_or_video(shown)
        if shown.prompts == PromptSet.LMMS_EVAL:
            return (*clip, Text(text=_as_lmms_eval(sample)))
        if not sample.candidates:
            return (Text(text=_TELL, role="system"), *clip, Text(text=sample.question))
        question = f"Question: {sample.question}\nOptions:\n{bracketed(sample.candidates)}".rstrip()
        return (Text(text=_CHOOSE, role="system"), *clip, Text(text=question), Text(text=_BEST))


def _as_lmms_eval(sample: Sample) -> str:
    if not sample.candidates:
        return sample.question
    return f"{sample.question}\n{bracketed(sample.candidates)}{_BEST}{_BEGIN}"


def _keys(free: bool) -> tuple[str, ...]:
    return ("video", "duration", "question", "answer", *(() if free else ("candidates",)))


def _columns(task: str, record: Mapping[str, Any], free: bool) -> dict[str, Any]:
    return {
        "task_type": task,
        "prefix": f"./MLVU/video/{_TASKS[task]}",
        "duration": record["duration"],
        "video": record["video"],
        "question": record["question"],
        "answer": record["answer"],
        "candidates": None if free else record["candidates"],
        "SUB_DATASET": "MLVU_OpenEnded" if free else "MLVU_MCQ",
        "scoring_points": record.get("scoring_points"),
    }
