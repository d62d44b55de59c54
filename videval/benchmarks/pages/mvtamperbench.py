"""MVTamperBench: Evaluating Robustness of Vision-Language Models.

Amit Agarwal, Srikant Panda, Angeline Charles, Bhargava Kumar, Hitesh Patel, Priyaranjan Pattnayak, Taki Hasan Rafi,
Tejaswini Kumar, Hansa Meghwani, Karan Gupta, Dong-Kyu Chae. 2024. https://arxiv.org/abs/2412.19794

What is asked: MVBench's tasks (19, without Fine-grained Pose) on videos of which a second was dropped, masked,
repeated, rotated or replaced; the question is whether and how. MVTamperBenchStart and MVTamperBenchEnd tamper with
the beginning and the end.
What is shown: n frames, the middles of n equal segments, as MVBench does without bounds.
How it is scored: the letter (or the option's text) that was said; by task, by tampering, and by both. The paper's
number is an F1: of each kind of tampering, with the untouched (`original`) videos as negatives, and their mean.

The question stands before the clip. `paper`: MVBench's system text, as in VLMEvalKit from 2025-02 to 2025-09, when the
paper's numbers were made; `vlmevalkit`: what is left of it there since 2025-09-12 (9cc14cd; so in e8e78f0, 2026-08-18).
VLMEvalKit leaves questions out whose video is not there; here they stay and are said to be missing.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from videval.benchmarks.base import Shown
from videval.benchmarks.mvbench_tasks import SYSTEM, TASKS, choice_prompt, task_file
from videval.benchmarks.published import (
    Archive,
    Download,
    PublishedBenchmark,
    Row,
    as_row,
    read_records,
)
from videval.measures import Detection
from videval.types import Part, PromptSet, Sample, Scalar

__all__ = ["MVTamperBench", "MVTamperBenchEnd", "MVTamperBenchStart"]

_FOLDERS = {task: folder for task, (folder, _, _) in TASKS.items() if task != "Fine-grained Pose"}
_FOLDERS["Episodic Reasoning"] = "tvqa/frames_fps3/"
_SYSTEM = "Carefully watch the video and pay attention to the cause and sequence of events, "
_KEYS = ("video", "question", "answer", "candidates", "tamper_type")


class MVTamperBench(PublishedBenchmark):
    """What was done to this video? Tampering in the middle."""

    name = "MVTamperBench"
    title = "MVTamperBench: Evaluating Robustness of Vision-Language Models"
    authors = "Agarwal, Panda, Charles, Kumar, Patel, Pattnayak, Rafi, Kumar, Meghwani, Gupta, Chae"
    paper = "https://arxiv.org/abs/2412.19794"
    scorer = "choice"
    vlmevalkit = "mvtamperbench"
    groups = ("task_type", "tamper_type", "task_tamper_type")
    measures = (Detection(column="tamper_type", negative="original"),)
    frame_policy = "segment"
    rate_policy = None
    no_rate = "use a frame count, such as MVTamperBench_8frame"
    prompt_sets = (PromptSet.PAPER, PromptSet.VLMEVALKIT)
    published: ClassVar[tuple[str, ...]] = ("MVTamperBench_8frame",)

    downloads: ClassVar[tuple[Download, ...]] = (Download(repo="Srikant86/MVTamperBench"),)
    sources = tuple(task_file(task) for task in _FOLDERS)
    archives = (Archive(pattern="video/*.zip", into="video"),)
    md5 = "3557260881ba47db8add440c5edb742a"

    def build(self, root: Path) -> list[Row]:
        asked = [(task, record) for task in _FOLDERS for record in read_records(root / task_file(task), _KEYS)]
        return [
            as_row(
                i,
                {
                    "task_type": task,
                    "prefix": f"video/{_FOLDERS[task]}",
                    "data_type": "video",
                    "bound": False,
                    "start": record.get("start"),
                    "end": record.get("end"),
                    **{key: record[key] for key in _KEYS},
                    "task_tamper_type": f"{task}_{record['tamper_type']}",
                },
            )
            for i, (task, record) in enumerate(asked)
        ]

    def video_path(self, row: Mapping[str, Scalar], root: Path) -> str:
        folder = str(row["prefix"]).rstrip("/")
        ways = (
            f"{folder}/{row['video']}",
            f"{folder.replace('video/', 'video/data0613/', 1)}/{row['video']}",
            f"{folder}/videos/{row['video']}",
        )
        return next((way for way in ways if (root / way).exists()), ways[0])

    def prompt(self, sample: Sample, shown: Shown) -> tuple[Part, ...]:
        told = _SYSTEM if shown.prompts == PromptSet.VLMEVALKIT else SYSTEM
        system, *clip, question, ask, begin = choice_prompt(self.frames_or_video(shown), sample, told)
        return (system, question, *clip, ask, begin)


class MVTamperBenchStart(MVTamperBench):
    """What was done to this video? Tampering at the beginning."""

    name = "MVTamperBenchStart"
    published = ("MVTamperBenchStart_8frame",)
    downloads = (Download(repo="Srikant86/MVTamperBenchStart"),)
    md5 = "c1d3c299ddbff6000f0d9cad820187b8"


class MVTamperBenchEnd(MVTamperBench):
    """What was done to this video? Tampering at the end."""

    name = "MVTamperBenchEnd"
    published = ("MVTamperBenchEnd_8frame",)
    downloads = (Download(repo="Srikant86/MVTamperBenchEnd"),)
    md5 = "aa2c19dd02e1b006ee2d4be9f6f2b62b"
