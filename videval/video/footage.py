"""What is known of a video file before its frames are read: which are shown and when, and how large.

The packets are read through once, without decoding. Where they prove which frames are shown (see timeline.py), frames
are found by jumping; where they do not, all frames are decoded once to count them.
"""

import functools
import itertools
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import av
import numpy as np
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.packet import Packet as AvPacket
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from videval.video.bitstream import is_hidden, is_start, may_resize
from videval.video.readers import Frames, ReadError, VideoInfo
from videval.video.timeline import Packet, Timeline, Unproven, by_decoding, by_packets
from videval.video.trust import COUNTED, objections

__all__ = ["Footage", "FootageReader", "counted", "examine", "first_key_on", "open_video", "packets_of", "upright"]

_DISPLAY_TIMES = {"mov", "matroska", "flv"}
"""Containers whose packets carry the time at which each picture is shown."""
_ONE_PICTURE_EACH = {"h264", "hevc", "vp8", "vp9", "av1"}
"""Codecs with a packet for each picture (but VP8's hidden ones); so have those without dependent pictures."""
_SPARE = {"h264"}
"""Codecs in which a picture that no other refers to says so (nal_ref_idc 0, ITU-T H.264 7.4.1); one of HEVC says it
only of its own layer."""
_NOT_INTERLACED = (0, 1)
"""Field orders unknown and progressive: an interlaced picture may come as two packets."""
_GUESSED_TIMES = {"avi"}
"""Containers that know decoding times only; the display times that FFmpeg gives are guesses."""
_GUESSED_FPS = 25.0
_UPRIGHT = (1, 0, 0, 1)

Turn = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Footage:
    """A video file: its frames' times (`tick` seconds each), stored size, how it is turned for display, and of which
    `kind` its pictures are (codec and colours).

    `has_spare`: whether pictures may be left out of decoding that no other refers to, and that nobody wants;
    `is_reordered`: whether pictures are decoded in another order than they are shown in, so that there are such.
    `objections` says which of the readers besides PyAV are not trusted with it, and why.
    """

    path: Path
    timeline: Timeline
    tick: float
    fps: float
    width: int
    height: int
    turn: Turn
    kind: str
    notes: tuple[str, ...] = ()
    has_spare: bool = False
    is_reordered: bool = False
    objections: Mapping[str, str] = field(default_factory=lambda: COUNTED)

    def info(self, decoder: str) -> VideoInfo:
        """The video as this decoder reads it."""
        width, height = (self.height, self.width) if self.turn[1] else (self.width, self.height)
        return VideoInfo(
            total_frames=len(self.timeline.times), fps=self.fps, width=width, height=height, decoder=decoder
        )

    def seconds(self, number: int) -> float:
        """When this frame is shown, from the first one on."""
        return round((self.timeline.times[number] - self.timeline.times[0]) * self.tick, 4)

    @property
    def duration(self) -> float:
        """Seconds from the first frame's beginning to the last one's end."""
        return round((self.timeline.end - self.timeline.times[0]) * self.tick, 4)


class FootageReader:
    """What every reader of a video file has in common: all that does not depend on who decodes."""

    first = 0

    def __init__(self, footage: Footage, decoder: str) -> None:
        self.footage = footage
        self.info = footage.info(decoder)
        self.duration = footage.duration

    def seconds(self, number: int) -> float:
        """Seconds from the first frame on to this one."""
        return self.footage.seconds(number)

    def notes(self) -> tuple[str, ...]:
        """What the container does not say or says wrongly."""
        return self.footage.notes


def examine(path: Path) -> Footage:
    """Look at a video file; its frames are decoded only where its packets prove nothing. Raises READ_ERRORS.

    The last few files are remembered: questions about other spans of one video follow each other.
    """
    found = path.stat()
    return _examined(path, (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))


@functools.lru_cache(maxsize=4)
def _examined(path: Path, identity: tuple[int, ...]) -> Footage:
    try:
        return _proven(path)
    except Unproven:
        return _count(path)


def counted(footage: Footage) -> Footage:
    """The same file, its frames counted by decoding all of them."""
    return _count(footage.path)


