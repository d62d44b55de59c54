"""Reading a video with decord: only files of which it is proven that it gives the right frames, for it does not say."""

import functools
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import decord

from videval.video.cores import threads_to_use
from videval.video.footage import Footage, FootageReader
from videval.video.readers import Frames, ReadError

__all__ = ["DecordReader"]

_NO_FAULTS = 1e-9
"""decord's fault_tol as a share of the frames: a single frame replaced by its neighbour is an error."""
_BATCH = 4


class DecordReader(FootageReader):
    """A video read by decord, with one thread for each idle core.

    What it says of the file, the number of frames and their times, is compared with the footage.
    """

    def __init__(self, footage: Footage) -> None:
        super().__init__(footage, f"decord {decord.__version__}")
        _quiet_decord()
        threads = threads_to_use()
        with _telling_reasons():
            self._video: Any = decord.VideoReader(os.fspath(footage.path), num_threads=threads, fault_tol=_NO_FAULTS)
        if len(self._video) != self.info.total_frames:
            raise ReadError(f"it counts {len(self._video)} frames, the packets are {self.info.total_frames}")

    def read(self, numbers: Sequence[int]) -> Iterator[tuple[int, Frames]]:
        """A few frames at a time, so that memory does not grow with their count."""
        self._compare_times(numbers)
        for at in range(0, len(numbers), _BATCH):
            batch = list(numbers[at : at + _BATCH])
            with _telling_reasons():
                frames = self._video.get_batch(batch).asnumpy()
            if frames.shape[1:3] != (self.info.height, self.info.width):
                raise ReadError(f"its frames are {frames.shape[2]}x{frames.shape[1]}")
            yield from zip(batch, frames, strict=True)

    def _compare_times(self, numbers: Sequence[int]) -> None:
        """decord keeps times as 32-bit floats: within a millisecond, or what such a float can tell apart."""
        start = self._video.get_frame_timestamp([0])[0][0]
        for number, time in zip(numbers, self._video.get_frame_timestamp(list(numbers))[:, 0], strict=True):
            meant = self.seconds(number)
            if not math.isclose(time - start, meant, rel_tol=1e-6, abs_tol=1e-3):
                raise ReadError(f"it has frame {number} at {time - start:g} s, the packets at {meant:g} s")


@contextmanager
def _telling_reasons() -> Iterator[None]:
    """Its own errors as ReadError."""
    try:
        yield
    except (decord.DECORDError, decord._ffi.base.DECORDLimitReachedError) as error:
        raise ReadError(str(error)) from error


@functools.cache
def _quiet_decord() -> None:
    decord.logging.set_level(decord.logging.QUIET)
