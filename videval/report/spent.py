"""Where the time of a run went: per stage, per worker, what kept devices from generating, and what held it up most.

A worker's device is taken to be busy while at least one answer of the run is generated there. What lies between is a
gap, and a gap is put down to what the request that ends it was doing meanwhile; where it only waited, and an endpoint
failed or requests were given back, to that.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from videval.db import timings
from videval.db.answer_times import IN_VAIN, AnswerTimes, TryInVain, answer_times_in, tries_in_vain_in
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.errors import ErrorKind
from videval.report.endpoints import endpoint_trouble, endpoints_asked
from videval.report.spans import spans
from videval.report.status import run_status
from videval.report.used import halted_in_words
from videval.types import AttemptOutcome
from videval.words import percent, took

__all__ = ["Cause", "Spent", "WorkerTime", "spent_of_run", "worker_time"]

WORTH_SAYING = 0.05
"""The share of the devices' time below which nothing held a run up."""


class Cause(StrEnum):
    """What kept a device from generating."""

    START = "start"
    FRAMES = "frames"
    PREPARE = "prepare"
    WAIT = "wait"
    IDLE = "idle"
    TAIL = "tail"
    ENDPOINT = "endpoint"
    BACK = "given back"


SAID: Mapping[Cause, tuple[str, str]] = {
    Cause.START: (
        "workers that were not ready yet: models were loaded, first frames decoded",
        "longer runs on a fleet that stays up pay this once: videval fleet",
    ),
    Cause.FRAMES: ("frames that were not decoded in time", "VIDEVAL_DECODERS=2 or more, if cores are free"),
    Cause.PREPARE: ("prompts that were not prepared in time", "more CPU cores, or fewer workers on this machine"),
    Cause.WAIT: ("requests that were ready and waited all the same", "more slots: VIDEVAL_BATCH_SIZE"),
    Cause.IDLE: (
        "nothing in hand: it was paused, other runs had their turn, or claims were late",
        "VIDEVAL_LOOK_AHEAD, and a database that is near",
    ),
    Cause.TAIL: ("workers that had ended while others went on", "fewer, or more even, long requests at the end"),
    Cause.ENDPOINT: ("an endpoint that failed", "videval endpoint check NAME, and its own log"),
    Cause.BACK: (
        "requests that were given back: it was halted or paused, or its workers left",
        "videval status says what mends it",
    ),
}
"""What each cause is in words, and what helps."""
WAIT_THERE = (
    "requests that waited for the endpoint's budget",
    "limits in [endpoints.NAME] as high as it takes, or more at once: --api-nproc",
)
"""The same of requests that are ready for an endpoint."""
ONLY_WAITED = (Cause.START, Cause.WAIT, Cause.IDLE)


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerTime:
    """One worker's part: seconds that its device was busy, and the causes of the other seconds of the run."""

    worker: str
    answers: int
    busy_s: float
    gaps: Mapping[Cause, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """Where the time of a run went.

    `began_at`, `ended_at`: its first claim and its last answer, seconds since the epoch. `seconds`: by stage, over all
    answers. `clips`: how many were shown; `decoded`: how many of them were decoded for it (None: nobody counted).
    `reused`: the share of the prompts' tokens that was not computed again. `in_vain`: tries that gave no answer.
    `endpoint`: where its model runs, if not here; `held_up`: what is in the way of it now, in words.
    """

    answers: int = 0
    began_at: float = 0.0
    ended_at: float = 0.0
    seconds: Mapping[str, float] = field(default_factory=dict)
    workers: tuple[WorkerTime, ...] = ()
    clips: int = 0
    decoded: int | None = None
    reused: float | None = None
    in_vain: Mapping[AttemptOutcome, int] = field(default_factory=dict)
    endpoint: str = ""
    held_up: str = ""

    @property
    def elapsed_s(self) -> float:
        """Seconds from the first claim to the last answer."""
        return self.ended_at - self.began_at

    @property
    def device_s(self) -> float:
        """Seconds that all its workers had."""
        return self.elapsed_s * len(self.workers)

    @property
    def busy(self) -> float:
        """The share of the workers' time in which their devices generated."""
        return self.limit_s / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def limit_s(self) -> float:
        """Seconds that the same generations take if no device ever waits and all end at once."""
        return sum(w.busy_s for w in self.workers) / len(self.workers) if self.workers else 0.0

    @property
    def lost(self) -> Mapping[Cause, float]:
        """The share of the workers' time that each cause took, the largest first."""
        sums = {cause: sum(w.gaps.get(cause, 0.0) for w in self.workers) for cause in Cause}
        whole = self.device_s or 1.0
        return {cause: sums[cause] / whole for cause in sorted(Cause, key=lambda cause: -sums[cause])}

    @property
    def in_words(self) -> tuple[str, str]:
        """The one thing that held it up most, and what helps; nothing helps where nothing did."""
        if not self.answers:
            return self.held_up or "nothing is answered yet", ""
        cause, share = next(iter(self.lost.items()))
        if share < WORTH_SAYING:
            return f"devices were busy for {percent(self.busy)} of the time: only a faster model is faster", ""
        what, helps = WAIT_THERE if cause == Cause.WAIT and self.endpoint else SAID[cause]
        helps = helps.replace("NAME", self.endpoint or "NAME")
        kept = f"{percent(share)} of the devices' time ({took(share * self.device_s)}) went to {what}"
        return kept, helps


@dataclass(kw_only=True)
class _Heap:
    """What is gathered while a run is read."""

    ways: dict[str, list[AnswerTimes]] = field(default_factory=lambda: defaultdict(list))
    tries: list[TryInVain] = field(default_factory=list)


def spent_of_run(database: Database, run: RunInfo) -> Spent:
    """Where the time of a run's answers went; read in spans, some hundred bytes of memory for each answer."""
    with database.read() as connection:
        span = timings.request_span(connection, run.run_id)
    heap = _Heap()
    for low, high in spans(*span) if span else ():
        with database.read() as connection:
            for way in answer_times_in(connection, run.run_id, low, high):
                heap.ways[way.worker].append(way)
            heap.tries += tries_in_vain_in(connection, run.run_id, low, high)
    return replace(_spent(heap), endpoint=run.endpoint, held_up=_held_up(database, run))


def _held_up(database: Database, run: RunInfo) -> str:
    """What is in the way of a run now; empty if nothing is, or if it is finished."""
    status = run_status(database, run)
    if halted := halted_in_words(status):
        return halted
    asked = endpoints_asked(database) if run.endpoint and not status.counts.finished else ()
    troubles = (endpoint_trouble(found) for found in asked if found.name == run.endpoint and not found.is_stale)
    return next(filter(None, troubles), "")


def _spent(heap: _Heap) -> Spent:
    ways = [way for found in heap.ways.values() for way in found]
    if not ways:
        return Spent(in_vain=_in_vain(heap))
    began, ended = min(w.claimed_at for w in ways), max(w.stored_at for w in ways)
    told = [w for w in ways if w.cached_tokens is not None and w.prompt_tokens]
    prompt = sum(w.prompt_tokens or 0 for w in told)
    counted = [w.decoded for w in ways if w.decoded is not None]
    stages = ("decode", "prepare", "wait", "generate", "store")
    return Spent(
        answers=len(ways),
        began_at=began,
        ended_at=ended,
        seconds={stage: sum(getattr(w, f"{stage}_s") for w in ways) for stage in stages},
        workers=tuple(worker_time(name, heap.ways[name], began, ended, heap.tries) for name in sorted(heap.ways)),
        clips=sum(w.clips for w in ways),
        decoded=sum(counted) if counted else None,
        reused=sum(w.cached_tokens or 0 for w in told) / prompt if prompt else None,
        in_vain=_in_vain(heap),
    )


def _in_vain(heap: _Heap) -> Mapping[AttemptOutcome, int]:
    counts = Counter(each.outcome for each in heap.tries)
    return {outcome: counts[outcome] for outcome in IN_VAIN if counts[outcome]}


class _Vain:
    """What kept a worker although it had requests: its endpoint failed, whoever asked it, or they were given back."""

    def __init__(self, worker: str, tries: Iterable[TryInVain]) -> None:
        mine = (each for each in tries if each.worker == worker and each.outcome == AttemptOutcome.RELEASED)
        failed = (each for each in tries if each.kind == ErrorKind.API)
        self._tries = sorted((*mine, *failed), key=lambda each: each.ended_at)

    def split(self, cause: Cause, begin: float, end: float) -> Iterator[tuple[Cause, float]]:
        """A gap's seconds; those from the first such try on are put down to it."""
        first = self._first(begin, end) if cause in ONLY_WAITED else None
        middle = end if first is None else max(begin, first.started_at)
        yield cause, middle - begin
        if first is not None:
            yield Cause.BACK if first.outcome == AttemptOutcome.RELEASED else Cause.ENDPOINT, end - middle

    def _first(self, begin: float, end: float) -> TryInVain | None:
        at = bisect_right(self._tries, begin, key=lambda each: each.ended_at)
        return self._tries[at] if at < len(self._tries) and self._tries[at].started_at < end else None


def worker_time(
    name: str, ways: Sequence[AnswerTimes], began: float, ended: float, tries: Sequence[TryInVain] = ()
) -> WorkerTime:
    """What one worker's device did between the run's first claim and its last answer; `tries`: all in vain."""
    busy, gaps, free_at, vain = 0.0, dict.fromkeys(Cause, 0.0), began, _Vain(name, tries)
    for i, way in enumerate(sorted(ways, key=lambda way: way.began_at)):
        if way.began_at > free_at:
            for cause, begin, end in _gap(way, free_at, is_first=i == 0):
                for why, seconds in vain.split(cause, begin, end):
                    gaps[why] += seconds
        busy += max(0.0, way.ended_at - max(way.began_at, free_at))
        free_at = max(free_at, way.ended_at)
    gaps[Cause.TAIL] += max(0.0, ended - free_at)
    return WorkerTime(worker=name, answers=len(ways), busy_s=busy, gaps=gaps)


def _gap(way: AnswerTimes, free_at: float, *, is_first: bool) -> Iterator[tuple[Cause, float, float]]:
    """What the request that ends a gap was doing in it: it was not claimed yet, decoded, prepared, or it waited."""
    decode_at = way.decoded_at - way.decode_s
    marks = (
        (Cause.START if is_first else Cause.IDLE, free_at, decode_at),
        (Cause.START if is_first else Cause.FRAMES, decode_at, way.decoded_at),
        (Cause.PREPARE, way.decoded_at, way.prepared_at),
        (Cause.WAIT, way.prepared_at, way.began_at),
    )
    for cause, begin, end in marks:
        if (begin := max(begin, free_at)) < (end := min(end, way.began_at)):
            yield cause, begin, end
