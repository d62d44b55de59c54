"""A video as one file from its first frame to its last, for models that read files by themselves."""

import hashlib
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from videval.errors import VideoFailure
from videval.video.encode import beside

__all__ = ["as_file"]

Span = tuple[float, float]
_STANDS = frozenset({".mp4", ".avi", ".mkv", ".mov", ".m4v", ".mpg", ".mpeg", ".ts", ".flv"})
"""What is given as it lies, if all of it is asked about; a gif or a webm is made an mp4, as VLMEvalKit does."""


def as_file(video: Path, span: Span | None, *, folder_fps: float, into: Path) -> Path:
    """The video itself, or an mp4 below `into` of what is shown of it: of a span, a gif, a webm, a folder of images.

    Raises VideoFailure if it cannot be read or there is nothing in the span.
    """
    if span is None and video.is_file() and video.suffix.lower() in _STANDS:
        return video
    name = hashlib.sha256(f"{os.path.realpath(video)}\0{span}".encode("utf-8", "surrogateescape")).hexdigest()[:24]
    target = into / f"{name}.mp4"
    if not target.exists():
        try:
            _write(video, span, folder_fps, target)
        except (OSError, av.FFmpegError) as error:
            raise VideoFailure(f"{video}: {error}") from error
    return target


def _write(video: Path, span: Span | None, folder_fps: float, target: Path) -> None:
    frames = _of_folder(video, span, folder_fps) if video.is_dir() else _of_file(video, span)
    with beside(target) as temporary, av.open(os.fspath(temporary), "w", format="mp4") as out:
        stream = None
        for number, (frame, rate) in enumerate(frames):
            if stream is None:
                stream = out.add_stream("libx264", rate=rate, options={"crf": "18"})
                stream.width, stream.height = max(2, frame.width // 2 * 2), max(2, frame.height // 2 * 2)
                stream.pix_fmt = "yuv420p"
            shown = frame.reformat(width=stream.width, height=stream.height, format="yuv420p")
            shown.pts, shown.time_base = number, 1 / rate
            out.mux(stream.encode(shown))
        if stream is None:
            raise VideoFailure(f"{video}: no frames" + (f" between {span[0]:g} and {span[1]:g} s" if span else ""))
        out.mux(stream.encode(None))


def _of_file(video: Path, span: Span | None) -> Iterator[tuple[av.VideoFrame, Fraction]]:
    """The frames within the span, and the rate."""
    with av.open(os.fspath(video)) as container:
        if not container.streams.video:
            raise VideoFailure(f"{video}: no video in it")
        stream = container.streams.video[0]
        rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
        start = 0.0
        for number, frame in enumerate(container.decode(stream)):
            start = (frame.time or 0.0) if number == 0 else start
            time = (frame.time if frame.time is not None else number / float(rate)) - start
            if span is not None and time > span[1]:
                return
            if span is None or time >= span[0]:
                yield frame, rate


def _of_folder(folder: Path, span: Span | None, fps: float) -> Iterator[tuple[av.VideoFrame, Fraction]]:
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    first, last = (span[0] * fps, span[1] * fps) if span is not None else (0.0, float(len(files)))
    for number, path in enumerate(files):
        if first <= number <= last:
            with Image.open(path) as picture:
                pixels = np.asarray(picture.convert("RGB"))
            yield av.VideoFrame.from_ndarray(pixels, format="rgb24"), Fraction(fps).limit_denominator(1001)
