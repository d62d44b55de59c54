"""How a recipe puts a question in place of the benchmark's page: what was published, with the question put in."""

import re
from collections.abc import Iterator, Mapping

from videval.benchmarks.base import Benchmark, Shown
from videval.benchmarks.prompts import LETTERS
from videval.errors import UsageError
from videval.types import Frame, Image, Part, Sample, Text, Variant, Wording

__all__ = ["PLACES", "check_wording", "worded"]

PLACES = ("question", "options", "subtitles", "duration", "frames", "times", "letter", "text", "n", "time", "frame")
"""What may stand in braces in a wording; `videval.types.Wording` says for what."""


def check_wording(wording: Wording, benchmark: Benchmark, variant: Variant) -> None:
    """Raise UsageError unless the questions of this variant can be worded so."""
    if variant.pack:
        raise UsageError(
            f"{variant.name}: a recipe words single questions", hint=f"use {variant.name.removesuffix('_pack')}"
        )
    if variant.subtitles and benchmark.subtitles_need_frames:
        raise UsageError(
            f"{benchmark.name} puts its subtitles between the frames", hint="use the variant without _subs"
        )
    if variant.subtitles and "{subtitles}" not in wording.text:
        raise UsageError(f"{variant.name}: the recipe's wording has no subtitles", hint="{subtitles} in its text")


def worded(wording: Wording, benchmark: Benchmark, sample: Sample, shown: Shown) -> tuple[Part, ...]:
    """The clips of a question, its images and sounds, then the wording's text around the question."""
    before = (Text(text=wording.system, role="system"),) if wording.system else ()
    behind = (Text(text=wording.prefix, role="assistant"),) if wording.prefix else ()
    clips = [part for number in range(len(shown.clips)) for part in _clip(wording, benchmark, shown, number)]
    beside = (*(Image(path=path) for path in sample.images), *sample.sounds)
    said = _put(wording.text, _values(wording, benchmark, sample, shown))
    return (*before, *clips, *beside, Text(text=said), *behind)


def _clip(wording: Wording, benchmark: Benchmark, shown: Shown, number: int) -> Iterator[Part]:
    """A clip as the model takes it; as images, each with its mark."""
    for part in benchmark.frames_or_video(shown, number):
        if not (isinstance(part, Frame) and wording.frame_mark):
            yield part
            continue
        time = shown.clips[number].timestamps[part.position]
        mark = _put(wording.frame_mark, {"n": str(part.position + 1), "time": f"{time:.2f}"})
        before, _, behind = mark.partition("{frame}")
        yield Text(text=before)
        yield part
        if behind:
            yield Text(text=behind)


def _values(wording: Wording, benchmark: Benchmark, sample: Sample, shown: Shown) -> dict[str, str]:
    clip = shown.clip
    spoken = benchmark.subtitle_text(sample, shown, once=wording.subtitles_once) if shown.subtitles else ""
    options = zip(LETTERS, sample.candidates, strict=False)
    return {
        "question": benchmark.bare_question(sample),
        "options": wording.joined.join(_put(wording.option, {"letter": o, "text": text}) for o, text in options),
        "subtitles": _put(wording.subtitled, {"subtitles": spoken}) if spoken else "",
        "duration": f"{(clip.span_frames or clip.total_frames) / clip.fps:.2f}",
        "frames": str(clip.num_frames),
        "times": ",".join(f"{time:.2f}s" for time in clip.timestamps),
    }


def _put(text: str, values: Mapping[str, str]) -> str:
    """The text with each place filled once: what is put in is words, also if it has braces."""
    return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], found[0]), text)
