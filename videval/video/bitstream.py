"""What the first bytes of a coded picture say: whether decoding may begin there, and whether it is shown at all.

A container's key flags are no proof: files without a table of key frames flag every picture, and intra refresh flags
pictures that become whole only later. Sources: ITU-T H.264 7.4.1, ITU-T H.265 7.4.2.2, RFC 6386 9.1, the VP9 bitstream
specification 6.2 and the AV1 one 5.3 and 5.9.
"""

from collections.abc import Iterator

__all__ = ["is_hidden", "is_start", "may_resize"]

_IDR = 5
_SPS = 7
_H264_SLICES = range(1, 6)
_HEVC_SLICES = range(32)
_HEVC_STARTS = (19, 20, 21)
"""IDR and CRA; not BLA, after which a decoder leaves out pictures that the container counts."""
_AV1_FRAMES = (3, 6)
_VP8_SHOWN = 0x10


def is_start(codec: str, data: bytes, extradata: bytes) -> bool:
    """Whether every picture that is shown after this one can be decoded from here; False where that is not known.

    `extradata` is the stream's configuration record, which says how the units of H.264 and HEVC are framed.
    """
    if codec == "h264":
        return next((n & 31 for n in _units(data, extradata, 4) if n & 31 in _H264_SLICES), None) == _IDR
    if codec == "hevc":
        kinds = (n >> 1 & 63 for n in _units(data, extradata, 21))
        return next((k for k in kinds if k in _HEVC_SLICES), None) in _HEVC_STARTS
    if codec == "vp8":
        return bool(data) and not data[0] & 1
    if codec == "vp9":
        return _starts_vp9(data)
    return codec == "av1" and _starts_av1(data)


def may_resize(codec: str, data: bytes, extradata: bytes) -> bool:
    """Whether a picture of H.264 brings a sequence parameter set, and so perhaps another size."""
    return codec == "h264" and any(n & 31 == _SPS for n in _units(data, extradata, 4))


def is_hidden(codec: str, data: bytes) -> bool:
    """Whether a packet holds a picture that is never shown; only VP8 has such packets."""
    return codec == "vp8" and bool(data) and not data[0] & _VP8_SHOWN


def _units(data: bytes, extradata: bytes, size_at: int) -> Iterator[int]:
    """The first header byte of each unit: behind its length if there is a configuration record, else a start code."""
    if extradata[:1] == b"\1" and len(extradata) > size_at:
        yield from _by_length(data, (extradata[size_at] & 3) + 1)
        return
    at = data.find(b"\0\0\1")
    while 0 <= at < len(data) - 3:
        yield data[at + 3]
        at = data.find(b"\0\0\1", at + 3)


def _by_length(data: bytes, width: int) -> Iterator[int]:
    at = 0
    while at + width < len(data):
        yield data[at + width]
        at += width + int.from_bytes(data[at : at + width], "big")


def _starts_vp9(data: bytes) -> bool:
    """Frame marker 0b10, two bits of profile (a third for profile 3), show_existing_frame 0, frame_type 0 (key)."""
    if not data or data[0] >> 6 != 0b10:
        return False
    bits = data[0] << 1 if data[0] >> 4 & 3 == 3 else data[0]
    return not bits & 0b1100


def _starts_av1(data: bytes) -> bool:
    """Whether the first frame of a temporal unit is a key frame that is shown at once."""
    at = 0
    while at < len(data):
        kind, extended, sized = data[at] >> 3 & 15, data[at] >> 2 & 1, data[at] >> 1 & 1
        at += 1 + extended
        size, at = _leb128(data, at) if sized else (len(data) - at, at)
        if kind in _AV1_FRAMES:
            return at < len(data) and data[at] >> 4 == 0b0001
        at += size
    return False


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 56, 7):
        if at >= len(data):
            break
        value |= (data[at] & 127) << shift
        at += 1
        if not data[at - 1] & 128:
            break
    return value, at
