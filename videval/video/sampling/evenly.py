"""The policies of benchmarks: so many frames of a stretch, or so many a second, as their harnesses choose them.

`interior`, `segment` and `rate` choose exactly what VLMEvalKit chooses (tests/golden/sampling.json), down to the order
of floating-point operations; `uniform` is numpy's linspace; `stride` is Video-LLaVA's own i*N/n.
"""

import numpy as np

from videval.types import FrameSampling
from videval.video.sampling.spans import ROUNDING, Clock, Span, Stretch

__all__ = ["by_clock", "interior", "midpoints", "rate", "segment", "segment_of_span", "stride", "uniform"]


def interior(part: Stretch, fps: float, wanted: FrameSampling) -> list[int]:
    """i*N/(n+1) for i = 1..n. Source: VLMEvalKit, VideoBaseDataset.save_video_frames."""
    count = wanted.num_frames or 0
    step = part.length / (count + 1)
    return [part.first + int(i * step) for i in range(1, count + 1)]


def uniform(part: Stretch, fps: float, wanted: FrameSampling) -> list[int]:
    """From the first frame to the last in equal steps."""
    return [part.first + int(i) for i in np.linspace(0, part.length - 1, wanted.num_frames or 0).astype(int)]


def stride(part: Stretch, fps: float, wanted: FrameSampling) -> list[int]:
    """i*N/n for i = 0..n-1. Source: the model card of Video-LLaVA-7B-hf, np.arange(0, N, N / 8)."""
    count = wanted.num_frames or 0
    step = part.length / count
    return [part.first + int(i * step) for i in range(count)]


def segment(part: Stretch, fps: float, wanted: FrameSampling) -> list[int]:
    """The midpoints of equal segments of a stretch; of a span by the mean rate see `segment_of_span`."""
    return midpoints(part.first, part.last, wanted.num_frames or 0)


def segment_of_span(total_frames: int, fps: float, count: int, span: Span | None, first: int) -> list[int]:
    """MVBench's midpoints of `count` equal segments of the span; beyond the video they descend or repeat.

    Source: VLMEvalKit, MVBench.get_index; without a span it is MVBench_MP4.get_index_by_frame.
    """
    last = total_frames - 1 + first
    start, end = (first, last) if span is None else (round(span[0] * fps), round(span[1] * fps))
    return [n - first for n in midpoints(max(first, start), min(end, last), count)]


def midpoints(start: int, end: int, count: int) -> list[int]:
    """The midpoints of `count` equal segments from one frame number to another."""
    size = float(end - start) / count
    return [int(start + size / 2 + round(size * i)) for i in range(count)]


def rate(part: Stretch, fps: float, wanted: FrameSampling) -> list[int]:
    """Steps of (the video's rate)/(the wanted one); none if the video is shorter than one step.

    Source: VLMEvalKit, VideoBaseDataset.save_video_frames and MVBench_MP4.get_index_by_fps.
    """
    duration = part.length / fps
    step = fps / (wanted.fps or 0.0)
    return [part.first + int(i * step) for i in range(int(duration * (wanted.fps or 0.0)))]


def by_clock(clock: Clock, part: Stretch, span: Span | None, fps: float) -> list[int]:
    """The frame on the screen every 1/fps seconds, from the stretch's first to its last one's end, or to the span's."""
    start, behind = clock.times[part.first], part.last + 1
    end = clock.times[behind] if behind < len(clock.times) else clock.end
    end = min(clock.end if span is None else span[1], end)
    return [min(clock.at(start + k / fps), part.last) for k in range(int((end - start) * fps + ROUNDING))]
