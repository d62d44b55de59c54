"""Reading a video with PyAV: every frame is known by its own time, which is compared with the one that was meant."""

import itertools
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from videval.video.cores import MOST_THREADS, threads_to_use
from videval.video.footage import Footage, FootageReader, first_key_on, open_video, packets_of, upright
from videval.video.readers import Frames, ReadError

__all__ = ["PyavReader"]

NEAR = 8
"""Frames that are decoded rather than jumped over: a jump empties the decoder, which has nothing to lose where every
picture stands alone."""
_Packets = Iterator["Packet[VideoStream]"]
_Numbered = Iterator[tuple[int, VideoFrame, bool]]
"""Decoded frames with their numbers, and whether they were repaired or are made from one that was."""


class PyavReader(FootageReader):
    """A video read by PyAV: frames are found by jumping where its packets prove that, else by decoding on.

    With one thread for each idle core, if it is not said how many.
    """

    def __init__(self, footage: Footage, *, threads: int | None = None) -> None:
        super().__init__(footage, f"PyAV {av.__version__}")
        stand_alone = len(footage.timeline.starts) == len(footage.timeline.times)
        self._near, most = (1, 1) if stand_alone else (NEAR, MOST_THREADS)
        self._threads = min(threads or threads_to_use(), most)
        self._damaged = 0
        self._reformatter = VideoReformatter()

    def read(self, numbers: Sequence[int]) -> Iterator[tuple[int, Frames]]:
        """Jump where a start lies between here and the frame wanted, and leave out what no wanted one needs; where that
        misses, decode on."""
        done = 0
        try:
            for found in self._walk(numbers, short=True):
                yield found
                done += 1
        except _Missed:
            yield from self._walk(numbers[done:], short=False)

    def notes(self) -> tuple[str, ...]:
        """What the container does not say or says wrongly, and frames that the decoder had to repair."""
        said = f"{self._damaged} frames are damaged, or made from damaged ones: shown as the decoder repaired them"
        return (*super().notes(), *([said] if self._damaged else []))

    def _walk(self, numbers: Sequence[int], *, short: bool) -> Iterator[tuple[int, Frames]]:
        timeline = self.footage.timeline
        spares = short and self.footage.has_spare
        wanted = {timeline.times[number] for number in numbers}
        with self._open() as (container, stream):

            def numbered(packets: _Packets, number: int, since: int | None = None) -> _Numbered:
                fed = _without_spare(packets, stream, wanted) if spares else packets
                return self._numbered(fed, number, since, all_of_them=not spares)

            frames, at = numbered(first_key_on(container, stream), 0), 0
            for number in numbers:
                start = timeline.start_for(number) if short else None
                if start is not None and timeline.next_from(start) > at + self._near:
                    frames = numbered(*self._jump(container, stream, start))
                at = number
                yield number, self._pixels(number, frames)

    def _open(self) -> AbstractContextManager[tuple[InputContainer, VideoStream]]:
        return open_video(self.footage.path, threads=self._threads)

    def _shown(self, frame: VideoFrame) -> Frames:
        footage = self.footage
        return upright(frame, footage.width, footage.height, footage.turn, self._reformatter)

    def _jump(self, container: InputContainer, stream: VideoStream, start: int) -> tuple[_Packets, int, int]:
        """The packets from a start on, or from an earlier one where the container's seek ends there, with the number
        and the time of the first frame."""
        self._seek(container, stream, start)
        packets = packets_of(container, stream)
        landed = next(packets)
        if landed.pts is None or landed.pts > start or landed.pts not in self.footage.timeline.starts:
            raise _Missed
        return itertools.chain([landed], packets), self.footage.timeline.next_from(landed.pts), landed.pts

    def _seek(self, container: InputContainer, stream: VideoStream, start: int) -> None:
        container.seek(start, stream=stream)

    def _numbered(self, packets: _Packets, number: int, since: int | None, *, all_of_them: bool) -> _Numbered:
        """Number decoded frames from `number` on; ReadError unless each one's time is the one that is its turn.

        Those shown before the time `since` belong to what lies before the jump, and are not whole. If not all of them
        are decoded: _Missed unless each one's time is that of a later frame than the last one's.
        """
        timeline, is_damaged = self.footage.timeline, False
        for packet in packets:
            for frame in packet.decode():
                is_damaged = frame.is_corrupt or (is_damaged and not frame.key_frame)
                if since is not None and frame.pts is not None and frame.pts < since:
                    continue
                number = number if all_of_them else self._place(frame, number)
                if number >= len(timeline.times) or (timeline.clock == "shown" and frame.pts != timeline.times[number]):
                    raise ReadError(f"frame {number} is not where the container says")
                yield number, frame, is_damaged
                number += 1

    def _place(self, frame: VideoFrame, least: int) -> int:
        """The number of the frame that is shown at this one's time, if that is `least` or later."""
        times = self.footage.timeline.times
        number = least if frame.pts is None else self.footage.timeline.next_from(frame.pts)
        if number < least or number >= len(times) or times[number] != frame.pts:
            raise _Missed
        return number

    def _pixels(self, number: int, frames: _Numbered) -> Frames:
        for at, frame, is_damaged in frames:
            if at == number:
                self._damaged += is_damaged
                return self._shown(frame)
            if at > number:
                raise _Missed
        raise ReadError(f"frame {number} is not where the container says")


def _without_spare(packets: _Packets, stream: VideoStream, wanted: Collection[int]) -> _Packets:
    """The packets, while the decoder leaves out those pictures that nobody wants and no other refers to."""
    for packet in packets:
        stream.codec_context.skip_frame = "DEFAULT" if packet.pts is None or packet.pts in wanted else "NONREF"
        yield packet


class _Missed(Exception):
    """A seek ended where decoding cannot begin, or what was decoded in part is not what was meant."""
