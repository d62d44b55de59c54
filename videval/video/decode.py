"""Reading the frames of a video: by what its packets prove, or by counting; folders of images are Pillow's.

The only door to a decoder. Who reads what the packets prove is chosen by a rule (`choosing.py`); where they prove too
little, PyAV counts the frames by decoding all of them. A reader that cannot, or that finds a frame where it should not
be, gives way to the next.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import NoReturn, TypeVar

import numpy as np

from videval.errors import VideoFailure
from videval.types import FrameSampling
from videval.video import PILLOW, PYAV
from videval.video.choosing import chosen, open_by
from videval.video.clips import AUTO, Reading
from videval.video.decoded import Allocate, Decoded, InMemory, Shape, Sink, Watch
from videval.video.footage import Footage, counted, examine
from videval.video.integrity import check_file
from videval.video.pyav_reader import PyavReader
from videval.video.readers import (
    READ_ERRORS,
    FolderReader,
    Frames,
    Reader,
    ReadError,
    VideoInfo,
    open_image,
)
from videval.video.sampling import Clock, FrameChoice, Span, check_sampling, choose_frames, seconds_shown
from videval.video.scaling import Fitting, check_size, scale_note, scaled, shown_size

__all__ = ["Frames", "VideoInfo", "decode", "decode_into", "probe", "read_image"]

FOLDER_FPS = 3.0
LOOKED_THROUGH = 1e6
"""Bytes of a file a second that are looked through at the very least, all of it decoded where its packets prove
nothing: slower than any film is played."""
A_FRAME = 0.25
"""Seconds that a frame may take to be brought to its size and kept, at the very most."""
T = TypeVar("T")
Heard = Callable[[float], None]
_Opening = tuple[str, Callable[[], Reader]]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Job:
    """What is asked of a reader."""

    sampling: FrameSampling
    span: Span | None
    size: tuple[int, int] | None
    max_pixels: int | None
    fitting: Fitting | None
    allocate: Allocate

    def frames(self, footage: Footage) -> int:
        """About how many frames it wants; of a span that cannot be, as many as of the whole."""
        there, span = len(footage.timeline.times), footage.duration
        if self.span is not None and all(map(math.isfinite, self.span)):
            span = min(abs(self.span[1] - self.span[0]), span)
        wanted = self.sampling.num_frames or math.ceil(min(span * (self.sampling.fps or footage.fps), there))
        return min(wanted, self.sampling.max_frames or wanted, there)


def probe(path: Path, *, folder_fps: float = FOLDER_FPS) -> VideoInfo:
    """Look at a video without choosing frames. Raises VideoFailure as `decode` does."""
    path = path.absolute()
    return _first_that_reads(path, lambda: _readers(path, folder_fps), lambda reader, _: reader.info)[0]


def decode(
    path: Path,
    sampling: FrameSampling,
    span: Span | None = None,
    *,
    folder_fps: float = FOLDER_FPS,
    size: tuple[int, int] | None = None,
    max_pixels: int | None = None,
    reading: Reading = AUTO,
) -> InMemory:
    """Choose and read the frames of a video or of a folder of images into memory: see `decode_into`."""
    made: list[Frames] = []

    def allocate(shape: Shape) -> Frames:
        made.append(np.empty(shape, np.uint8))
        return made[-1]

    found = decode_into(
        path,
        sampling,
        span,
        folder_fps=folder_fps,
        size=size,
        max_pixels=max_pixels,
        reading=reading,
        allocate=allocate,
    )
    return InMemory(**{f.name: getattr(found, f.name) for f in fields(found)}, frames=made[-1])


def decode_into(
    path: Path,
    sampling: FrameSampling,
    span: Span | None = None,
    *,
    allocate: Allocate,
    folder_fps: float = FOLDER_FPS,
    size: tuple[int, int] | None = None,
    max_pixels: int | None = None,
    fitting: Fitting | None = None,
    reading: Reading = AUTO,
    watch: Watch = lambda name, seconds: None,
) -> Decoded:
    """Choose the frames of a video or of a folder of images, and read them one by one into what `allocate` makes.

    `span` in seconds; `folder_fps` is the frame rate of a folder. `size` (width, height) or `max_pixels` (width x
    height at most, same shape) scale the frames bicubically with antialiasing (Pillow) after decoding, whatever the
    decoder; `fitting` then brings them to the size that a model's processor would. `reading`: who reads; `watch` hears
    who is at work. Raises VideoFailure that names the file and every reader's reason, UsageError for a sampling or a
    size that cannot be, EnvironmentProblem for a reader that is not installed.
    """
    check_sampling(sampling)
    check_size(size, max_pixels)
    job = _Job(sampling=sampling, span=span, size=size, max_pixels=max_pixels, fitting=fitting, allocate=allocate)
    path = path.absolute()
    readers = partial(_readers, path, folder_fps, job, reading)
    decoded, said = _first_that_reads(path, readers, partial(_read, job), watch=watch)
    notes = (*decoded.notes, *([reading.note] if reading.note else []), *said)
    return replace(decoded, notes=notes)


def read_image(path: Path) -> Frames:
    """Read an image file as uint8 [height, width, 3], turned upright. Raises VideoFailure."""
    check_file(path)
    try:
        return open_image(path)
    except ReadError as error:
        raise VideoFailure(f"{path}: not an image that can be read: {error}") from error


def _first_that_reads(
    path: Path,
    readers: Callable[[], Iterator[_Opening]],
    use: Callable[[Reader, Heard], T],
    *,
    watch: Watch = lambda name, seconds: None,
) -> tuple[T, list[str]]:
    """What the first reader gives that can, and what is said of those before it that are not PyAV."""
    looking = _looking(path)
    reasons: list[str] = []
    watch(PYAV, looking)
    for name, open_reader in readers():

        def heard(seconds: float, name: str = name) -> None:
            watch(name, looking + seconds)

        heard(0.0)
        try:
            return use(open_reader(), heard), [said for said in reasons if not said.startswith(PYAV)]
        except READ_ERRORS as error:
            reasons.append(f"{name}: {_brief(error, path)}")
        except VideoFailure as error:
            raise VideoFailure(f"{path}: {error}", hint=error.hint) from error
    raise VideoFailure(f"{path}: cannot be decoded ({'; '.join(reasons)})")


def _readers(path: Path, folder_fps: float, job: _Job | None = None, reading: Reading = AUTO) -> Iterator[_Opening]:
    """The readers of a video, best first; one that raises READ_ERRORS gives way to the next."""
    if _is_folder(path):
        yield PILLOW, lambda: FolderReader(path, folder_fps)
        return
    check_file(path)
    try:
        footage = examine(path)
    except READ_ERRORS as error:
        yield PYAV, partial(_raise, error)
        return
    first = chosen(footage, job.frames(footage) if job else 0, reading)
    for name in dict.fromkeys((first, PYAV)):
        yield name, partial(open_by, name, footage)
    if not footage.timeline.is_counted:
        yield f"{PYAV}, counting", lambda: PyavReader(counted(footage))


def _looking(path: Path) -> float:
    """How many seconds it may take to look a file through; none for what is no file, which is said later."""
    try:
        return path.stat().st_size / LOOKED_THROUGH
    except (OSError, ValueError):
        return 0.0


def _raise(error: Exception) -> NoReturn:
    raise error


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _read(job: _Job, reader: Reader, heard: Heard) -> Decoded:
    info = reader.info
    choice = _choose(reader, job)
    width, height = shown_size(info.width, info.height, job.size, job.max_pixels)
    fitted = _fitted(job, info, choice, width, height)
    kept_width, kept_height = fitted or (width, height)
    shape = (len(choice.indices), kept_height, kept_width, 3)
    heard = partial(heard, reader.duration + A_FRAME * len(choice.indices))
    sink = job.allocate(shape)
    heard()  # now, as it may have waited for room until here
    _fill(sink, partial(_brought, job, (width, height), fitted), reader, choice.indices, heard)
    times = tuple(reader.seconds(n) for n in choice.indices)
    odd = choice.notes or _outside_note(times, info.fps, job)
    return Decoded(
        shape=shape,
        source=(width, height) if fitted else None,
        timestamps=times,
        info=info,
        choice=choice,
        notes=(*odd, *reader.notes(), *scale_note((info.width, info.height), (width, height))),
    )


def _fitted(job: _Job, info: VideoInfo, choice: FrameChoice, width: int, height: int) -> tuple[int, int] | None:
    if job.fitting is None:
        return None
    seconds = seconds_shown(info.total_frames, info.fps, choice.span_frames)
    return job.fitting.size(job.sampling, seconds, frames=len(choice.indices), width=width, height=height)


def _brought(job: _Job, size: tuple[int, int], fitted: tuple[int, int] | None, frame: Frames) -> Frames:
    """A frame at the size at which it is kept."""
    frame = scaled(frame, *size)
    return job.fitting.resized(frame, *fitted) if job.fitting and fitted else frame


def _choose(reader: Reader, job: _Job) -> FrameChoice:
    info, clock = reader.info, None
    if job.sampling.times == "real":
        clock = Clock(times=[reader.seconds(n) for n in range(info.total_frames)], end=reader.duration)
    return choose_frames(info.total_frames, info.fps, job.sampling, job.span, first=reader.first, clock=clock)


def _outside_note(times: Sequence[float], fps: float, job: _Job) -> tuple[str, ...]:
    """Where the rate varies, seconds that were counted in frames of the mean rate lie elsewhere; two are rounding."""
    if job.span is None or job.sampling.times == "real":
        return ()
    start, end = job.span
    outside = [t for t in times if not start - 2 / fps <= t <= end + 2 / fps]
    if not outside:
        return ()
    return (
        f"{len(outside)} of {len(times)} frames are shown outside of the span {start:g}..{end:g} s, "
        f"at {min(outside):.2f}..{max(outside):.2f} s: the frame rate varies, and the span was counted in frames",
    )


def _fill(
    sink: Sink,
    brought: Callable[[Frames], Frames],
    reader: Reader,
    indices: Sequence[int],
    heard: Callable[[], None],
) -> None:
    """Read each frame once and put it wherever it is asked for; `heard` is told of each."""
    places: dict[int, list[int]] = {}
    for place, number in enumerate(indices):
        places.setdefault(number, []).append(place)
    for number, pixels in reader.read(sorted(places)):
        frame = brought(pixels)
        for place in places.pop(number):
            sink[place] = frame
        heard()
    if places:
        raise ReadError(f"{len(places)} frames are missing")


def _brief(error: Exception, path: Path) -> str:
    """A decoder's reason in one line, without the number and the path that the message has anyway."""
    line = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    line = _NOISE.sub("", line).replace(f"'{path}'", "the file").replace(f"[{path}]", "")
    return line.replace(str(path), "the file")[:200]


_NOISE = re.compile(r"\[Errno [0-9]+\] ")
