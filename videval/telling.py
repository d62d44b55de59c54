"""Prompts of models and benchmarks that are VLMEvalKit's own: messages, which name files."""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from videval.asking import is_pack
from videval.benchmarks.base import Benchmark
from videval.db.records import RunConfig
from videval.errors import VideoFailure
from videval.models.messages import Question, Told, parts_of, told, unread
from videval.types import Clip, ClipRef, Prompt, Sample

__all__ = ["foreign_prompt", "question_of", "told_prompt", "unread_clip"]


def unread_clip(files: Callable[[str], Path], ref: ClipRef) -> Clip:
    """The record of a video that the model reads by itself. VideoFailure if it is not there."""
    path = files(ref.video)
    if not path.exists():
        raise VideoFailure(f"{path}: the video is not there")
    return unread(str(path))


def told_prompt(prompt: Prompt, samples: Sequence[Sample], key: str, run: RunConfig, bench: Benchmark) -> Told:
    """A page's prompt for a model that is told messages: the message is made of it where the model is."""
    spans = tuple(ref.span for ref in samples[0].shown) if run.form == "video" else ()
    own = {field.name: getattr(prompt, field.name) for field in fields(prompt)}
    return Told(
        **own, dataset=bench.name, question=question_of(samples, key, run, spans=spans, folder_fps=bench.folder_fps)
    )


def foreign_prompt(
    key: str,
    samples: Sequence[Sample],
    run: RunConfig,
    bench: Benchmark,
    get: Callable[[Path], Clip],
) -> Prompt:
    """What a benchmark of another toolkit says, as a message, or as a prompt with clips that `get` decodes and holds.

    Raises VideoFailure, EnvironmentProblem.
    """
    message, dataset = bench.message(samples, pack=is_pack(key), video_llm=run.form == "video")
    if run.spec.told:
        return replace(told(message, dataset=dataset), question=question_of(samples, key, run, source=run.benchmark))
    parts, clips = parts_of(message, lambda path: get(Path(path)))
    return Prompt(parts=parts, clips=clips, pixels=(run.spec.pixels,) * len(clips) if run.spec.resizes else ())


def question_of(samples: Sequence[Sample], key: str, run: RunConfig, **more: Any) -> Question:
    """What a model that is told messages may want to know of a request; `more`: fields of a Question."""
    return Question(
        row=samples[0].row,
        nframe=run.sampling.num_frames or 0,
        fps=run.sampling.fps or 0.0,
        kind="Video-MCQ" if samples[0].candidates else "Video-VQA",
        pack=is_pack(key),
        **more,
    )
