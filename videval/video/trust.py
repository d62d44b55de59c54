"""Which readers besides PyAV may read a file: those of which it is shown that they give its frames and its pixels.

PyAV reads everything: each of its frames says its own time. The others read the kinds of files on which a test
compares them with it, frame by frame and pixel by pixel (tests/unit/test_readers.py), and of these only such as their
ways of seeking cannot go wrong on. A damaged picture is no proof of anything: each library repairs it in its own way,
and only PyAV tells.
"""

from collections.abc import Mapping, Sequence

from av.container import InputContainer
from av.video.stream import VideoStream

from videval.video import DECORD, TORCHCODEC
from videval.video.timeline import Packet, objection_to_decord

__all__ = ["COUNTED", "TRUSTED", "objections"]

TRUSTED: Mapping[str, frozenset[tuple[str, str]]] = {
    DECORD: frozenset({("mov", "h264")}),
    TORCHCODEC: frozenset(
        {
            *(("mov", codec) for codec in ("h264", "hevc", "vp9", "av1", "mjpeg")),
            *(("matroska", codec) for codec in ("h264", "hevc", "vp8", "vp9", "av1", "mjpeg")),
            ("flv", "h264"),
        }
    ),
}
"""Reader to containers and codecs (FFmpeg's names) that it reads as PyAV does."""
COUNTED = dict.fromkeys(TRUSTED, "its packets do not prove which frames are shown")
_BITS = 8


def objections(container: InputContainer, stream: VideoStream, packets: Sequence[Packet]) -> dict[str, str]:
    """Why each of the other readers is not trusted with this file; a reader that is not named is."""
    kind, codec = container.format.name.split(",")[0], stream.codec_context.codec.canonical_name
    why = _to_any(container, stream, packets)
    unknown = f"{codec} in {kind}"
    said = {name: why or unknown for name, trusted in TRUSTED.items() if why or (kind, codec) not in trusted}
    if DECORD not in said and (of_decord := _index(stream, packets) or objection_to_decord(packets)):
        said[DECORD] = of_decord
    return said


def _to_any(container: InputContainer, stream: VideoStream, packets: Sequence[Packet]) -> str:
    pixels = stream.codec_context.format
    if len(container.streams.video) > 1:
        return "it has several videos"
    if pixels is None or pixels.components[0].bits != _BITS:
        return "its colours are not of 8 bits"
    if any(p.is_discard or p.is_hidden for p in packets):
        return "not all of its pictures are shown"
    return ""


def _index(stream: VideoStream, packets: Sequence[Packet]) -> str:
    """What the file's index, which decord follows, says otherwise than its packets."""
    if stream.frames != len(packets):
        return f"its index names {stream.frames} pictures, there are {len(packets)}"
    if [(e.timestamp, e.is_keyframe) for e in stream.index_entries] != [(p.dts, p.is_key) for p in packets]:
        return "its index names other key frames than there are"
    return ""
