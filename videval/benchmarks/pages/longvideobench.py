"""LongVideoBench: A Benchmark for Long-context Interleaved Video-Language Understanding.

Haoning Wu, Dongxu Li, Bei Chen, Junnan Li. NeurIPS 2024. https://arxiv.org/abs/2407.15754

What is asked: referred reasoning questions with up to five options about videos of 8 seconds to one hour, many of
them about what is said at a moment.
What is shown: n frames, evenly spaced without the ends, or frames at a rate; with `_subs` the subtitles stand
between the frames: each after the frames up to its middle, and only if a frame falls into it (an event of less than
a second counts as one second around its middle). Subtitles therefore need a model that takes frames; the prompt set
`vlmevalkit` leaves them out for one that takes a video, as VLMEvalKit e8e78f0 (2026-08-18) does.
How it is scored: the letter that was said; by duration, question and topic.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from videval.benchmarks.base import Shown
from videval.benchmarks.prompts import LETTERS, dotted, letter_of
from videval.benchmarks.published import (
    Archive,
    Download,
    PublishedBenchmark,
    Row,
    as_row,
    read_records,
)
from videval.errors import UsageError, VideoFailure
from videval.types import Frame, ModelSpec, Part, PromptSet, Sample, Scalar, Text, Variant

__all__ = ["LongVideoBench"]

_KEYS = ("video_id", "video_path", "question", "candidates", "correct_choice", "subtitle_path", "duration")
_ASK = "\nAnswer with the option's letter from the given choices directly."


class LongVideoBench(PublishedBenchmark):
    """Questions about long videos, with subtitles between the frames."""

    name = "LongVideoBench"
    title = "LongVideoBench: A Benchmark for Long-context Interleaved Video-Language Understanding"
    authors = "Wu, Li, Chen, Li"
    paper = "https://arxiv.org/abs/2407.15754"
    license = "CC-BY-NC-SA-4.0"
    questions = 1337
    videos = 753
    size_gb = 161.6
    scorer = "letter"
    vlmevalkit = "longvideobench"
    groups = ("duration_group", "question_category", "topic_category")
    supports_subtitles = True
    subtitles_need_frames = True
    subtitle_folder = "subtitles"
    prompt_sets = (PromptSet.PAPER, PromptSet.VLMEVALKIT)
    published = (
        "LongVideoBench_8frame",
        "LongVideoBench_8frame_subs",
        "LongVideoBench_64frame",
        "LongVideoBench_1fps",
        "LongVideoBench_0.5fps",
        "LongVideoBench_0.5fps_subs",
    )

    downloads = (Download(repo="longvideobench/LongVideoBench"),)
    sources = ("lvb_val.json",)
    archives = (
        Archive(pattern="videos.tar.part*"),
        Archive(pattern="videos.tar"),
        Archive(pattern="subtitles.tar"),
    )
    md5 = "82905eae3a5ae7383c5a8ee9655e1ab9"

    def build(self, root: Path) -> list[Row]:
        found = read_records(root / self.sources[0], _KEYS)
        return [
            as_row(
                i,
                {
                    **record,
                    "video_path": f"./videos/{record['video_path']}",
                    "index": i,
                    "video": record["video_id"],
                },
            )
            for i, record in enumerate(found)
        ]

    def video_path(self, row: Mapping[str, Scalar], root: Path) -> str:
        return str(row["video_path"]).removeprefix("./")

    def answer(self, row: Mapping[str, Scalar]) -> str | None:
        return letter_of(row.get("correct_choice"), "correct_choice", len(LETTERS))

    def check_subtitles(self, row: Mapping[str, Scalar], root: Path) -> None:
        try:
            _events(root, row)
        except VideoFailure as error:
            raise ValueError(str(error)) from error

    def subtitle_notes(self, samples: Sequence[Sample], root: Path) -> Iterator[str]:
        yield from ()

    def remarks(
        self, samples: Sequence[Sample], variant: Variant, spec: ModelSpec, prompts: PromptSet
    ) -> Iterator[str]:
        if variant.subtitles and spec.form == "video":
            yield f"{spec.name} takes a whole video: the subtitles are left out, as VLMEvalKit does"

    def prompt(self, sample: Sample, shown: Shown) -> tuple[Part, ...]:
        between = shown.subtitles and (shown.form == "frames" or shown.prompts != PromptSet.VLMEVALKIT)
        if between and shown.form == "video":
            raise UsageError(
                "LongVideoBench puts its subtitles between the frames; this model takes a video",
                hint="leave _subs away, or use a model that takes images",
            )
        clip = _interleaved(sample, shown) if between else self.frames_or_video(shown)
        question = f"{sample.question}\n{dotted(sample.candidates)}{_ASK}"
        return (Text(text=""), *clip, Text(text=question))


def _interleaved(sample: Sample, shown: Shown) -> tuple[Part, ...]:
    times = [number / shown.clip.fps for number in shown.clip.frame_numbers]
    offset, length = float(sample.row["starting_timestamp_for_subtitles"] or 0), sample.row["duration"]
    events = [_times(event, offset, length) for event in _events(shown.root, sample.row)]
    return tuple(_between(times, events))


def _between(times: Sequence[float], events: Sequence[tuple[float, float, str]]) -> Iterator[Part]:
    """Frames and texts in their order: a text stands after the frames up to the middle of its event."""
    shown = 0
    for start, end, text in events:
        middle = (start + end) / 2
        while shown < len(times) and times[shown] <= middle:
            yield Frame(position=shown)
            shown += 1
        if end - start < 1:
            start, end = middle - 0.5, middle + 0.5
        if any(start < time < end for time in times):
            yield Text(text=f"{text}\n")
    for position in range(shown, len(times)):
        yield Frame(position=position)


def _times(event: Mapping[str, Any], offset: float, length: Scalar) -> tuple[float, float, str]:
    """Start and end in seconds of the video, and the text; both forms in which the subtitles are published."""
    if "timestamp" in event:
        start, end = event["timestamp"]
        end = end if isinstance(end, float) else float(length or 0)
        return start - offset, end - offset, event["text"]
    return _seconds(event["start"]) - offset, _seconds(event["end"]) - offset, event["line"]


def _seconds(clock: str) -> float:
    hours, minutes, seconds = clock.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _events(root: Path, row: Mapping[str, Scalar]) -> list[Mapping[str, Any]]:
    path = root / "subtitles" / str(row["subtitle_path"])
    if not path.is_file():
        raise VideoFailure(f"{path}: the subtitle file is missing", hint="videval prepare LongVideoBench")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        for event in found:
            _times(event, 0.0, row.get("duration"))
    except UnicodeDecodeError as error:
        raise VideoFailure(f"{path}: the subtitles are not UTF-8 (byte {error.start})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise VideoFailure(f"{path}: cannot be read as subtitles: {error!r}") from error
    return list(found)
