"""Where a worker's clips come from: the frame cache, or decoder processes, which fill it.

Frames are read in children that may crash, hang or leak without harm to the worker. A clip that is in the cache
already costs no child: the worker reads what it is by itself, and imports no decoder for it.
"""

import logging
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from weakref import WeakValueDictionary

from videval.errors import DeadlineExceeded, EnvironmentProblem, ProcessDied
from videval.inference import Released
from videval.settings import Settings
from videval.types import Clip, FrameSampling
from videval.video import DECORD
from videval.video.clips import find_clip, key_of
from workers.child import Child, Message
from workers.wire import clip_from, error_from

__all__ = ["Decoders"]

log = logging.getLogger(__name__)
SECRET = re.compile(r"_URL$|TOKEN|PASSWORD|SECRET|_KEY$|^PG|CREDENTIAL", re.IGNORECASE)
"""Variables that a process which reads strangers' videos is not given."""
RECYCLE_AFTER = 1000
"""Clips after which a decoder process is replaced: the libraries leak."""
DECORD_PATIENCE = 30.0
"""Seconds that decord may take for a few frames; on some files it never comes back. At most a quarter of the deadline,
so that PyAV has time for them."""


class Decoders:
    """A few decoder processes that request threads borrow one at a time; started when first needed."""

    def __init__(self, settings: Settings, *, keep_fds: Sequence[int] = ()) -> None:
        self._settings = settings
        self._keep_fds = tuple(keep_fds)
        self._idle: queue.LifoQueue[_Decoder | None] = queue.LifoQueue()
        for _ in range(settings.decoders):
            self._idle.put(None)
        self._alive: set[_Decoder] = set()
        self._not_decords: set[str] = set()
        self._turns: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self._lock = threading.Lock()
        self._closed = False

    def clip(
        self,
        path: Path,
        sampling: FrameSampling,
        span: tuple[float, float] | None,
        *,
        folder_fps: float,
        max_pixels: int | None,
        on_decode: Callable[[], None],
    ) -> Clip:
        """The frames of one video: found in the cache, or decoded in a child; where decord hangs or crashes, by PyAV.

        `on_decode` is called when it has to be decoded and its turn has come. Who wants the same clip meanwhile waits,
        and keeps no decoder from others. Raises VideoFailure; ProcessDied and DeadlineExceeded if the decoder crashed
        or hung on it; EnvironmentProblem if the cache cannot be written.
        """
        folder = self._settings.frame_cache_path
        key = key_of(path, sampling, span, folder_fps=folder_fps, max_pixels=max_pixels)
        found = find_clip(folder, key)
        if found is not None:
            return found
        message: Message = {
            "path": str(path),
            "sampling": sampling.to_json(),
            "span": list(span) if span else None,
            "folder_fps": folder_fps,
            "max_pixels": max_pixels,
        }
        with self._turn(key):
            return find_clip(folder, key) or self._decode(message, on_decode)

    def prepare(self) -> None:
        """Have a decoder started, if none is there, before the first clip is wanted."""
        with suppress(EnvironmentProblem, Released):  # who wants a clip hears of it
            self._give_back(self._borrow())

    def _turn(self, key: str) -> threading.Lock:
        with self._lock:
            return self._turns.setdefault(key, threading.Lock())

    def _decode(self, message: Message, on_decode: Callable[[], None]) -> Clip:
        decoder = self._borrow()
        try:
            on_decode()
        except BaseException:
            self._give_back(decoder)
            raise
        without = [DECORD] if message["path"] in self._not_decords else []
        answer = self._ask(decoder, message | {"without": without})
        if "failure" in answer:
            raise error_from(answer)
        return clip_from(answer["clip"])

    def _ask(self, decoder: "_Decoder", message: Message) -> Message:
        """The answer of a borrowed decoder, which is given back; or of a new one, if it was decord that failed."""
        try:
            answer = decoder.ask(message, deadline=self._settings.decode_deadline)
        except (ProcessDied, DeadlineExceeded) as error:
            self._discard(decoder)
            if decoder.reader != DECORD:
                raise
            log.warning("%s (decord): it is read by PyAV", error)
            self._not_decords.add(message["path"])
            return self._ask(self._borrow(), message | {"without": [DECORD]})
        except BaseException:
            self._discard(decoder)
            raise
        self._give_back(decoder)
        return answer

    def pids(self) -> list[int]:
        """The process ids of the decoders that run now."""
        with self._lock:
            return [d.pid for d in self._alive]

    def close(self) -> None:
        """End all decoders. Who has borrowed one hears of its death and buries it: no pipe is closed under a thread
        that listens to it."""
        with self._lock:
            self._closed = True
            alive, self._alive = self._alive, set()
        for decoder in alive:
            decoder.end()
        for decoder in self._take_idle():
            decoder.kill()

    def _take_idle(self) -> list["_Decoder"]:
        """The decoders that nobody has borrowed; who comes for one later starts none."""
        taken: list[_Decoder | None] = []
        with suppress(queue.Empty):
            while True:
                taken.append(self._idle.get_nowait())
        for _ in taken:
            self._idle.put(None)
        return [decoder for decoder in taken if decoder is not None]

    def _borrow(self) -> "_Decoder":
        decoder = self._idle.get()
        try:
            if decoder is not None and not decoder.is_alive:  # died while nobody used it: nobody's fault
                decoder.kill()
                with self._lock:
                    self._alive.discard(decoder)
                decoder = None
            return decoder or self._start()
        except BaseException:
            self._idle.put(None)
            raise

    def _start(self) -> "_Decoder":
        decoder = _Decoder(self._settings, self._keep_fds)
        with self._lock:
            if not self._closed:
                self._alive.add(decoder)
                return decoder
        decoder.kill()
        raise Released("the worker is stopping")

    def _give_back(self, decoder: "_Decoder") -> None:
        if decoder.served >= RECYCLE_AFTER or self._closed:
            self._discard(decoder)
        else:
            self._idle.put(decoder)

    def _discard(self, decoder: "_Decoder") -> None:
        decoder.kill()
        with self._lock:
            self._alive.discard(decoder)
        self._idle.put(None)


