"""LVBench: An Extreme Long Video Understanding Benchmark.

Weihan Wang, Zehai He, Wenyi Hong, Yean Cheng, Xiaohan Zhang, Ji Qi, Xiaotao Gu, Shiyu Huang, Bin Xu, Yuxiao Dong,
Ming Ding, Jie Tang. ICCV 2025. https://arxiv.org/abs/2406.08035

What is asked: 1,549 questions with four options about 103 videos of half an hour to over two hours, in six
capabilities (entity recognition, event understanding, key information retrieval, temporal grounding, reasoning,
summarization).
What is shown: n frames, evenly spaced with both ends, or frames at a rate; then the question.
How it is scored: the letter that was said; by the videos' type and by capability: a question counts in each of its
own (`question_type` holds a list).

VLMEvalKit has no loader for it. The questions carry their options in their text; closing line and frames are those of
lmms-eval 75571cf (2026-08-06). Protocol 1, until videval 0.1, left the ends of the video out. The data set holds no
videos: put them below `videos/`, by YouTube key.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from videval.benchmarks.base import Shown
from videval.benchmarks.published import Download, PublishedBenchmark, Row, as_row, read_records
from videval.errors import InvalidTable
from videval.scorers.options import listed
from videval.types import Part, PromptSet, Sample, Scalar, Text

__all__ = ["LVBench"]

_ASK = "\nAnswer the question with the option letter"
_OPTION = re.compile(r"^\(([A-Z])\)\s*(.*)$", re.MULTILINE)


class LVBench(PublishedBenchmark):
    """Four-option questions about videos of an hour and more."""

    name = "LVBench"
    title = "LVBench: An Extreme Long Video Understanding Benchmark"
    authors = "Wang, He, Hong, Cheng, Zhang, Qi, Gu, Huang, Xu, Dong, Ding, Tang"
    paper = "https://arxiv.org/abs/2406.08035"
    license = "CC-BY-NC-SA-4.0"
    questions = 1549
    videos = 103
    scorer = "letter"
    groups = ("type", "question_type")
    frame_policy = "uniform"
    prompt_sets = (PromptSet.PAPER, PromptSet.LMMS_EVAL)
    protocol_version = 2
    published = ("LVBench_8frame", "LVBench_64frame", "LVBench_1fps")

    not_included = "the data set holds no videos: put them below videos/, by YouTube key"
    downloads = (Download(repo="zai-org/LVBench"),)
    sources = ("video_info.meta.jsonl",)

    def build(self, root: Path) -> list[Row]:
        path = root / self.sources[0]
        asked = [(record, qa) for record in read_records(path, ("key", "qa")) for qa in record["qa"]]
        try:
            return [
                as_row(
                    i,
                    {
                        "index": i,
                        "video": record["key"],
                        "type": record.get("type"),
                        "uid": qa["uid"],
                        "question": qa["question"],
                        "answer": qa["answer"],
                        "question_type": qa["question_type"],
                        "time_reference": qa.get("time_reference"),
                    },
                )
                for i, (record, qa) in enumerate(asked)
            ]
        except (KeyError, TypeError) as error:
            raise InvalidTable(str(path), [f"is not as published: {error!r}"]) from error

    def video_path(self, row: Mapping[str, Scalar], root: Path) -> str:
        return f"videos/{row['video']}.mp4"

    def groups_of(self, column: str, value: str) -> tuple[str, ...]:
        return tuple(listed(value)) if column == "question_type" else (value,)

    def options(self, row: Mapping[str, Scalar]) -> tuple[str, ...]:
        """The lines of the question that begin with a letter in brackets."""
        found = _OPTION.findall(str(row["question"]))
        if [letter for letter, _ in found] != [chr(ord("A") + i) for i in range(len(found))]:
            raise ValueError(f"the options are not lettered from A: {[letter for letter, _ in found]}")
        return tuple(text.strip() for _, text in found)

    def bare_question(self, sample: Sample) -> str:
        return _OPTION.sub("", sample.question).strip()

    def prompt(self, sample: Sample, shown: Shown) -> tuple[Part, ...]:
        return (*self.frames_or_video(shown), Text(text=f"{sample.question}{_ASK}"))
