"""Reading a video with PyAV: every frame is known by its own time, which is compared with the one that was meant."""

import itertools
from collections.abc import Iterator, Sequence

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from videval.video.footage import Footage, FootageReader, first_key_on, open_video, packets_of, upright
from videval.video.readers import Frames, ReadError

__all__ = ["PyavReader"]

_Numbered = Iterator[tuple[int, VideoFrame, bool]]
"""Decoded frames with their numbers, and whether they were repaired or are made from one that was."""


class PyavReader(FootageReader):
    """A video read by PyAV: frames are found by jumping where its packets prove that, else by decoding on."""

    _THREADS = 2

    def __init__(self, footage: Footage) -> None:
        super().__init__(footage, f"PyAV {av.__version__}")
        self._damaged = 0

    def read(self, numbers: Sequence[int]) -> Iterator[tuple[int, Frames]]:
        """Jump where a start lies between here and the frame wanted; decode on where jumping misses."""
        done = 0
        try:
            for found in self._walk(numbers, jump=True):
                yield found
                done += 1
        except _Missed:
            yield from self._walk(numbers[done:], jump=False)

    def notes(self) -> tuple[str, ...]:
        """What the container does not say or says wrongly, and frames that the decoder had to repair."""
        said = f"{self._damaged} frames are damaged, or made from damaged ones: shown as the decoder repaired them"
        return (*super().notes(), *([said] if self._damaged else []))

    def _walk(self, numbers: Sequence[int], *, jump: bool) -> Iterator[tuple[int, Frames]]:
        timeline = self.footage.timeline
        with open_video(self.footage.path, threads=self._THREADS) as (container, stream):
            frames, at = self._numbered(first_key_on(container, stream), 0), 0
            for number in numbers:
                start = timeline.start_for(number) if jump else None
                if start is not None and timeline.next_from(start) > at:
                    frames = self._jump(container, stream, start)
                at = number
                yield number, self._pixels(number, frames)

    def _jump(self, container: InputContainer, stream: VideoStream, start: int) -> _Numbered:
        """The frames from a start on, or from an earlier one where the container's seek ends there."""
        self._seek(container, stream, start)
        packets = packets_of(container, stream)
        landed = next(packets)
        if landed.pts is None or landed.pts > start or landed.pts not in self.footage.timeline.starts:
            raise _Missed
        return self._numbered(
            itertools.chain([landed], packets), self.footage.timeline.next_from(landed.pts), since=landed.pts
        )

    def _seek(self, container: InputContainer, stream: VideoStream, start: int) -> None:
        container.seek(start, stream=stream)

    def _numbered(self, packets: Iterator["Packet[VideoStream]"], number: int, since: int | None = None) -> _Numbered:
        """Number decoded frames from `number` on; ReadError unless each one's time is the one that is its turn.

        Those shown before the time `since` belong to what lies before the jump, and are not whole.
        """
        timeline, is_damaged = self.footage.timeline, False
        for packet in packets:
            for frame in packet.decode():
                is_damaged = frame.is_corrupt or (is_damaged and not frame.key_frame)
                if since is not None and frame.pts is not None and frame.pts < since:
                    continue
                if number >= len(timeline.times) or (timeline.clock == "shown" and frame.pts != timeline.times[number]):
                    raise ReadError(f"frame {number} is not where the container says")
                yield number, frame, is_damaged
                number += 1

    def _pixels(self, number: int, frames: _Numbered) -> Frames:
        for at, frame, is_damaged in frames:
            if at == number:
                self._damaged += is_damaged
                return upright(frame, self.footage.width, self.footage.height, self.footage.turn)
        raise ReadError(f"frame {number} is not where the container says")


class _Missed(Exception):
    """A seek ended where decoding cannot begin."""
