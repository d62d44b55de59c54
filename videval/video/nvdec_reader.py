"""Reading a video on an NVIDIA GPU's decoder, where that is set: as PyAV does, and compared with what the CPU gives."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import av
import numpy as np
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from videval.video.footage import Footage, open_video
from videval.video.pyav_reader import PyavReader
from videval.video.readers import Frames, ReadError

__all__ = ["NvdecReader"]

log = logging.getLogger(__name__)
_alike: dict[str, bool] = {}
"""Kind of picture to whether its first clip in this process had the CPU's pixels."""


def _on_gpu() -> HWAccel | None:
    return HWAccel("cuda", allow_software_fallback=False)


class NvdecReader(PyavReader):
    """A video whose pictures the GPU decodes; their colours are made on the CPU, by the same code as PyAV's.

    All frames of the first clip of each kind (codec and colours) are compared with the CPU's: if one differs, this
    process reads none of that kind in this way any more.
    """

    def __init__(self, footage: Footage) -> None:
        super().__init__(replace(footage, has_spare=False), threads=1)
        self.info = footage.info(f"NVDEC, PyAV {av.__version__}")
        if not _alike.get(footage.kind, True):
            raise ReadError(f"its pixels of {footage.kind} are not the CPU's")

    def read(self, numbers: Sequence[int]) -> Iterator[tuple[int, Frames]]:
        """As PyAV does; the first clip of a kind is read on the CPU too."""
        found = super().read(numbers)
        return found if self.footage.kind in _alike else self._compared(found, PyavReader(self.footage).read(numbers))

    def _compared(
        self, found: Iterator[tuple[int, Frames]], wanted: Iterator[tuple[int, Frames]]
    ) -> Iterator[tuple[int, Frames]]:
        kind = self.footage.kind
        for (number, pixels), (_, right) in zip(found, wanted, strict=True):
            if not np.array_equal(pixels, right):
                _alike[kind] = False
                log.warning("NVDEC gives other pixels of %s than the CPU: such videos are read by the CPU", kind)
                raise ReadError(f"its pixels of {kind} are not the CPU's (frame {number})")
            yield number, pixels
        _alike[kind] = True

    @contextmanager
    def _open(self) -> Iterator[tuple[InputContainer, VideoStream]]:
        with ExitStack() as opened:
            try:
                found = opened.enter_context(open_video(self.footage.path, hwaccel=_on_gpu()))
            except av.FFmpegError as error:
                raise ReadError(f"the GPU cannot decode {self.footage.kind}: {error.strerror}") from error
            yield found

    def _shown(self, frame: VideoFrame) -> Frames:
        """Its planes are interleaved: taken apart, which loses nothing, its colours are made as everywhere."""
        return super()._shown(frame.reformat(format="yuv420p") if frame.format.name == "nv12" else frame)
