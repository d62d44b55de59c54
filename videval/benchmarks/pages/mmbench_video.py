"""MMBench-Video: A Long-Form Multi-Shot Benchmark for Holistic Video Understanding.

Xinyu Fang, Kangrui Mao, Haodong Duan, Xiangyu Zhao, Yining Li, Dahua Lin, Kai Chen. NeurIPS 2024.
https://arxiv.org/abs/2406.14515

What is asked: free-form questions about YouTube videos of up to six minutes, in 26 fine capabilities.
What is shown: n frames, evenly spaced without the ends, or frames at a rate. A model that takes a video gets the
bare question and then the video.
Pack: all questions of one video at once, as a JSON object under the questions' indices; the answer is one, too.
How it is scored: an LLM judge gives 0 to 3 for each answer; no rule stands in for it.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from videval.benchmarks.base import NO_SCORER, Shown
from videval.benchmarks.published import Archive, Download, PublishedBenchmark
from videval.scorers.options import listed
from videval.types import Part, PromptSet, Sample, Scalar, Text

__all__ = ["MMBenchVideo"]

_SHOWN = (
    "\nYou will be provided with {} separate frames uniformly sampled from a video, the frames are provided in "
    "chronological order of the video.\n"
)
_ONE = (
    f"{_SHOWN}Please analyze these images and provide the answer to the question about the video content.\n"
    "Please directly reply with your response to the only question.\n"
)
_PACK = (
    f"You are an AI assistant responsible for answering questions about videos.{_SHOWN}"
    "Please analyze these images and provide the answer / answers to the following question / questions about the "
    "video content.\n"
    "If multiple questions are provided (with indices I1, I2, I3, ...), you should organize your answers in the "
    "following json format:\n"
    "{{\n    'I1': 'Answer to Question I1',\n    'I2': 'Answer to Question I2',\n    ...\n}}\n"
    "Otherwise, please directly reply with your response to the only question.\n"
    "Even if the information in these separate frames is not enough to give an answer,\n"
    "PLEASE GIVE A RESPONSE TO EACH OF THE QUESTIONS IN THE FORMAT DESCRIBED ABOVE.\n"
)


class MMBenchVideo(PublishedBenchmark):
    """Free-form questions about long videos; judged."""

    name = "MMBench-Video"
    stem = "MMBench_Video"
    unpacked_suffix = "_nopack"
    title = "MMBench-Video: A Long-Form Multi-Shot Benchmark for Holistic Video Understanding"
    authors = "Fang, Mao, Duan, Zhao, Li, Lin, Chen"
    paper = "https://arxiv.org/abs/2406.14515"
    license = "CC-BY-4.0"
    questions = 1998
    videos = 609
    size_gb = 13.4
    scorer = NO_SCORER
    needs = "an LLM judge that gives 0 to 3 (the paper's is GPT-4)"
    groups = ("dimensions",)
    supports_pack = True
    prompt_sets = (PromptSet.PAPER, PromptSet.VLMEVALKIT)
    published = (
        "MMBench_Video_8frame_nopack",
        "MMBench_Video_8frame_pack",
        "MMBench_Video_16frame_nopack",
        "MMBench_Video_64frame_nopack",
        "MMBench_Video_64frame_pack",
        "MMBench_Video_1fps_nopack",
        "MMBench_Video_1fps_pack",
    )

    downloads = (Download(repo="opencompass/MMBench-Video"),)
    archives = (Archive(pattern="video_pkl/*.pkl", into="video"),)
    md5 = "98f7df3eb1007fc375ea6fe88a98e2ff"

    def video_path(self, row: Mapping[str, Scalar], root: Path) -> str:
        return f"video/{Path(str(row['video_path'])).name}"

    def groups_of(self, column: str, value: str) -> tuple[str, ...]:
        return tuple(listed(value))

    def options(self, row: Mapping[str, Scalar]) -> tuple[str, ...]:
        return ()

    def prompt(self, sample: Sample, shown: Shown) -> tuple[Part, ...]:
        clip = self.frames_or_video(shown)
        if shown.form == "video":
            return (Text(text=sample.question), *clip)
        return (
            Text(text=_ONE.format(shown.clip.num_frames)),
            *clip,
            Text(text=f"Question: {sample.question}\nAnswer: "),
        )

    def pack_prompt(self, samples: Sequence[Sample], shown: Shown) -> tuple[Part, ...]:
        asked = json.dumps({sample.id: sample.question for sample in samples})
        return (
            Text(text=_PACK.format(shown.clip.num_frames)),
            *self.frames_or_video(shown),
            Text(text=f"Questions: \n{asked}\nAnswers: \n"),
        )
