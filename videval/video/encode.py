"""Writing small videos and folders of images: for demos and tests, never on the way of a request."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import numpy.typing as npt
from av.container import OutputContainer
from av.video.stream import VideoStream
from PIL import Image

from videval.errors import UsageError

__all__ = ["CODECS", "beside", "write_frame_folder", "write_video"]

Frames = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Codec:
    """How a codec is written: FFmpeg's encoder, container, pixel format and the options that make it repeatable."""

    encoder: str
    container: str
    pixels: str
    options: dict[str, str] = field(default_factory=dict)


CODECS = {
    "h264": _Codec(encoder="libx264", container="mp4", pixels="yuv420p", options={"crf": "18"}),
    "vp9": _Codec(
        encoder="libvpx-vp9", container="webm", pixels="yuv420p", options={"crf": "24", "b": "0", "cpu-used": "5"}
    ),
    "av1": _Codec(encoder="libsvtav1", container="mp4", pixels="yuv420p", options={"crf": "24", "preset": "10"}),
    "gif": _Codec(encoder="gif", container="gif", pixels="rgb8"),
}
KEY_FRAME_EVERY = 30


def write_video(path: Path, frames: Frames, fps: float, codec: str = "h264") -> None:
    """Write frames, uint8 [n, height, width, 3], as a video; the same frames give the same bytes.

    Codecs: h264 (mp4), vp9 (webm), av1 (mp4), gif; the container follows the codec, not the path. Written beside and
    renamed. Raises UsageError for an unknown codec, no frames, or odd sizes (only gif takes them).
    """
    if codec not in CODECS:
        raise UsageError(f"unknown codec {codec!r}", hint=f"codecs are {', '.join(CODECS)}")
    _check_frames(frames)
    how = CODECS[codec]
    if how.pixels == "yuv420p" and (frames.shape[1] % 2 or frames.shape[2] % 2):
        raise UsageError(f"{codec} needs an even width and height, not {frames.shape[2]}x{frames.shape[1]}")
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 talks on standard error otherwise
    with beside(path) as temporary:
        options = {"fflags": "+bitexact"}
        with (
            scheduling_kept(),
            av.open(os.fspath(temporary), "w", format=how.container, options=options) as container,
        ):
            _encode(container, frames, Fraction(fps).limit_denominator(1001), how)


def write_frame_folder(path: Path, frames: Frames, *, suffix: str = ".jpg") -> None:
    """Write frames, uint8 [n, height, width, 3], as images 00001.jpg, 00002.jpg, ... as MVBench's folders are.

    `suffix` .jpg (quality 95) or .png (lossless). Written beside and renamed; a folder that is there is replaced.
    """
    _check_frames(frames)
    if suffix not in (".jpg", ".png"):
        raise UsageError(f"images are .jpg or .png, not {suffix!r}")
    with beside(path) as temporary:
        temporary.mkdir()
        for number, pixels in enumerate(frames, start=1):
            Image.fromarray(pixels).save(temporary / f"{number:05d}{suffix}", quality=95)
        if path.is_dir():
            shutil.rmtree(path)


def _encode(container: OutputContainer, frames: Frames, fps: Fraction, how: _Codec) -> None:
    stream = cast(VideoStream, container.add_stream(how.encoder, rate=fps, options=how.options))
    stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], how.pixels
    stream.codec_context.thread_count = 1
    stream.codec_context.gop_size = KEY_FRAME_EVERY
    for number, pixels in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame.pts, frame.time_base = number, 1 / fps
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


@contextmanager
def scheduling_kept() -> Iterator[None]:
    """Give the thread its scheduling back: for root, SVT-AV1 makes its caller a realtime thread and leaves it so.

    Every process started later would inherit it, and a fleet of realtime processes can starve its whole machine.
    """
    if not hasattr(os, "sched_setscheduler"):
        yield
        return
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, priority)


def _check_frames(frames: Frames) -> None:
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise UsageError(f"frames are uint8 [n, height, width, 3], not {frames.dtype} {list(frames.shape)}")


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A path in a temporary folder beside `path`, renamed to it when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing-") as folder:
        yield Path(folder) / path.name
        (Path(folder) / path.name).replace(path)
