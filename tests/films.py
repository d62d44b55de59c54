"""Small videos in every kind of container, codec and group of pictures, each of whose frames says its own number.

A frame is a grid of 4x2 cells, white for a 1 and black for a 0: bit k of its number. `said` reads it back, whatever
the codec did to it. Below: small surgery on MP4 files, for what no muxer writes.
"""

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from videval.video.encode import scheduling_kept

__all__ = ["FILMS", "FPS", "Film", "drawn", "said", "set_edits", "set_matrix", "without_key_table"]

FPS = 25
_COLUMNS, _ROWS = 4, 2
_X264 = {"preset": "veryfast", "crf": "20"}
_STEADY = "scenecut=0:b-adapt=0"
_X265 = "log-level=none:scenecut=0:b-adapt=0:min-keyint=12:keyint=12"


@dataclass(frozen=True, kw_only=True)
class Film:
    """How one is written. `keeps_times`: whether its
    container says when each frame is shown."""

    name: str
    codec: str = "libx264"
    options: dict[str, str] = field(default_factory=dict)
    muxer: dict[str, str] = field(default_factory=dict)
    format: str | None = None
    gop: int = 12
    b_frames: int = 0
    pixels: str = "yuv420p"
    size: tuple[int, int] = (64, 48)
    frames: int = 40
    pts: Sequence[int] | None = None
    ticks: int = FPS
    change: Callable[[Path], object] | None = None

    def write(self, folder: Path, draw: Callable[[int, int, int], Any] | None = None) -> Path:
        """Encode it into this folder."""
        path = folder / self.name
        os.environ.setdefault("SVT_LOG", "1")
        with scheduling_kept(), av.open(str(path), "w", format=self.format, container_options=self.muxer) as out:
            stream: Any = out.add_stream(self.codec, rate=Fraction(FPS), options=self._options())
            stream.width, stream.height, stream.pix_fmt = *self.size, self.pixels
            stream.time_base = stream.codec_context.time_base = Fraction(1, self.ticks)
            stream.codec_context.gop_size, stream.codec_context.thread_count = self.gop, 1
            for number, pts in enumerate(self.pts or range(self.frames)):
                frame = av.VideoFrame.from_ndarray((draw or drawn)(number, *self.size), format="rgb24")
                frame.pts, frame.time_base = pts, Fraction(1, self.ticks)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        if self.change:
            self.change(path)
        return path

    def times(self) -> list[float]:
        """Seconds at which its frames are shown, from the first one on."""
        pts = self.pts or range(self.frames)
        return [(p - pts[0]) / self.ticks for p in pts]

    def _options(self) -> dict[str, str]:
        base = _X264 if self.codec == "libx264" else {}
        with_b = self.codec in ("libx264", "mpeg4", "mpeg2video", "mpeg1video")
        return {**base, **({"bf": str(self.b_frames)} if with_b else {}), **self.options}


def drawn(number: int, width: int, height: int) -> Any:
    """The frame of this number (0 to 255), uint8 [height, width, 3]."""
    bits = np.array([255 * (number >> k & 1) for k in range(_COLUMNS * _ROWS)], np.uint8).reshape(_ROWS, _COLUMNS)
    rows, columns = np.arange(height) * _ROWS // height, np.arange(width) * _COLUMNS // width
    return np.repeat(bits[rows][:, columns][:, :, None], 3, axis=2)


