"""Video-MME: The First-Ever Comprehensive Evaluation Benchmark of Multi-modal LLMs in Video Analysis.

Chaoyou Fu, Yuhan Dai, Yongdong Luo, Lei Li, Shuhuai Ren, Renrui Zhang, Zihan Wang, Chenyu Zhou, Yunhang Shen,
Mengdan Zhang, Peixian Chen, Yanwei Li, Shaohui Lin, Sirui Zhao, Ke Li, Tong Xu, Xiawu Zheng, Enhong Chen, Rongrong
Ji, Xing Sun. CVPR 2025. https://arxiv.org/abs/2405.21075

What is asked: three questions with four options about each of 900 videos: short, medium and long, in six domains.
What is shown: n frames, evenly spaced without the ends, or frames at a rate; with `_subs` also the subtitles at
these frames. A video that has no subtitle file is asked with none.
How it is scored: the letter that was said; by duration, domain, sub-category and task.
"""

from collections.abc import Mapping
from pathlib import Path

from videval.benchmarks.base import Shown
from videval.benchmarks.prompts import dotted
from videval.benchmarks.published import (
    Archive,
    Download,
    PublishedBenchmark,
    Row,
    as_row,
    read_records,
)
from videval.benchmarks.subtitles import FRAMES, SUBTITLED, check_srt, shown_subtitles, subtitles_once
from videval.types import Part, PromptSet, Sample, Scalar, Text

__all__ = ["VideoMME"]

_PARQUET = "videomme/test-00000-of-00001.parquet"
_KEYS = (
    "videoID", "duration", "domain", "options", "sub_category", "task_type", "question", "answer",
)  # fmt: skip


class VideoMME(PublishedBenchmark):
    """Four-option questions about short, medium and long videos, with and without subtitles."""

    name = "Video-MME"
    title = "Video-MME: Comprehensive Evaluation Benchmark of Multi-modal LLMs in Video Analysis"
    authors = "Fu, Dai, Luo, Li, Ren, Zhang, Wang, Zhou, Shen, Zhang, Chen, Li, Lin, Zhao, Li, Xu, Zheng, Chen, ..."
    paper = "https://arxiv.org/abs/2405.21075"
    license = "academic research only"
    questions = 2700
    videos = 900
    size_gb = 101.0
    scorer = "letter"
    vlmevalkit = "videomme"
    groups = ("duration", "domain", "sub_category", "task_type")
    supports_subtitles = True
    lettered = True
    subtitle_folder = "subtitle"
    prompt_sets = (PromptSet.PAPER, PromptSet.VLMEVALKIT)
    published = (
        "Video-MME_8frame",
        "Video-MME_64frame",
        "Video-MME_8frame_subs",
        "Video-MME_1fps",
        "Video-MME_0.5fps",
        "Video-MME_0.5fps_subs",
    )

    downloads = (Download(repo="lmms-lab/Video-MME", also=("lmms-eval/Video-MME",)),)
    sources = (_PARQUET,)
    archives = (
        Archive(pattern="video*.zip", into="video", flat=True),
        Archive(pattern="video_pkl/*.pkl", into="video"),
        Archive(pattern="subtitle.zip", into="subtitle", flat=True),
    )
    md5 = "85bdd91f9b29a99354c23b97ab7c113c"

    def build(self, root: Path) -> list[Row]:
        return [_row(i, record) for i, record in enumerate(read_records(root / _PARQUET, _KEYS))]

    def video_path(self, row: Mapping[str, Scalar], root: Path) -> str:
        return f"video/{row['video']}.mp4"

    def check_subtitles(self, row: Mapping[str, Scalar], root: Path) -> None:
        check_srt(row, root)

    def subtitle_text(self, sample: Sample, shown: Shown, *, once: bool = False) -> str:
        path = shown.root / str(sample.row["subtitle_path"])
        if once:
            return subtitles_once(path, shown.clip.timestamps)
        return shown_subtitles(path, shown.clip.frame_numbers, shown.clip.fps)

    def prompt(self, sample: Sample, shown: Shown) -> tuple[Part, ...]:
        told = FRAMES
        if shown.subtitles:
            told = SUBTITLED.format(self.subtitle_text(sample, shown))
        options = "\n".join(self.published_options(sample.row)) or dotted(sample.candidates)
        question = f"Question: {sample.question}\n{options}\nAnswer: "
        return (Text(text=""), *self.frames_or_video(shown), Text(text=told), Text(text=question))


def _row(index: int, record: Mapping[str, object]) -> Row:
    video = record["videoID"]
    return as_row(
        index,
        {
            "index": index,
            "video": video,
            "video_path": f"./video/{video}.mp4",
            "duration": record["duration"],
            "domain": record["domain"],
            "candidates": record["options"],
            "sub_category": record["sub_category"],
            "task_type": record["task_type"],
            "subtitle_path": f"./subtitle/{video}.srt",
            "question": record["question"],
            "answer": record["answer"],
        },
    )
