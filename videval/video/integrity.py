"""What a file's first bytes say, before a decoder sees it: missing, empty, cut off, or no video but a play list.

Decoders show what is left of a file that was cut off as if it were whole, and follow play lists to other files.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from videval.errors import VideoFailure

__all__ = ["check_file"]

_PLAY_LISTS = (b"#EXTM3U", b"ffconcat", b"<?xml", b"<MPD")
_MP4_FIRST = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
_MP4_BOXES = (*_MP4_FIRST, b"moof", b"sidx", b"styp", b"mfra", b"uuid", b"pnot", b"udta", b"meta")
_MATROSKA = b"\x1a\x45\xdf\xa3"
_SEGMENT = 0x18538067


def check_file(path: Path) -> None:
    """Raise VideoFailure if `path` is not a file that a decoder should be given; says what is wrong with it."""
    size = _size(path)
    if size == 0:
        raise VideoFailure(f"{path}: the file is empty")
    with path.open("rb") as file:
        head = file.read(16).lstrip(b"\xef\xbb\xbf \t\r\n")
        if head.startswith(_PLAY_LISTS):
            raise VideoFailure(f"{path}: a play list, not a video")
        expected = _expected_size(file, size)
    if expected > size:
        raise VideoFailure(f"{path}: truncated: {size} of at least {expected} bytes are there")


def _size(path: Path) -> int:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise VideoFailure(f"{path}: not a file")
        if not os.access(path, os.R_OK):
            raise VideoFailure(f"{path}: may not be read (permissions)")
    except FileNotFoundError:
        raise VideoFailure(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise VideoFailure(f"{path}: cannot be opened: {error}") from error
    return found.st_size


def _expected_size(file: BinaryIO, size: int) -> int:
    """How long the container says it is, in bytes; `size` where it does not say."""
    file.seek(0)
    head = file.read(8)
    if head[4:8] in _MP4_FIRST:
        return max(_mp4_ends(file, size), default=size)
    if head[:4] == _MATROSKA:
        return _matroska_end(file) or size
    if head[:4] == b"GIF8":
        return _gif_end(file)
    return size


def _mp4_ends(file: BinaryIO, size: int) -> Iterator[int]:
    """Where the top-level boxes of an MP4 file end; stops at what is no box (files may have a tail of anything)."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8 or head[4:8] not in _MP4_BOXES:
            return
        at += length
        yield at


def _gif_end(file: BinaryIO) -> int:
    """Where the last block of a GIF ends: at its trailer, or where a block is announced that is not there."""
    file.seek(10)
    _skip_colours(file)
    file.seek(2, os.SEEK_CUR)
    while (kind := file.read(1)) in (b"!", b","):
        if kind == b"!":
            file.seek(1, os.SEEK_CUR)
        else:
            file.seek(8, os.SEEK_CUR)
            _skip_colours(file)
            file.seek(1, os.SEEK_CUR)
        while length := int.from_bytes(file.read(1) or b"\1", "big"):
            file.seek(length, os.SEEK_CUR)
            if file.tell() > os.fstat(file.fileno()).st_size:
                return file.tell()
    return file.tell()


def _skip_colours(file: BinaryIO) -> None:
    """Skip what a flag byte announces: the colour table (its other two bytes, if any, are the caller's)."""
    flags = int.from_bytes(file.read(1), "big")
    if flags & 0x80:
        file.seek(3 << ((flags & 7) + 1), os.SEEK_CUR)


def _matroska_end(file: BinaryIO) -> int | None:
    """Where the segment of a Matroska or WebM file ends; None if unknown (live recordings)."""
    file.seek(4)
    header = _vint(file)
    if header is None:
        return None
    file.seek(header, os.SEEK_CUR)
    if int.from_bytes(file.read(4), "big") != _SEGMENT:
        return None
    length = _vint(file)
    return None if length is None else file.tell() + length


def _vint(file: BinaryIO) -> int | None:
    """Read a variable-length integer of EBML; None if it is absent or says `unknown`."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    width = 9 - first[0].bit_length()
    rest = file.read(width - 1)
    value = int.from_bytes(first + rest, "big") - (1 << (7 * width))
    return None if value == (1 << (7 * width)) - 1 else value
