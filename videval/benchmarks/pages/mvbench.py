"""MVBench: A Comprehensive Multi-modal Video Understanding Benchmark.

Kunchang Li, Yali Wang, Yinan He, Yizhuo Li, Yi Wang, Yi Liu, Zun Wang, Jilan Xu, Guo Chen, Ping Luo, Limin Wang,
Yu Qiao. CVPR 2024. https://arxiv.org/abs/2311.17005

What is asked: 20 tasks of temporal understanding with 200 questions each; up to five options, one is right.
What is shown: n frames, the middles of n equal segments of the video, or of the part between `start` and `end`
seconds in the five tasks that have bounds. Videos are mp4, avi, webm and gif files; Episodic Reasoning's are folders
of frames taken at 3 a second.
How it is scored: the letter (or the option's text) that was said; per task, and the mean over all questions.

Wording as the paper's code and VLMEvalKit e8e78f0 (2026-08-18).

MVBench_MP4 is the same set converted to mp4 files that are cut already: no bounds, and sampling by rate works.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from videval.benchmarks.base import Shown
from videval.benchmarks.mvbench_tasks import TASKS, choice_prompt, task_file
from videval.benchmarks.published import (
    Archive,
    Download,
    PublishedBenchmark,
    Row,
    as_row,
    read_records,
)
from videval.errors import DataMissing, InvalidTable
from videval.types import Part, PromptSet, Sample, Scalar

__all__ = ["MVBench", "MVBenchMP4"]


class MVBench(PublishedBenchmark):
    """20 tasks of temporal understanding, as published: mixed media, some with bounds."""

    name = "MVBench"
    title = "MVBench: A Comprehensive Multi-modal Video Understanding Benchmark"
    authors = "Li, Wang, He, Li, Wang, Liu, Wang, Xu, Chen, Luo, Wang, Qiao"
    paper = "https://arxiv.org/abs/2311.17005"
    license = "MIT (questions); the videos' own licences"
    questions = 4000
    size_gb = 17.3
    scorer = "choice"
    vlmevalkit = "mvbench"
    groups = ("task_type",)
    frame_policy = "segment"
    rate_policy = None
    no_rate = "use MVBench_MP4"
    prompt_sets = (PromptSet.PAPER, PromptSet.VLMEVALKIT)
    published = ("MVBench_8frame", "MVBench_64frame")

    downloads = (Download(repo="OpenGVLab/MVBench"),)
    sources = tuple(task_file(task) for task in TASKS)
    archives = (Archive(pattern="video/*.zip", into="video"),)
    md5 = "fd21d36522cdedd46d84dc46715ad832"
    not_included = "Fine-grained Pose (video/nturgbd) is not in the data set: NTU RGB+D is to be asked for by its users"

    def build(self, root: Path) -> list[Row]:
        asked = [
            (task, record)
            for task in TASKS
            for record in read_records(root / task_file(task), ("video", "question", "answer", "candidates"))
        ]
        return [as_row(i, _columns(task, record)) for i, (task, record) in enumerate(asked)]

    def video_path(self, row: Mapping[str, Scalar], root: Path) -> str:
        path = f"{str(row['prefix']).rstrip('/')}/{row['video']}"
        supplement = path.replace("video/", "video/data0613/", 1)
        return supplement if not (root / path).exists() and (root / supplement).exists() else path

    def bound(self, row: Mapping[str, Scalar]) -> tuple[float | None, float | None]:
        start, end = row.get("start"), row.get("end")
        if not row.get("bound") or start is None or end is None:
            return None, None
        if float(start) >= float(end):
            raise ValueError(f"start {start} is not before end {end}")
        return float(start), float(end)

    def prompt(self, sample: Sample, shown: Shown) -> tuple[Part, ...]:
        return choice_prompt(self.frames_or_video(shown), sample)


def _columns(task: str, record: Mapping[str, Any]) -> dict[str, Any]:
    folder, kind, bounded = TASKS[task]
    return {
        "task_type": task,
        "prefix": f"video/{folder}",
        "data_type": kind,
        "bound": bounded,
        "start": record.get("start"),
        "end": record.get("end"),
        "video": record["video"],
        "question": record["question"],
        "answer": record["answer"],
        "candidates": record["candidates"],
    }


class MVBenchMP4(PublishedBenchmark):
    """MVBench as mp4 files that are cut already: no bounds, sampled by count or by rate."""

    name = "MVBench_MP4"
    title = MVBench.title
    authors = MVBench.authors
    paper = MVBench.paper
    license = MVBench.license
    questions = 4000
    size_gb = 15.8
    scorer = "choice"
    vlmevalkit = "mvbench"
    groups = ("task_type",)
    frame_policy = "segment"
    prompt_sets = (PromptSet.PAPER, PromptSet.VLMEVALKIT)
    published = ("MVBench_MP4_8frame", "MVBench_MP4_1fps")

    downloads = (Download(repo="OpenGVLab/MVBench", revision="video"),)
    sources = ("test.json",)
    md5 = "5c8c6f8b7972c2de65a629590f7c42f5"

    def build(self, root: Path) -> list[Row]:
        path = root / "test.json"
        if not path.is_file():
            raise DataMissing(f"{path}: there is no such file", hint=f"videval prepare {self.name}")
        try:
            published = json.loads(path.read_text(encoding="utf-8"))
            folders, asked = published["root"], published["meta"]
            rows = [
                {"task_type": task, "prefix": folders[task], **{k: record[k] for k in _KEYS}}
                for task, records in asked.items()
                for record in records
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidTable(str(path), [f"is not as published: {error!r}"]) from error
        return [as_row(i, row) for i, row in enumerate(rows)]

    def video_path(self, row: Mapping[str, Scalar], root: Path) -> str:
        prefix = str(row["prefix"]).removeprefix("./").rstrip("/")
        return f"{prefix}/{row['video']}" if prefix else str(row["video"])

    def prompt(self, sample: Sample, shown: Shown) -> tuple[Part, ...]:
        return choice_prompt(self.frames_or_video(shown), sample)


_KEYS = ("video", "question", "answer", "candidates")
