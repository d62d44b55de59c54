"""Who reads a video: one rule, by what is known of the file and what is asked of it.

All readers give the same pixels (see `trust.py`), so the rule is about time alone: `perf/choosing.py` measures it.
"""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from videval.errors import EnvironmentProblem
from videval.types import ReaderName
from videval.video import DECORD, NVDEC, PYAV, TORCHCODEC
from videval.video.clips import Reading
from videval.video.footage import Footage
from videval.video.pyav_reader import PyavReader
from videval.video.readers import Reader, ReadError

__all__ = ["Facts", "chosen", "facts_of", "open_by", "reader_for"]

NAMES: Mapping[ReaderName, str] = {"pyav": PYAV, "decord": DECORD, "torchcodec": TORCHCODEC, "nvdec": NVDEC}
MANY = 32
"""Frames from which on torchcodec saves more than it takes to get ready."""
SHORT = 500
"""Pictures up to which it costs little that decord looks through the file once more."""
THIN = 50
"""Pictures to decode for each wanted frame, from which on it costs little that decord seeks and colours slower."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What the choice depends on: so many frames are wanted of so many pictures, which are coded in so many groups.
    `has_spare`: pictures may be left out of decoding, which PyAV alone does; `trusted`: who else may read the file."""

    frames: int
    pictures: int
    groups: int
    has_spare: bool
    trusted: frozenset[str]


def reader_for(facts: Facts) -> str:
    """The name of the reader that costs least; where decord costs no more than a fifth above that, it reads: it is what
    most published numbers were made with."""
    if facts.has_spare or not facts.frames:
        return PYAV
    if TORCHCODEC in facts.trusted and facts.frames >= MANY:
        return TORCHCODEC
    thin = facts.pictures >= THIN * max(facts.frames, facts.groups)
    return DECORD if DECORD in facts.trusted and thin and facts.pictures <= SHORT else PYAV


def facts_of(footage: Footage, frames: int) -> Facts:
    """What is known of a video of which so many frames are wanted."""
    return Facts(
        frames=frames,
        pictures=len(footage.timeline.times),
        groups=len(footage.timeline.starts),
        has_spare=footage.has_spare and footage.is_reordered,
        trusted=frozenset(n for n in (DECORD, TORCHCODEC) if n not in footage.objections and _is_installed(n)),
    )


def chosen(footage: Footage, frames: int, reading: Reading) -> str:
    """The name of the reader that is set, or by the rule. Raises EnvironmentProblem if what is set is not installed."""
    if reading.reader == "auto":
        return reader_for(facts_of(footage, frames))
    name = NAMES[reading.reader]
    if not _is_installed(name):
        hint = f"pip install {name}, or unset VIDEVAL_READER"
        raise EnvironmentProblem(f"VIDEVAL_READER={reading.reader}: {name} is not installed", hint=hint)
    return name


def open_by(name: str, footage: Footage) -> Reader:
    """The video, opened by this reader. Raises READ_ERRORS, also where it is not trusted with the file."""
    if objection := footage.objections.get(name):
        raise ReadError(f"not trusted with it: {objection}")
    return _OPENERS[name](footage)


def _open_decord(footage: Footage) -> Reader:
    try:
        from videval.video.decord_reader import DecordReader
    except ImportError as error:  # what else its library raises is one of READ_ERRORS
        raise ReadError(f"cannot be loaded: {error}") from error
    return DecordReader(footage)


def _open_torchcodec(footage: Footage) -> Reader:
    from videval.video.torchcodec_reader import TorchcodecReader

    return TorchcodecReader(footage)


def _open_nvdec(footage: Footage) -> Reader:
    from videval.video.nvdec_reader import NvdecReader

    return NvdecReader(footage)


_OPENERS: Mapping[str, Callable[[Footage], Reader]] = {
    PYAV: PyavReader,
    DECORD: _open_decord,
    TORCHCODEC: _open_torchcodec,
    NVDEC: _open_nvdec,
}


def _is_installed(name: str) -> bool:
    return name in (PYAV, NVDEC) or importlib.util.find_spec(name) is not None
