"""The file that frames are decoded into: an array as numpy has it, written frame by frame and never mapped."""

import fcntl
import math
import os
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.lib import format as npy

from videval.errors import EnvironmentProblem
from videval.video.readers import Frames

__all__ = ["ClipFile"]


class ClipFile:
    """A new .npy file of uint8 [n, height, width, 3] whose blocks are all there: a full disk is an error when it is
    made. It is held (see `videval.video.eviction`) until it is closed, also under another name.

    Frames go to the file as they come, so that memory does not grow with their count.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int, int]) -> None:
        self._of_frame = math.prod(shape[1:])
        self._file = path.open("wb", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_SH)
            npy.write_array_header_1_0(self._file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            self._begin = self._file.tell()
            os.posix_fallocate(self._file.fileno(), 0, self._begin + math.prod(shape))
        except BaseException:
            self._file.close()
            raise

    @staticmethod
    def size_of(shape: tuple[int, int, int, int]) -> int:
        """Its bytes, without the few of its header."""
        return math.prod(shape)

    def __setitem__(self, place: int, frame: Frames, /) -> None:
        """Write the frame of this place. Raises EnvironmentProblem."""
        data, at = memoryview(np.ascontiguousarray(frame).data).cast("B"), self._begin + place * self._of_frame
        try:
            while data:
                written = os.pwrite(self._file.fileno(), data, at)
                data, at = data[written:], at + written
        except OSError as error:
            hint = "free some space, or set VIDEVAL_FRAME_CACHE to another disk"
            raise EnvironmentProblem(f"frame cache {self._file.name}: {error.strerror}", hint=hint) from error

    def __enter__(self) -> "ClipFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