def said(pixels: Any) -> int:
    """The number that a decoded frame says."""
    height, width = pixels.shape[0] // _ROWS, pixels.shape[1] // _COLUMNS
    cells = pixels[: height * _ROWS, : width * _COLUMNS].mean(axis=2).reshape(_ROWS, height, _COLUMNS, width)
    means = cells[:, height // 4 : -height // 4, :, width // 4 : -width // 4].mean(axis=(1, 3)).ravel()
    return sum(1 << k for k, mean in enumerate(means) if mean > 127)


def _boxes(data: bytes, start: int, end: int, path: tuple[bytes, ...] = ()) -> Iterator[tuple[tuple[bytes, ...], int]]:
    at = start
    while at + 8 <= end:
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        yield (*path, kind), at
        if kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts"):
            yield from _boxes(data, at + 8, at + size, (*path, kind))
        at += size


def _box(data: bytes, *kinds: bytes) -> int:
    return next(at for path, at in _boxes(data, 0, len(data)) if path[-len(kinds) :] == kinds)


def set_matrix(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Write a display matrix of quarter turns and mirrors: x' = ax + cy, y' = bx + dy."""
    data, one = bytearray(path.read_bytes()), 1 << 16
    at = _box(bytes(data), b"trak", b"tkhd") + 8 + 40
    data[at : at + 36] = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def without_key_table(path: Path) -> Path:
    """Take away the table of key frames: every picture is one, says the container."""
    data = bytearray(path.read_bytes())
    at = _box(bytes(data), b"stbl", b"stss")
    data[at + 4 : at + 8] = b"free"
    path.write_bytes(data)
    return path


def set_edits(path: Path, *stretches: tuple[int, int], b_delay: int = 0) -> Path:
    """Show these stretches of frames only (first, behind the last); `b_delay` frames lie before the first."""
    data = path.read_bytes()
    movie = int.from_bytes(data[(at := _box(data, b"mvhd")) + 20 : at + 24], "big")
    track = int.from_bytes(data[(at := _box(data, b"mdhd")) + 20 : at + 24], "big")
    entries = [((last - first) * movie // FPS, (first + b_delay) * track // FPS) for first, last in stretches]
    body = struct.pack(">II", 0, len(entries)) + b"".join(struct.pack(">IiI", d, m, 1 << 16) for d, m in entries)
    elst = struct.pack(">I4s", 8 + len(body), b"elst") + body
    edts = struct.pack(">I4s", 8 + len(elst), b"edts") + elst
    at = _box(data, b"trak", b"edts")
    old = int.from_bytes(data[at : at + 4], "big")
    changed = bytearray(data[:at] + edts + data[at + old :])
    for kinds in ((b"moov",), (b"moov", b"trak")):
        outer = _box(data, *kinds)
        size = int.from_bytes(data[outer : outer + 4], "big") + len(edts) - old
        changed[outer : outer + 4] = size.to_bytes(4, "big")
    path.write_bytes(changed)
    return path


def _uneven(count: int) -> list[int]:
    """Milliseconds of a recording of variable rate: gaps of 20 to 500 ms."""
    gaps = [(20, 40, 100, 500)[n * n % 7 % 4] for n in range(count - 1)]
    return [sum(gaps[:n]) for n in range(count)]


def _x264(parameters: str) -> dict[str, str]:
    return {"x264-params": parameters}


def _x265(parameters: str) -> dict[str, str]:
    return {"x265-params": f"{_X265}:{parameters}", "preset": "ultrafast"}


_OPEN = _x264(f"open-gop=1:{_STEADY}")
_REFRESH = _x264("intra-refresh=1:keyint=12:scenecut=0")
_VP8 = {"b": "800k", "cpu-used": "8", "auto-alt-ref": "1", "lag-in-frames": "16"}
_VP9 = {"b": "800k", "cpu-used": "8", "auto-alt-ref": "1", "lag-in-frames": "16", "deadline": "realtime"}
_AV1 = {"preset": "12", "crf": "30"}
_OLD = {"b": "800k"}
_GAPS = [n + 3 * (n // 5) for n in range(40)]
_MS = {"video_track_timescale": "1000"}

FILMS = [
    # H.264 in MP4, closed groups
    Film(name="h264.mp4"),
    Film(name="h264_b.mp4", b_frames=3, options=_x264(_STEADY)),
    Film(name="h264_pyramid.mp4", b_frames=8, options=_x264(f"b-pyramid=normal:ref=5:{_STEADY}")),
    Film(name="h264_baseline.mp4", options={"profile": "baseline", **_x264("cabac=0")}),
    Film(name="h264_long_group.mp4", gop=250, b_frames=2),
    Film(name="h264_short_groups.mp4", gop=3, b_frames=2, options=_x264(f"min-keyint=1:{_STEADY}")),
    Film(name="h264_all_key.mp4", gop=1),
    Film(name="h264_faststart.mp4", b_frames=2, options=_x264(_STEADY), muxer={"movflags": "faststart"}),
    Film(name="h264_no_edits.mp4", b_frames=2, options=_x264(_STEADY), muxer={"use_editlist": "0"}),
    Film(name="h264_uneven.mp4", pts=_uneven(40), ticks=1000, muxer=_MS),
    Film(name="h264_uneven_b.mp4", pts=_uneven(40), ticks=1000, muxer=_MS, b_frames=3, options=_x264(_STEADY)),
    Film(name="h264_short_no_edits.mp4", gop=3, b_frames=8, muxer={"use_editlist": "0"}),
    Film(name="h264_one_frame.mp4", frames=1),
    Film(name="h264_10_bits.mp4", pixels="yuv420p10le"),
    Film(name="h264_open.mp4", b_frames=3, options=_OPEN),
    Film(name="h264_refresh.mp4", gop=250, options=_REFRESH),
    Film(name="h264_no_key_table.mp4", b_frames=2, options=_x264(_STEADY), change=without_key_table),
    Film(name="h264_fragments.mp4", b_frames=2, muxer={"movflags": "frag_keyframe+empty_moov"}),
    Film(name="h264_fragments_edits.mp4", b_frames=2, muxer={"movflags": "frag_keyframe+delay_moov"}),
    Film(name="h264_interlaced.mp4", options={"flags": "+ildct+ilme", **_x264("tff=1")}),
    # H.264 elsewhere
    Film(name="h264_b.mov", b_frames=2, options=_x264(_STEADY)),
    Film(name="h264.3gp"),
    Film(name="h264_b.mkv", b_frames=3, options=_x264(_STEADY)),
    Film(name="h264_open.mkv", b_frames=3, options=_OPEN),
    Film(name="h264_refresh.mkv", gop=250, options=_REFRESH),
    Film(name="h264_uneven_b.mkv", pts=_uneven(40), ticks=1000, b_frames=2),
    Film(name="h264_b.flv", b_frames=2),
    Film(name="h264.ts", format="mpegts"),
    Film(name="h264_b.ts", b_frames=3, options=_x264(_STEADY), format="mpegts"),
    Film(name="h264_open.ts", b_frames=3, options=_OPEN, format="mpegts"),
    Film(name="h264_refresh.ts", gop=250, options=_REFRESH, format="mpegts"),
    Film(name="h264.avi"),
    Film(name="h264_b.avi", b_frames=3, options=_x264(_STEADY)),
    Film(name="h264_gaps.avi", pts=_GAPS),
    Film(name="mpeg4_gaps.avi", codec="mpeg4", options=_OLD, pts=_GAPS),
    # HEVC
    Film(name="hevc_closed.mp4", codec="libx265", options=_x265("open-gop=0:bframes=4")),
    Film(name="hevc_open.mp4", codec="libx265", options=_x265("open-gop=1:bframes=4")),
    Film(name="hevc_leading.mp4", codec="libx265", options=_x265("open-gop=0:bframes=4:radl=2")),
    Film(name="hevc_no_key_table.mp4", codec="libx265", options=_x265("open-gop=1"), change=without_key_table),
    Film(name="hevc_open.mkv", codec="libx265", options=_x265("open-gop=1:bframes=4")),
    Film(name="hevc_open.ts", codec="libx265", options=_x265("open-gop=1:bframes=4"), format="mpegts"),
    # VP8, VP9, AV1
    Film(name="vp8.webm", codec="libvpx", options=_VP8),
    Film(name="vp8.ogv", codec="libvpx", options=_VP8, format="ogg"),
    Film(name="vp9.webm", codec="libvpx-vp9", options=_VP9),
    Film(name="vp9.mp4", codec="libvpx-vp9", options=_VP9),
    Film(name="av1.mp4", codec="libsvtav1", options=_AV1),
    Film(name="av1.webm", codec="libsvtav1", options=_AV1),
    # what cameras, discs and the 2000s left
    Film(name="mpeg1_b.mpg", codec="mpeg1video", b_frames=2, options=_OLD),
    Film(name="mpeg2_b.mpg", codec="mpeg2video", b_frames=2, options=_OLD),
    Film(name="mpeg2_b.mp4", codec="mpeg2video", b_frames=2, options=_OLD),
    Film(name="mpeg2_b.ts", codec="mpeg2video", b_frames=2, options=_OLD, format="mpegts"),
    Film(name="mpeg2_b.mkv", codec="mpeg2video", b_frames=2, options=_OLD),
    Film(name="mpeg4_b.avi", codec="mpeg4", b_frames=2, options=_OLD),
    Film(name="mpeg4_b.mp4", codec="mpeg4", b_frames=2, options=_OLD),
    Film(name="mpeg4.mov", codec="mpeg4", options=_OLD),
    Film(name="h263.3gp", codec="h263", options=_OLD, size=(128, 96)),
    Film(name="flv1.flv", codec="flv", options=_OLD),
    Film(name="wmv1.wmv", codec="wmv1", options=_OLD),
    Film(name="wmv2.wmv", codec="wmv2", options=_OLD),
    Film(name="wmv2.avi", codec="wmv2", options=_OLD),
    Film(name="mjpeg.avi", codec="mjpeg", pixels="yuvj420p"),
    Film(name="mjpeg.mov", codec="mjpeg", pixels="yuvj420p"),
    Film(name="mjpeg.mkv", codec="mjpeg", pixels="yuvj420p"),
    Film(name="prores.mov", codec="prores_ks", pixels="yuv422p10le"),
    Film(name="ffv1.mkv", codec="ffv1"),
    Film(name="animated.gif", codec="gif", pixels="rgb8"),
]
