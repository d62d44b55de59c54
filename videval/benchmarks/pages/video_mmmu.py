"""Video-MMMU: Evaluating Knowledge Acquisition from Multi-Discipline Professional Videos.

Kairui Hu, Penghao Wu, Fanyi Pu, Wang Xiao, Yuanhan Zhang, Xiang Yue, Bo Li, Ziwei Liu. 2025.
https://arxiv.org/abs/2501.13826

What is asked: 900 questions about 300 lectures in three steps: Perception, Comprehension, Adaptation.
What is shown: n frames, evenly spaced without the ends, or frames at a rate; in Adaptation then the question's own
image. The model is told to end with `Answer: {Your final answer}`.
How it is scored: by what follows the last `Answer:`; options by the letter, open answers by MMMU's rule: right if the
right answer stands in it, numbers to two decimals. By category.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from videval.benchmarks.base import Shown
from videval.benchmarks.prompts import LETTERS, dotted
from videval.benchmarks.published import (
    Archive,
    Download,
    PublishedBenchmark,
    Row,
    as_row,
    read_records,
)
from videval.types import Image, ModelSpec, Part, PromptSet, Sample, Scalar, Text, Variant

__all__ = ["VideoMMMU"]

_ADAPT = "You should watch and learn the video content. Then apply what you learned to answer the following {} "
_IMAGE = "question. The image for this question is at the end of the video.\n"
_IGNORE = "\nPlease ignore the Quiz question in last frame of the video."
_END = "\nAdd `Answer: {Your final answer}` at the end of your reply."
_CATEGORIES = ("Adaptation", "Comprehension", "Perception")
_KEYS = ("id", "question", "options", "answer", "question_type")


class VideoMMMU(PublishedBenchmark):
    """Learning from lectures: perceive, comprehend, apply."""

    name = "VideoMMMU"
    title = "Video-MMMU: Evaluating Knowledge Acquisition from Multi-Discipline Professional Videos"
    authors = "Hu, Wu, Pu, Xiao, Zhang, Yue, Li, Liu"
    paper = "https://arxiv.org/abs/2501.13826"
    questions = 900
    videos = 300
    size_gb = 13.4
    scorer = "final_choice"
    vlmevalkit = "videommmu"
    groups = ("category",)
    lettered = True
    prompt_sets = (PromptSet.PAPER, PromptSet.VLMEVALKIT)
    max_new_tokens = 1024
    published = ("VideoMMMU_8frame", "VideoMMMU_64frame", "VideoMMMU_1fps", "VideoMMMU_0.5fps")

    downloads = (Download(repo="lmms-lab/VideoMMMU", also=("lmms-eval/VideoMMMU",)),)
    sources = tuple(f"{category}/test-00000-of-00001.parquet" for category in _CATEGORIES)
    archives = (Archive(pattern="*.zip", into="videos"),)

    def build(self, root: Path) -> list[Row]:
        videos = _videos(root)
        asked = [
            _columns(category, record, videos)
            for category, source in zip(_CATEGORIES, self.sources, strict=True)
            for record in read_records(root / source, _KEYS)
        ]
        return [as_row(i, {"index": i, **columns}) for i, columns in enumerate(asked)]

    def files(self, root: Path) -> Iterator[tuple[str, bytes]]:
        """The images of the Adaptation questions, which are published inside the parquet file."""
        for record in read_records(root / self.sources[0], _KEYS):
            image = record.get("image")
            if isinstance(image, dict) and image.get("bytes"):
                yield f"images/{image['path']}", image["bytes"]

    def video_path(self, row: Mapping[str, Scalar], root: Path) -> str:
        return str(row["video"])

    def published_options(self, row: Mapping[str, Scalar]) -> tuple[str, ...]:
        if row.get("question_type") == "open":
            return ()
        return super().published_options({"candidates": row.get("options")})

    def scorer_for(self, sample: Sample) -> str | None:
        if sample.answer is None:
            return None
        return "final_choice" if sample.candidates else "open_answer"

    def remarks(
        self, samples: Sequence[Sample], variant: Variant, spec: ModelSpec, prompts: PromptSet
    ) -> Iterator[str]:
        with_image = sum(s.row["category"] == "Adaptation" for s in samples)
        if with_image and not spec.images:
            lost = "cannot be answered" if prompts == PromptSet.PAPER else "are asked without it, as VLMEvalKit does"
            told = f"{with_image} of {len(samples)} questions (Adaptation) show an image of their own"
            yield f"{told}, and {spec.name} takes a video only: they {lost}"

    def prompt(self, sample: Sample, shown: Shown) -> tuple[Part, ...]:
        clip = self.frames_or_video(shown)
        question = f"{sample.question}\n{_lettered(self.published_options(sample.row))}"
        if sample.row["category"] != "Adaptation":
            return (*clip, Text(text=f"{question}{_IGNORE}{_END}"))
        kind = "multi-choice" if sample.row["question_type"] == "multiple-choice" else "open-ended"
        question = question if kind == "multi-choice" else sample.question
        told = f"{_ADAPT.format(kind)}{_IMAGE}{question}{_END}"
        return (*clip, Image(path=str(sample.row["image"])), Text(text=told))


def _lettered(options: tuple[str, ...]) -> str:
    """The options with their letters, which some of them are published with."""
    published = all(option.startswith(f"{a}.") for option, a in zip(options, LETTERS, strict=False))
    return "\n".join(options) if published else dotted(options)


def _videos(root: Path) -> dict[str, str]:
    """Video id -> its path; the folders named question_only hold stills."""
    found = sorted((root / "videos").glob("**/*.mp4"))
    paths = [path.relative_to(root).as_posix() for path in found]
    return {Path(path).stem: path for path in paths if "question_only" not in path}


def _columns(category: str, record: Mapping[str, Any], videos: Mapping[str, str]) -> dict[str, Any]:
    image = record.get("image")
    return {
        "id": record["id"],
        "category": category,
        "question": record["question"],
        "options": json.dumps(list(record["options"]), ensure_ascii=False),
        "answer": record["answer"],
        "question_type": record["question_type"],
        "video": videos.get(record["id"], f"videos/{record['id']}.mp4"),
        "image": f"images/{image['path']}" if isinstance(image, dict) else None,
    }
