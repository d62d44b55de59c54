"""Whether the longest videos fit into what a model takes, counted before anybody asks it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videval.errors import ModelFailure, UsageError, VideoFailure
from videval.models.budget import AT_MOST, RULES, Processing, most_tokens, processing_of, visual_tokens
from videval.models.cards import processors
from videval.models.checkpoints import here, read_json
from videval.models.families import Family, family_of
from videval.types import ClipRef, FrameSampling, ModelSpec, Pixels, Sample
from videval.video.sampling import choose_frames, pixels_for, pixels_of_any, seconds_shown

if TYPE_CHECKING:  # a worker counts nothing, and imports no decoder
    from videval.video.readers import VideoInfo

__all__ = ["Asking", "context_of", "largest_videos", "looked_at", "too_long"]

MOST_LOOKED_AT = 64
"""Videos of a benchmark that are opened to be counted: the largest files, which are the longest or near it."""
TEMPLATE = 100
"""Tokens of a chat template and of the words around a question, at most."""
A_MARK = 12
"""Tokens of a time or of a mark that stands before a frame, at most."""
BYTES_PER_TOKEN = 3
"""Of English text a tokenizer makes fewer tokens than a third of its bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asking:
    """What is asked of a model: questions about videos below `root`, frames, limits in pixels, the answer's length."""

    samples: Sequence[Sample]
    root: Path
    sampling: FrameSampling
    pixels: Pixels
    new_tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Need:
    """What one question needs, in tokens; `frames` of all its clips."""

    sample: Sample
    frames: int
    visual: int
    text: int
    new: int

    @property
    def tokens(self) -> int:
        return self.visual + self.text + self.new


@dataclass(frozen=True, kw_only=True, slots=True)
class _Counter:
    """Counts what questions need of one model."""

    model_type: str
    processing: Processing
    asking: Asking

    def need(self, sample: Sample) -> _Need | None:
        """What it needs; None if one of its videos cannot be read or shown."""
        clips = [self._clip(ref) for ref in sample.shown]
        if any(clip is None for clip in clips):
            return None
        counted = [clip for clip in clips if clip is not None]
        return self._sum(sample, [frames for frames, _ in counted], [tokens for _, tokens in counted])

    def most(self, sample: Sample) -> _Need | None:
        """The most it can need, whatever its videos are; None if the number of their frames is not bound, or so many
        cannot be kept within the limits."""
        samplings = [ref.sampling or self.asking.sampling for ref in sample.shown]
        bounds = [(sampling, _bound(sampling)) for sampling in samplings]
        known = [(sampling, bound) for sampling, bound in bounds if bound is not None]
        if len(known) < len(bounds):
            return None
        try:
            tokens = [self._most(sampling, frames) for sampling, frames in known]
        except ModelFailure:
            return None
        return self._sum(sample, [frames for _, frames in known], tokens)

    def _most(self, sampling: FrameSampling, frames: int) -> int:
        """The most tokens of so many frames, by whichever rule for lengths."""
        every = pixels_of_any(self.asking.pixels, sampling)
        return max(most_tokens(self.model_type, self.processing, pixels, frames=frames) for pixels in every)

    def _clip(self, ref: ClipRef) -> tuple[int, int] | None:
        info = looked_at(self.asking.root / ref.video)
        if info is None:
            return None
        try:
            sampling = ref.sampling or self.asking.sampling
            chosen = choose_frames(info.total_frames, info.fps, sampling, ref.span)
            seconds = seconds_shown(info.total_frames, info.fps, chosen.span_frames)
            pixels = pixels_for(self.asking.pixels, sampling, seconds)
            of = {"frames": len(chosen.indices), "height": info.height, "width": info.width}
            return len(chosen.indices), visual_tokens(self.model_type, self.processing, pixels, **of)
        except (ModelFailure, VideoFailure):
            return None

    def _sum(self, sample: Sample, frames: Sequence[int], tokens: Sequence[int]) -> _Need:
        said = " ".join([sample.question, *sample.candidates]).encode()
        family = family_of(self.model_type) or Family()
        marked = bool(family.time_mark or family.frame_mark or family.form == "frames")
        text = TEMPLATE + len(said) // BYTES_PER_TOKEN + A_MARK * sum(frames) * marked
        return _Need(sample=sample, frames=sum(frames), visual=sum(tokens), text=text, new=self.asking.new_tokens)


