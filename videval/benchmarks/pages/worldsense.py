"""WorldSense: Evaluating Real-world Omnimodal Understanding for Multimodal LLMs.

Jack Hong, Shilin Yan, Jiayin Cai, Xiaolong Jiang, Yao Hu, Weidi Xie. 2025. https://arxiv.org/abs/2502.04326

What is asked: questions with four options about 1,662 videos whose sound matters, in eight domains.
What is shown: frames (visual), with `_subs` also subtitles. The audio setting is not supported: there is no sound
in a clip.
Subtitles: for a model that takes images those at its frames; for a model that takes a video those of one frame a
second over the whole video (VLMEvalKit's rule).
How it is scored: the letter that was said; by duration, domain, sub-category, task domain, task and audio class, of
which a question counts in each of its own.
"""

from collections.abc import Mapping, Sequence
from json import loads
from pathlib import Path
from typing import Any

from videval.benchmarks.base import Shown
from videval.benchmarks.published import Archive, Download, PublishedBenchmark, Row, as_row
from videval.benchmarks.subtitles import FRAMES, SUBTITLED, check_srt, shown_subtitles, subtitles_once
from videval.errors import DataMissing, InvalidTable
from videval.scorers.options import listed
from videval.types import Part, PromptSet, Sample, Scalar, Text

__all__ = ["WorldSense"]

_SYSTEM = (
    "Carefully watch this video and pay attention to every detail. Based on your observations, select the best "
    "option that accurately addresses the question."
)


class WorldSense(PublishedBenchmark):
    """Four-option questions about videos with sound; visual only or with subtitles."""

    name = "WorldSense"
    title = "WorldSense: Evaluating Real-world Omnimodal Understanding for Multimodal LLMs"
    authors = "Hong, Yan, Cai, Jiang, Hu, Xie"
    paper = "https://arxiv.org/abs/2502.04326"
    license = "CC-BY-NC-SA-4.0"
    questions = 3172
    videos = 1662
    scorer = "letter"
    vlmevalkit = "worldsense"
    groups = ("duration", "domain", "sub_category", "task_domain", "task_type", "audio_class")
    lettered = True
    subtitle_folder = "subtitles"
    supports_subtitles = True
    prompt_sets = (PromptSet.PAPER, PromptSet.VLMEVALKIT)
    max_new_tokens = 1024
    published = (
        "WorldSense_8frame",
        "WorldSense_8frame_subs",
        "WorldSense_32frame",
        "WorldSense_32frame_subs",
        "WorldSense_1fps",
        "WorldSense_1fps_subs",
        "WorldSense_0.5fps",
        "WorldSense_0.5fps_subs",
    )

    downloads = (Download(repo="honglyhly/WorldSense"),)
    sources = ("worldsense_qa.json",)
    archives = (
        Archive(pattern="worldsense_videos*.zip", into="videos", flat=True),
        Archive(pattern="worldsense_subtitles.zip", into="subtitles", flat=True),
    )
    md5 = "bfc25490be4080aa5494b883370b6b1f"

    def build(self, root: Path) -> list[Row]:
        path = root / self.sources[0]
        if not path.is_file():
            raise DataMissing(f"{path}: there is no such file", hint=f"videval prepare {self.name}")
        try:
            asked = [
                _columns(video, about, about[task])
                for video, about in loads(path.read_text(encoding="utf-8")).items()
                for task in about
                if "task" in task
            ]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidTable(str(path), [f"is not as published: {error!r}"]) from error
        return [as_row(i, {"index": i, **columns}) for i, columns in enumerate(asked)]

    def video_path(self, row: Mapping[str, Scalar], root: Path) -> str:
        return f"videos/{row['video']}.mp4"

    def groups_of(self, column: str, value: str) -> tuple[str, ...]:
        return tuple(listed(value)) if column == "audio_class" else (value,)

    def check_subtitles(self, row: Mapping[str, Scalar], root: Path) -> None:
        check_srt(row, root)

    def subtitle_text(self, sample: Sample, shown: Shown, *, once: bool = False) -> str:
        path = shown.root / str(sample.row["subtitle_path"])
        if once:
            return subtitles_once(path, shown.clip.timestamps)
        return shown_subtitles(path, _heard(shown), shown.clip.fps)

    def prompt(self, sample: Sample, shown: Shown) -> tuple[Part, ...]:
        told = FRAMES
        if shown.subtitles:
            told = SUBTITLED.format(self.subtitle_text(sample, shown))
        options = "\n".join(self.published_options(sample.row))
        return (
            Text(text=_SYSTEM),
            *self.frames_or_video(shown),
            Text(text=told),
            Text(text=f"Question: {sample.question}\n{options}\nAnswer: "),
        )


def _heard(shown: Shown) -> Sequence[int]:
    """The frame numbers whose subtitles are told."""
    if shown.form == "frames":
        return shown.clip.frame_numbers
    return range(0, shown.clip.total_frames - 1, max(1, int(shown.clip.fps)))


def _columns(video: str, about: Mapping[str, Any], task: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "video": video,
        "video_path": f"./videos/{video}.mp4",
        "duration": about["duration"],
        "domain": about["domain"],
        "candidates": task["candidates"],
        "sub_category": about["sub_category"],
        "audio_class": about["audio_class"],
        "task_domain": task["task_domain"],
        "task_type": task["task_type"],
        "subtitle_path": f"./subtitles/{video}.srt",
        "audio_path": f"./audios/{video}.wav",
        "video_caption": about["video_caption"],
        "question": task["question"],
        "answer": task["answer"],
    }