@contextmanager
def open_video(
    path: Path, *, threads: int = 1, hwaccel: HWAccel | None = None
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The video that players show, which is no cover picture. Raises READ_ERRORS."""
    with av.open(os.fspath(path), options={"protocol_whitelist": "file"}, hwaccel=hwaccel) as container:
        videos = [s for s in container.streams.video if not s.disposition & s.disposition.attached_pic]
        if not videos:
            raise ReadError("no video stream")
        best = container.streams.best("video")
        stream = best if isinstance(best, VideoStream) and best in videos else videos[0]
        if stream.codec_context is None:
            raise ReadError("a video stream of an unknown codec")
        stream.thread_type = "AUTO" if threads > 1 else "SLICE"
        stream.codec_context.thread_count = threads
        yield container, stream


def first_key_on(container: InputContainer, stream: VideoStream) -> Iterator["AvPacket[VideoStream]"]:
    """The packets from the first key frame on: what lies before it, in a file that was cut, cannot be decoded."""
    return itertools.dropwhile(lambda packet: not packet.is_keyframe, packets_of(container, stream))


def packets_of(container: InputContainer, stream: VideoStream) -> Iterator["AvPacket[VideoStream]"]:
    """All packets and, last, the one that makes the decoder give what it holds; not those that hold nothing."""
    return (packet for packet in container.demux(stream) if packet.size or packet.dts is None)


def upright(frame: VideoFrame, width: int, height: int, turn: Turn, by: VideoReformatter) -> Frames:
    """RGB pixels, turned and mirrored for display; a stream that changes its size is brought to its first.

    `by` keeps what it needs from frame to frame; on one thread, as starting others costs more than a frame.
    """
    made = by.reformat(frame, width=width, height=height, format="rgb24", threads=1)
    pixels = np.asarray(made.to_ndarray(), np.uint8)
    a, b, c, d = turn
    if b:
        pixels, a, d = pixels.transpose(1, 0, 2), c, b
    return pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def _proven(path: Path) -> Footage:
    with open_video(path) as (container, stream):
        kind, codec = container.format.name.split(",")[0], stream.codec_context.codec
        if kind not in _DISPLAY_TIMES or not (codec.intra_only or codec.canonical_name in _ONE_PICTURE_EACH):
            raise Unproven(f"{codec.canonical_name} in {kind}")
        if stream.codec_context.field_order not in _NOT_INTERLACED:
            raise Unproven("it is interlaced")
        packets, frame = _look_through(container, stream)
        timeline = by_packets(packets)
        if frame is None or frame.pts != timeline.times[0]:
            raise Unproven("the first frame is not the one that its packets say")
        footage = _describe(path, stream, timeline, frame)
        said = dict.fromkeys(COUNTED, "it is turned or mirrored for display") if footage.turn != _UPRIGHT else None
        return replace(
            footage,
            has_spare=codec.canonical_name in _SPARE,
            is_reordered=[p.pts for p in packets if not p.is_discard] != list(timeline.times),
            objections=said or objections(container, stream, packets),
        )


def _look_through(container: InputContainer, stream: VideoStream) -> tuple[list[Packet], VideoFrame | None]:
    """What all packets say, and the first frame that comes out of them, if decoding can begin at the first."""
    codec = stream.codec_context.codec
    extradata = bytes(stream.codec_context.extradata or b"")
    packets: list[Packet] = []
    frame: VideoFrame | None = None
    for packet in packets_of(container, stream):
        if packet.is_corrupt:
            raise Unproven("a packet is damaged")
        if packet.size:
            packets.append(_facts(packet, codec.canonical_name, extradata, intra_only=codec.intra_only))
        if frame is None and packets and packets[0].is_start:
            frame = next(iter(packet.decode()), None)
    return packets, frame


def _facts(packet: "AvPacket[VideoStream]", codec: str, extradata: bytes, *, intra_only: bool) -> Packet:
    looked_at = packet.is_keyframe or codec == "vp8"
    data = bytes(packet) if looked_at and not intra_only else b""
    return Packet(
        pts=packet.pts,
        dts=packet.dts,
        duration=packet.duration or 0,
        is_key=packet.is_keyframe,
        is_start=intra_only or (packet.is_keyframe and is_start(codec, data, extradata)),
        is_discard=packet.is_discard,
        is_hidden=is_hidden(codec, data),
        may_resize=may_resize(codec, data, extradata) or packet.has_sidedata("new_extradata"),
    )


def _count(path: Path) -> Footage:
    shown: list[int | None] = []
    decoded: list[int | None] = []
    first, last, damaged = None, None, 0
    with open_video(path, threads=2) as (container, stream):
        for packet in first_key_on(container, stream):
            damaged += packet.is_corrupt
            decoded += [packet.dts] * bool(packet.size)
            for last in packet.decode():
                first = first or last
                shown.append(last.pts)
        if first is None or last is None:
            raise ReadError("no frames")
        count = len(shown)
        if container.format.name in _GUESSED_TIMES:
            shown.clear()
        timeline = by_decoding(count, shown, decoded, last.duration or 0)
        footage = _describe(path, stream, timeline, first)
        said = f"{damaged} packets are damaged, or others are missing before them: so may frames be"
        return replace(footage, notes=(*footage.notes, said)) if damaged else footage


def _describe(path: Path, stream: VideoStream, timeline: Timeline, frame: VideoFrame) -> Footage:
    total, tick, fps, turn = len(timeline.times), float(stream.time_base or 0), _rate(stream), _turn(frame)
    notes = [f"the header says {stream.frames} frames, {total} are shown"] if stream.frames > total else []
    if not fps:
        span = (timeline.times[-1] - timeline.times[0]) * tick if timeline.clock != "number" else 0.0
        fps = (total - 1) / span if span > 0 else _GUESSED_FPS
        notes.append(f"the container does not say its frame rate: taken as {fps:g}")
    if timeline.clock == "number":
        notes.append(f"its frames have no times, or none that ascend: they are counted at {fps:g} per second")
    return Footage(
        path=path,
        timeline=timeline,
        tick=tick if timeline.clock != "number" and tick else 1 / fps,
        fps=fps,
        width=frame.width,
        height=frame.height,
        turn=turn,
        kind=f"{stream.codec_context.codec.canonical_name} {frame.format.name}",
        notes=tuple(notes),
    )


def _rate(stream: VideoStream) -> float:
    """Frames per second as the container says; 0.0 if it does not."""
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    return rate if math.isfinite(rate) and rate > 0 else 0.0


def _turn(frame: VideoFrame) -> Turn:
    """The signs of the display matrix (a, b, c, d): x' = ax + cy, y' = bx + dy, in quarter turns and mirrors.

    Source: ISO/IEC 14496-12 8.3.2 (the matrix of a track).
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if not isinstance(data, SideData):
        return _UPRIGHT
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        return 0, -1 if b < 0 else 1, -1 if c < 0 else 1, 0
    return -1 if a < 0 else 1, 0, 0, -1 if d < 0 else 1
