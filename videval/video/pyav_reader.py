"""Reading a video with PyAV: for what decord cannot read, and for files that it would read wrongly."""

import bisect
import itertools
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from videval.video.readers import Frames, ReadError, VideoInfo

__all__ = ["PyavReader"]


class PyavReader:
    """A video read by PyAV: the container is read through once for the time of each frame, frames are found by time.

    Where packets have no times, frames are counted by decoding.
    """

    first = 0
    _FROM_START = frozenset({"gif", "apng", "webp"})
    _PACKETS_ARE_NOT_FRAMES = frozenset({"vp8"})
    _THREADS = 2
    _GUESSED_FPS = 25.0
    _by_count = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._notes: list[str] = []
        self._damaged = 0
        with self._open() as (container, stream):
            codec, promised = stream.codec_context.codec.canonical_name, stream.frames
            self._base, rate = float(stream.time_base or 0), stream.average_rate or stream.guessed_rate
            self._times, self._keys = _packet_times(container, stream)
        self._can_seek = codec not in self._FROM_START
        if not _are_times(self._times) or codec in self._PACKETS_ARE_NOT_FRAMES:
            self._times, self._can_seek = self._decoded_times(), False
        if not self._times:
            raise ReadError("no frames")
        self.info = self._describe(float(rate or 0), promised)

    def timestamps(self, numbers: Sequence[int]) -> list[float]:
        """Seconds from the first frame on; where the container has no times, number / fps."""
        return [round(self._seconds(n), 4) for n in numbers]

    def read(self, numbers: Sequence[int]) -> Iterator[tuple[int, Frames]]:
        """Jump where a key frame lies between here and the frame wanted; decode on where jumping misses (MPEG-TS)."""
        done = 0
        try:
            for found in self._walk(numbers, jump=self._can_seek):
                yield found
                done += 1
        except ReadError:
            if not self._can_seek:
                raise
            self._can_seek = False
            yield from self._walk(numbers[done:], jump=False)

    def _walk(self, numbers: Sequence[int], *, jump: bool) -> Iterator[tuple[int, Frames]]:
        with self._open() as (container, stream):
            frames, at = enumerate(container.decode(stream)), self._times[0]
            for number in numbers:
                wanted = self._times[number]
                if jump and bisect.bisect(self._keys, at) < bisect.bisect(self._keys, wanted):
                    container.seek(wanted, stream=stream)
                    frames = enumerate(container.decode(stream))
                frame = self._find(frames, number)
                at = wanted
                yield number, self._pixels(frame)

    def notes(self) -> tuple[str, ...]:
        """What the container does not say or says wrongly, and frames that the decoder had to repair."""
        damaged = [f"{self._damaged} damaged frames shown as repaired by the decoder"] if self._damaged else []
        return (*self._notes, *damaged)

    @contextmanager
    def _open(self) -> Iterator[tuple[InputContainer, VideoStream]]:
        with av.open(os.fspath(self._path), options={"protocol_whitelist": "file"}) as container:
            videos = [s for s in container.streams.video if not s.disposition & s.disposition.attached_pic]
            if not videos:
                raise ReadError("no video stream")
            if videos[0].codec_context is None:
                raise ReadError("a video stream of an unknown codec")
            videos[0].thread_type = "AUTO"
            videos[0].codec_context.thread_count = self._THREADS
            yield container, videos[0]

    def _decoded_times(self) -> list[int]:
        """The times of all frames as decoding gives them; 0, 1, 2, ... if it gives none."""
        with self._open() as (container, stream):
            times = [frame.pts for frame in container.decode(stream)]
        known = [t for t in times if t is not None]
        self._by_count = not (len(known) == len(times) and _are_times(known))
        return list(range(len(times))) if self._by_count else known

    def _describe(self, fps: float, promised: int) -> VideoInfo:
        with self._open() as (container, stream):
            frame = next(container.decode(stream))
        height, width, _ = _upright(frame, frame.width, frame.height).shape
        self._size = (frame.width, frame.height)
        self._fps = self._rate(fps)
        total = len(self._times)
        if promised > total:
            self._notes.append(f"the header says {promised} frames, {total} are shown")
        return VideoInfo(
            total_frames=total, fps=self._fps, width=width, height=height, decoder=f"PyAV {av.__version__}"
        )

    def _rate(self, fps: float) -> float:
        if math.isfinite(fps) and fps > 0:
            return fps
        seconds = 0.0 if self._by_count else (self._times[-1] - self._times[0]) * self._base
        guess = (len(self._times) - 1) / seconds if seconds > 0 else self._GUESSED_FPS
        self._notes.append(f"the container does not say its frame rate: taken as {guess:g}")
        return guess

    def _seconds(self, number: int) -> float:
        if self._by_count or not self._base:
            return number / self._fps
        return (self._times[number] - self._times[0]) * self._base

    def _find(self, frames: Iterable[tuple[int, VideoFrame]], number: int) -> VideoFrame:
        """Decode on to the frame of this number; `frames` counts from the last jump."""
        wanted = self._times[number]
        for count, frame in frames:
            at = count if self._by_count else frame.pts
            if at == wanted:
                self._damaged += frame.is_corrupt
                return frame
            if at is not None and at > wanted:
                break
        raise ReadError(f"frame {number} is not where the container says")

    def _pixels(self, frame: VideoFrame) -> Frames:
        return _upright(frame, *self._size)


def _upright(frame: VideoFrame, width: int, height: int) -> Frames:
    """RGB pixels, turned as the container says; a stream that changes its size is brought to its first."""
    pixels = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
    return np.rot90(pixels, round(frame.rotation / 90) % 4)


def _packet_times(container: InputContainer, stream: VideoStream) -> tuple[list[int], list[int]]:
    """The times of the frames that are shown, and of the key frames, both ascending; [] if any has none."""
    packets = [p for p in container.demux(stream) if p.size]
    shown = [p.pts for p in packets if not p.is_discard]
    keys = [p.pts for p in packets if p.is_keyframe]
    times = [t for t in shown if t is not None]
    return (sorted(times) if len(times) == len(shown) else []), sorted(k for k in keys if k is not None)


def _are_times(times: Sequence[int]) -> bool:
    return bool(times) and all(a < b for a, b in itertools.pairwise(times))