def context_of(spec: ModelSpec) -> int | None:
    """How many tokens a model takes, by its entry or its config.json; None if neither says so."""
    if spec.context is not None:
        return spec.context
    folder = here(spec)
    return _positions(read_json(folder / "config.json")) if folder else None


def too_long(spec: ModelSpec, asking: Asking) -> list[str]:
    """A remark on questions that are too long for a model, with the numbers; UsageError if all are, even without text.

    Nothing is said of a model of which too little is known to count.
    """
    limit, counter = context_of(spec), _counter(spec, asking)
    if limit is not None and asking.new_tokens >= limit:
        raise UsageError(
            f"answers may have {asking.new_tokens:,} tokens, and {spec.name} takes {limit:,} with the question",
            hint=f"--max-new-tokens {max(1, limit // 8)}",
        )
    if limit is None or counter is None or not asking.samples:
        return []
    try:
        bounds = [counter.most(sample) for sample in asking.samples]
        if all(bound is not None and bound.tokens <= limit for bound in bounds):
            return []
        needs = list(_needs(counter))
    except LookupError:
        return []
    over = [need for need in needs if need.tokens > limit]
    if not over:
        return []
    said, hint = _said(spec, limit, max(over, key=lambda need: need.tokens), len(over), len(needs))
    sure = counter.model_type not in AT_MOST and all(need.visual + need.new > limit for need in over)
    if sure and len(over) == len(asking.samples):
        raise UsageError(f"{spec.name} cannot be asked these questions: {said}", hint=hint)
    return [f"{said}: they {'will' if sure else 'may'} fail -> {hint}"]


def largest_videos(asking: Asking) -> set[str]:
    """The videos that are looked at, for all."""
    videos = {ref.video for sample in asking.samples for ref in sample.shown}
    return set(sorted(videos, key=lambda video: (-_bytes(asking.root / video), video))[:MOST_LOOKED_AT])


def _counter(spec: ModelSpec, asking: Asking) -> _Counter | None:
    folder = here(spec)
    model_type = spec.family or str(read_json(folder / "config.json").get("model_type", "") if folder else "")
    if model_type not in RULES:
        return None
    processing = processing_of(model_type, folder, processors().get(model_type, {}))
    return _Counter(model_type=model_type, processing=processing, asking=asking)


def _needs(counter: _Counter) -> Iterator[_Need]:
    """What the questions about the largest videos need."""
    asking = counter.asking
    largest = largest_videos(asking)
    for sample in asking.samples:
        if {ref.video for ref in sample.shown} <= largest and (need := counter.need(sample)) is not None:
            yield need


def _said(spec: ModelSpec, limit: int, worst: _Need, over: int, counted: int) -> tuple[str, str]:
    per_frame = worst.visual / worst.frames
    fit = max(0, math.floor((limit - worst.text - worst.new) / max(per_frame, 1)))
    said = (
        f"{over} of {counted} questions about the largest videos are too long for {spec.name}: {worst.sample.video} is "
        f"{worst.frames} frames x {per_frame:,.1f} tokens + about {worst.text:,} of text + {worst.new:,} new ones = "
        f"{worst.tokens:,}, and it takes {limit:,}"
    )
    fewer = f"at most {fit} frames" if fit else "shorter answers (--max-new-tokens)"
    return said, f"{fewer}, or smaller ones (--max-pixels)" if spec.resizes else fewer


def _bound(sampling: FrameSampling) -> int | None:
    """The most frames that a sampling gives; None if that depends on the video."""
    ways = [(sampling.num_frames, sampling.max_frames)]
    for rule in sampling.by_length:
        by_rate = None if rule.fps is not None else sampling.num_frames
        ways.append((rule.num_frames or by_rate, rule.max_frames or sampling.max_frames))
    bounds = [count or cap for count, cap in ways]
    known = [bound for bound in bounds if bound is not None]
    return max(known) if len(known) == len(bounds) else None


def _positions(config: Mapping[str, Any]) -> int | None:
    """The positions that the part of a model has which reads text."""
    thinker = config.get("thinker_config", config)
    found = thinker.get("text_config", thinker).get("max_position_embeddings")
    return found if isinstance(found, int) else None


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


@lru_cache(maxsize=4 * MOST_LOOKED_AT)
def looked_at(path: Path) -> "VideoInfo | None":
    """What a video is; None for one that cannot be read, which its own requests will say."""
    from videval.video.decode import probe

    try:
        return probe(path)
    except VideoFailure:
        return None
