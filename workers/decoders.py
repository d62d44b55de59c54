"""Where a worker's clips come from: the frame cache, or decoder processes, which fill it.

Frames are read in children that may crash, hang or leak without harm to the worker. A clip that is in the cache
already costs no child: the worker reads what it is by itself, and imports no decoder for it.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from weakref import WeakValueDictionary

from videval.errors import DeadlineExceeded, EnvironmentProblem, ProcessDied
from videval.inference import Released
from videval.plain import plain
from videval.settings import Settings
from videval.video import DECORD, NVDEC, TORCHCODEC, WAITING
from videval.video.clips import Fetched, Reading, Wanted, find_clip, key_of
from videval.video.cores import cores, idle_cores
from videval.video.eviction import pinned
from workers.child import Child
from workers.environs import without_secrets
from workers.pipes import Message
from workers.wire import error_from, fetched_from, wanted_message

__all__ = ["Decoders"]

log = logging.getLogger(__name__)
MOST = 4
"""Decoders of a worker that sees to it by itself."""
STARTS_WITHIN = 60.0
"""Seconds."""
MAY_FAIL = (DECORD, TORCHCODEC, NVDEC)
"""Readers instead of which PyAV reads what they hang or crash on."""
PATIENCE = 30.0
"""Seconds that one of these may take for a few frames; on some files decord never comes back. At most a quarter of the
deadline, so that PyAV has time for them."""
RECYCLE_AFTER = 1000
"""Clips after which a decoder process is replaced: the libraries leak."""


class Decoders:
    """A few decoder processes that request threads borrow one at a time; started when first needed.

    If it is not set how many: one, and one more each time that all are busy and a core is idle, up to MOST; but one
    core for each decoder, and one for the engine. `gpus`: the worker's own, of which decoders see nothing unless they
    are set to use them.
    """

    def __init__(self, settings: Settings, *, keep_fds: Sequence[int] = (), gpus: str = "") -> None:
        self._settings = settings
        self._gpus = gpus if settings.reader == "nvdec" else ""
        self._keep_fds = tuple(keep_fds)
        self._idle: queue.LifoQueue[_Decoder | None] = queue.LifoQueue()
        self._reserve: queue.LifoQueue[_Decoder | None] = queue.LifoQueue()
        """One more place, for who holds clips: in all others may be those that wait until it lets go of them."""
        self._reserve.put(None)
        self._of_reserve: set[_Decoder] = set()
        self._places = settings.decoders or 1
        for _ in range(self._places):
            self._idle.put(None)
        self._alive: set[_Decoder] = set()
        self._readings: dict[str, Reading] = {}
        """Of videos that a reader hung or crashed on."""
        self._turns: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def hold(self, wanted: Wanted, *, on_decode: Callable[[], None], at_once: bool = False) -> Iterator[Fetched]:
        """The frames of one video, held until the block ends: found in the cache, or decoded in a child; by PyAV, where
        another reader hangs or crashes.

        `on_decode` is called when it has to be decoded and its turn has come; `at_once`: see `FrameCache.hold`. Who
        wants the same clip meanwhile waits, and keeps no decoder from others. Raises VideoFailure; ProcessDied and
        DeadlineExceeded if the decoder crashed or hung on it; EnvironmentProblem if the cache cannot be written.
        """
        wanted = wanted if self._settings.fit_frames else replace(wanted, fit=None)
        with ExitStack() as holding:
            key = key_of(wanted)
            fetched = self._found(key, holding)
            if fetched is None:
                with self._turn(key):
                    fetched = self._found(key, holding)
                    if fetched is None:
                        how = {"wanted": wanted_message(wanted), "at_once": at_once}
                        fetched = self._decode({"path": str(wanted.path), **how}, on_decode, holding)
            yield fetched

    def _found(self, key: str, holding: ExitStack) -> Fetched | None:
        clip = find_clip(self._settings.frame_cache_path, key)
        is_held = clip is not None and holding.enter_context(pinned(Path(clip.path)))
        return Fetched(clip=clip) if clip is not None and is_held else None

    def prepare(self) -> None:
        """Have a decoder started, if none is there, before the first clip is wanted."""
        with suppress(EnvironmentProblem, Released):  # who wants a clip hears of it
            self._give_back(self._borrow())

    def _turn(self, key: str) -> threading.Lock:
        with self._lock:
            return self._turns.setdefault(key, threading.Lock())

    def _decode(self, message: Message, on_decode: Callable[[], None], holding: ExitStack) -> Fetched:
        decoder = self._borrow(at_once=bool(message["at_once"]))
        try:
            on_decode()
        except BaseException:
            self._give_back(decoder)
            raise
        reading = self._readings.get(message["path"], Reading(reader=self._settings.reader))
        answer = self._ask(decoder, message | {"reading": plain(reading)}, holding)
        if "failure" in answer:
            raise error_from(answer)
        return fetched_from(answer)

    def _ask(self, decoder: "_Decoder", message: Message, holding: ExitStack) -> Message:
        """The answer of a borrowed decoder, which is given back; or of a new one, if it was another reader than PyAV
        that failed. A decoder holds its clip until it is held here too."""
        try:
            answer = decoder.ask(message, deadline=self._settings.decode_deadline)
        except (ProcessDied, DeadlineExceeded) as error:
            self._discard(decoder)
            if decoder.reader not in MAY_FAIL or self._closed:  # if that, it was ended
                raise
            log.warning("%s (%s): it is read by PyAV", error, decoder.reader)
            how = "crashed" if isinstance(error, ProcessDied) else "hung"
            reading = Reading(reader="pyav", note=f"{decoder.reader} {how} on it: read by PyAV")
            self._readings[message["path"]] = reading
            again = message | {"reading": plain(reading)}
            return self._ask(self._borrow(at_once=bool(message["at_once"])), again, holding)
        except BaseException:
            self._discard(decoder)
            raise
        if "clip" in answer:
            holding.enter_context(pinned(Path(answer["clip"]["path"])))
            decoder.let_go()
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
        found: list[_Decoder | None] = []
        for idle in (self._idle, self._reserve):
            taken: list[_Decoder | None] = []
            with suppress(queue.Empty):
                while True:
                    taken.append(idle.get_nowait())
            for _ in taken:
                idle.put(None)
            found += taken
        return [decoder for decoder in found if decoder is not None]

    def _make_place(self) -> None:
        """For one decoder more, if that is worth it."""
        with self._lock:
            is_scarce = self._settings.decoders is None and self._idle.empty()
            if is_scarce and self._places < min(MOST, cores() - 1) and idle_cores():
                self._places += 1
                self._idle.put(None)

    def _borrow(self, *, at_once: bool = False) -> "_Decoder":
        self._make_place()
        idle = self._idle
        try:
            decoder = idle.get(block=not at_once)
        except queue.Empty:
            idle = self._reserve
            decoder = idle.get()
        try:
            if decoder is not None and not decoder.is_alive:  # died while nobody used it: nobody's fault
                decoder.kill()
                with self._lock:
                    self._alive.discard(decoder)
                decoder = None
            decoder = decoder or self._start()
        except BaseException:
            idle.put(None)
            raise
        if idle is self._reserve:
            self._of_reserve.add(decoder)
        return decoder

    def _put(self, decoder: "_Decoder", left: "_Decoder | None") -> None:
        """Free the place that a decoder was borrowed from, with what is left in it."""
        idle = self._reserve if decoder in self._of_reserve else self._idle
        self._of_reserve.discard(decoder)
        idle.put(left)

    def _start(self) -> "_Decoder":
        decoder = _Decoder(self._settings, self._keep_fds, self._gpus)
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
            self._put(decoder, decoder)

    def _discard(self, decoder: "_Decoder") -> None:
        decoder.kill()
        with self._lock:
            self._alive.discard(decoder)
        self._put(decoder, None)


class _Decoder:
    def __init__(self, settings: Settings, keep_fds: tuple[int, ...], gpus: str = "") -> None:
        environ = without_secrets() | {"CUDA_VISIBLE_DEVICES": gpus, "OMP_NUM_THREADS": "1"}
        self._child = Child("workers.decoder_process", environ=environ, keep_fds=keep_fds)
        self.pid = self._child.pid
        self.served = 0
        self.reader = ""
        try:
            cache = {"folder": str(settings.frame_cache_path), "budget_gb": settings.frame_cache_gb}
            self._child.send(cache | {"patience": settings.decode_deadline})
            if not self._child.connection.poll(max(STARTS_WITHIN, settings.decode_deadline)):
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
        """Its answer; `reader` is who was at work last, also when it raises ProcessDied or DeadlineExceeded.

        It may take `deadline` seconds and what the length of its video adds (see `videval.video.decode`); waiting for
        other processes is no part of that.
        """
        self.served += 1
        self.reader = ""
        began, allowed = time.monotonic(), deadline
        try:
            self._child.send(message)
            while True:
                patience = min(PATIENCE, deadline / 4) if self.reader in MAY_FAIL else allowed
                if not self._child.connection.poll(max(0.0, min(patience, began + allowed - time.monotonic()))):
                    setting = "" if patience < allowed else " (VIDEVAL_DECODE_DEADLINE, and more for a long video)"
                    raise DeadlineExceeded(f"{message['path']}: decoding took longer than {patience:g} s{setting}")
                answer = self._child.receive()
                if "reader" not in answer:
                    return answer
                self.reader, allowed = answer["reader"], deadline + answer["seconds"]
                if self.reader == WAITING:
                    began = time.monotonic()
        except (EOFError, OSError) as error:
            raise ProcessDied(f"{message['path']}: the decoder died of it ({self._child.death()})") from error

    def let_go(self) -> None:
        """Its last clip is held by somebody else now."""
        with suppress(OSError):  # who died holds nothing
            self._child.send({"wanted": None})

    def end(self) -> None:
        self._child.end()

    def kill(self) -> None:
        self._child.kill()
