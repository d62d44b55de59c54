"""The clips of one request: asked for one after the other, and held until it is answered."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from videval.db.records import RunConfig
from videval.errors import RequestFailure
from videval.types import Clip, ClipRef, Fit, FrameSampling
from videval.video.clips import Fetched, Wanted

__all__ = ["FrameSource", "Holder"]


class FrameSource(Protocol):
    """Gives clips: decoder processes in a worker, the cache itself in a test."""

    def hold(
        self, wanted: Wanted, *, on_decode: Callable[[], None], at_once: bool = False
    ) -> AbstractContextManager[Fetched]:
        """The frames of one video, which stay where they are until the block ends. Raises VideoFailure.

        `on_decode` is called when its turn to be decoded comes; `at_once`: who asks holds other clips meanwhile, so it
        must not wait until somebody lets go of some.
        """


class Holder:
    """Asks for the clips of a run's request, and holds them until `holding` ends.

    `fit`: for which model frames may be kept at the size that it sees them.
    """

    def __init__(
        self,
        frames: FrameSource,
        holding: ExitStack,
        run: RunConfig,
        folder_fps: float,
        *,
        on_decode: Callable[[], None],
        fit: Fit | None = None,
    ) -> None:
        self._fit = fit
        self._frames, self._holding, self._run = frames, holding, run
        self._folder_fps, self._on_decode = folder_fps, on_decode
        self._held = 0
        self.decoded = 0
        """How many of them were decoded for this request, and were not in the cache."""

    def clips(self, refs: Sequence[ClipRef], files: Callable[[str], Path]) -> tuple[Clip, ...]:
        """The clips of a question in order."""
        clips = []
        for number, ref in enumerate(refs, 1):
            with _named(f"clip {number} of {len(refs)}: " if len(refs) > 1 else ""):
                clips.append(self.clip(files(ref.video), self._run.sampling_of(ref), ref.span))
        return tuple(clips)

    def whole(self, refs: Sequence[ClipRef], files: Callable[[str], Path]) -> tuple[Clip, ...]:
        """The same with whole frames."""
        self._fit = None
        return self.clips(refs, files)

    def clip(self, path: Path, sampling: FrameSampling | None = None, span: tuple[float, float] | None = None) -> Clip:
        """The clip of a video, under the run's own sampling if no other is said."""
        wanted = Wanted(
            path=path,
            sampling=sampling or self._run.sampling,
            span=span,
            folder_fps=self._folder_fps,
            max_pixels=self._run.max_pixels,
            fit=self._fit,
        )
        held = self._frames.hold(wanted, on_decode=self._on_decode, at_once=self._held > 0)
        fetched = self._holding.enter_context(held)
        self._held += 1
        self.decoded += fetched.decoded
        return fetched.clip


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Say in a failure which of several clips it is about."""
    try:
        yield
    except RequestFailure as error:
        error.args = (f"{what}{error}",)
        raise
