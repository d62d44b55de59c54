"""DREAM-1K, from: Tarsier: Recipes for Training and Evaluating Large Video Description Models.

Jiawei Wang, Liping Yuan, Yuchun Zhang, Haomiao Sun. 2024. https://arxiv.org/abs/2407.00634

What is asked: describe each of 1,000 short clips of several events, in detail.
What is shown: n frames, evenly spaced without the ends, or frames at a rate; then the table's question.
How it is scored: an LLM judge takes the events out of both descriptions and says which are entailed; F1 of recall
and precision. No rule stands in for it.
"""

from collections.abc import Mapping
from pathlib import Path

from videval.benchmarks.base import NO_SCORER, Shown
from videval.benchmarks.published import Archive, Download, PublishedBenchmark, Row
from videval.benchmarks.table_file import read_lines
from videval.errors import InvalidTable
from videval.types import Part, PromptSet, Sample, Scalar, Text

__all__ = ["Dream1K"]


class Dream1K(PublishedBenchmark):
    """Describe the video; judged by events."""

    name = "DREAM-1K"
    title = "Tarsier: Recipes for Training and Evaluating Large Video Description Models"
    authors = "Wang, Yuan, Zhang, Sun"
    paper = "https://arxiv.org/abs/2407.00634"
    license = "Apache-2.0"
    questions = 1000
    videos = 1000
    size_gb = 3.9
    scorer = NO_SCORER
    needs = "an LLM judge that extracts events and compares them (AutoDQ)"
    prompt_sets = (PromptSet.PAPER, PromptSet.VLMEVALKIT)
    published = (
        "DREAM-1K_8frame",
        "DREAM-1K_64frame",
        "DREAM-1K_2fps",
        "DREAM-1K_1fps",
        "DREAM-1K_0.5fps",
    )

    downloads = (
        Download(repo="omni-research/DREAM-1K", only=("video/video.zip",)),
        Download(repo="mjuicem/DREAM-1k-VLMEvalKit", only=("DREAM-1K.tsv",)),
    )
    archives = (Archive(pattern="video/video.zip", into="video", flat=True),)
    md5 = "e8f0a486429bb6c27806bc0669e0d8b2"
    lmu_folder = "DREAM"

    def is_here(self, root: Path) -> bool:
        return root.is_dir() and _table(root, self.table).is_file()

    def rows(self, root: Path) -> list[Row]:
        path = _table(root, self.table)
        if path.parent == root or not path.is_file():
            return super().rows(root)
        read = read_lines(path)
        if read.problems:
            raise InvalidTable(str(path), read.problems)
        return [{k: v for k, v in line.cells.items() if not isinstance(v, list | dict)} for line in read.lines]

    def video_path(self, row: Mapping[str, Scalar], root: Path) -> str:
        video = str(row["video"]).removeprefix("video/")
        return f"{video}.mp4" if (root / f"{video}.mp4").exists() else f"video/{video}.mp4"

    def options(self, row: Mapping[str, Scalar]) -> tuple[str, ...]:
        return ()

    def prompt(self, sample: Sample, shown: Shown) -> tuple[Part, ...]:
        return (*self.frames_or_video(shown), Text(text=sample.question))


def _table(root: Path, name: str) -> Path:
    """The table lies beside the videos, or where VLMEvalKit puts it: in LMUData, two folders up."""
    beside = root / name
    return beside if beside.is_file() or root.parent.name != "datasets" else root.parent.parent / name