class _Decoder:
    def __init__(self, settings: Settings, keep_fds: tuple[int, ...]) -> None:
        known = {name: value for name, value in os.environ.items() if not SECRET.search(name)}
        environ = known | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
        self._child = Child("workers.decoder_process", environ=environ, keep_fds=keep_fds)
        self.pid = self._child.pid
        self.served = 0
        self.reader = ""
        try:
            self._child.send({"folder": str(settings.frame_cache_path), "budget_gb": settings.frame_cache_gb})
            if not self._child.connection.poll(settings.decode_deadline):
                raise EnvironmentProblem(f"a decoder process did not start ({self._child.kill()})")
            self._child.receive()
        except (EOFError, OSError) as error:
            raise EnvironmentProblem(f"a decoder process did not start ({self._child.death()})") from error

    @property
    def is_alive(self) -> bool:
        if self._child.process.poll() is not None:
            return False
        return not self._child.connection.poll(0)  # an idle one has nothing to say but its end

    def ask(self, message: Message, *, deadline: float) -> Message:
        """Its answer; `reader` is who was at work last, also when it raises ProcessDied or DeadlineExceeded."""
        self.served += 1
        self.reader = ""
        ends = time.monotonic() + deadline
        try:
            self._child.send(message)
            while True:
                patience = min(DECORD_PATIENCE, deadline / 4) if self.reader == DECORD else deadline
                if not self._child.connection.poll(max(0.0, min(patience, ends - time.monotonic()))):
                    setting = "" if self.reader == DECORD else " (VIDEVAL_DECODE_DEADLINE)"
                    raise DeadlineExceeded(f"{message['path']}: decoding took longer than {patience:g} s{setting}")
                answer = self._child.receive()
                if "reader" not in answer:
                    return answer
                self.reader = answer["reader"]
        except (EOFError, OSError) as error:
            raise ProcessDied(f"{message['path']}: the decoder died of it ({self._child.death()})") from error

    def end(self) -> None:
        self._child.end()

    def kill(self) -> None:
        self._child.kill()
