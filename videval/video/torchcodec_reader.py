"""Reading a video with torchcodec, where it is installed: each frame says its own time, which is compared."""

import functools
import importlib
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

from videval.video.cores import threads_to_use
from videval.video.footage import Footage, FootageReader
from videval.video.readers import Frames, ReadError

__all__ = ["TorchcodecReader"]

_BATCH = 4


class TorchcodecReader(FootageReader):
    """A video read by torchcodec, with one thread for each idle core; it counts the frames by itself (`exact`)."""

    def __init__(self, footage: Footage) -> None:
        library = _library()
        super().__init__(footage, f"torchcodec {library.__version__}")
        self._video: Any = library.decoders.VideoDecoder(
            os.fspath(footage.path),
            dimension_order="NHWC",
            num_ffmpeg_threads=threads_to_use(),
            seek_mode="exact",
        )
        if len(self._video) != self.info.total_frames:
            raise ReadError(f"it counts {len(self._video)} frames, the packets are {self.info.total_frames}")

    def read(self, numbers: Sequence[int]) -> Iterator[tuple[int, Frames]]:
        """A few frames at a time, so that memory does not grow with their count."""
        begin = self._video.metadata.begin_stream_seconds
        for at in range(0, len(numbers), _BATCH):
            some = list(numbers[at : at + _BATCH])
            found = self._video.get_frames_at(some)
            for number, time, frame in zip(some, found.pts_seconds.tolist(), found.data.numpy(), strict=True):
                self._compare(number, time - begin, frame)
                yield number, frame

    def _compare(self, number: int, time: float, frame: Frames) -> None:
        if not math.isclose(time, self.seconds(number), rel_tol=1e-6, abs_tol=1e-3):
            raise ReadError(f"it has frame {number} at {time:g} s, the packets at {self.seconds(number):g} s")
        if frame.shape[:2] != (self.info.height, self.info.width):
            raise ReadError(f"its frames are {frame.shape[1]}x{frame.shape[0]}")


def _library() -> Any:
    library, reason = _loaded()
    if library is None:
        raise ReadError(reason)
    return library


@functools.cache
def _loaded() -> tuple[Any, str]:
    """torchcodec, or why it cannot be loaded: it needs torch and FFmpeg's libraries."""
    try:
        importlib.import_module("torchcodec.decoders")
        return importlib.import_module("torchcodec"), ""
    except (ImportError, OSError, RuntimeError) as error:
        return None, f"cannot be loaded: {next(iter(str(error).splitlines()), type(error).__name__)}"
