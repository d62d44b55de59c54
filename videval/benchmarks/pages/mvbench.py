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
from videval.benchmarks.prompts import bracketed
from videval.benchmarks.published import (
    Archive,
    Download,
    PublishedBenchmark,
    Row,
    as_row,
    read_records,
)
from videval.errors import DataMissing, InvalidTable
from videval.types import Part, PromptSet, Sample, Scalar, Text

__all__ = ["SYSTEM", "TASKS", "MVBench", "MVBenchMP4", "Task", "choice_prompt"]

SYSTEM = (
    "Carefully watch the video and pay attention to the cause and sequence of events, the detail and movement of "
    "objects, and the action and pose of persons. Based on your observations, select the best option that "
    "accurately addresses the question.\n"
)

Task = tuple[str, str, bool]

TASKS: Mapping[str, Task] = {
    "Action Sequence": ("star/Charades_v1_480/", "video", True),
    "Action Prediction": ("star/Charades_v1_480/", "video", True),
    "Action Antonym": ("ssv2_video/", "video", False),
    "Fine-grained Action": ("Moments_in_Time_Raw/videos/", "video", False),
    "Unexpected Action": ("FunQA_test/test/", "video", False),
    "Object Existence": ("clevrer/video_validation/", "video", False),
    "Object Interaction": ("star/Charades_v1_480/", "video", True),
    "Object Shuffle": ("perception/videos/", "video", False),
    "Moving Direction": ("clevrer/video_validation/", "video", False),
    "Action Localization": ("sta/sta_video/", "video", True),
    "Scene Transition": ("scene_qa/video/", "video", False),
    "Action Count": ("perception/videos/", "video", False),
    "Moving Count": ("clevrer/video_validation/", "video", False),
    "Moving Attribute": ("clevrer/video_validation/", "video", False),
    "State Change": ("perception/videos/", "video", False),
    "Fine-grained Pose": ("nturgbd/", "video", False),
    "Character Order": ("perception/videos/", "video", False),
    "Egocentric Navigation": ("vlnqa/", "video", False),
    "Episodic Reasoning": ("tvqa/frames_fps3_hq/", "frame", True),
    "Counterfactual Inference": ("clevrer/video_validation/", "video", False),
}
"""Task -> its folder below `video/`, kind of media, and whether its questions have bounds."""


def task_file(task: str) -> str:
    """Where the questions of a task are published: json/action_sequence.json."""
    return f"json/{task.lower().replace(' ', '_').replace('-', '_')}.json"


def choice_prompt(clip: tuple[Part, ...], sample: Sample, system: str = SYSTEM) -> tuple[Part, ...]:
    """System text, clip, question with bracketed options, and the first words of the answer."""
    question = f"Question: {sample.question}\nOptions:\n{bracketed(sample.candidates)}".rstrip()
    return (
        Text(text=system, role="system"),
        *clip,
        Text(text=question),
        Text(text="\nOnly give the best option."),
        Text(text="Best option:(", role="assistant"),
    )


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
