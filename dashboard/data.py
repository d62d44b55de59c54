"""All that the pages read. Read-only connections; every answer comes through the store, shared by all sessions."""

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from dashboard.busy import Busy, BusyMeter
from dashboard.store import Fetched, Store
from videval import report
from videval.asking import is_pack
from videval.db import browse, queue, runs, stats, workers
from videval.db.browse import RequestDetail, SampleFilter, SampleLine
from videval.db.health import EndpointHealth
from videval.db.identity import known_id
from videval.db.queue import KeyWork
from videval.db.records import RunConfig, RunInfo, StoredSample
from videval.db.session import Database
from videval.db.stats import FailureGroup
from videval.db.workers import WorkerInfo
from videval.errors import BrokerUnavailable
from videval.report import Comparison, Moment, Point, RunStatus, ScoreBook, ScoreReport, TimeSpent
from videval.settings import Settings
from workers import broker
from workers.bell import queue_length, queue_name

__all__ = ["Data", "Found", "Health", "Overview", "Queue", "SampleView"]

T = TypeVar("T")
REFRESH_S = 2.0
SLOW_S = 10.0
"""Seconds that what changes slowly (time spent, cards, failures) is kept."""
PATIENCE_S = 0.5
"""Seconds that one rendering of a page waits for the database in all."""
SCORE_BUDGET_S = 0.7
SEARCH_BUDGET_S = 0.5
SPAN = 10_000
MOST_SIBLINGS = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """All runs, newest first, and who works."""

    statuses: tuple[RunStatus, ...]
    live: tuple[WorkerInfo, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A page of samples in the benchmark's order; `next_id` is where to look on, None if that was all there is."""

    lines: tuple[SampleLine, ...]
    next_id: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleView:
    """All that is known of one sample of a run; `siblings`: the samples that were asked in one pack with it."""

    line: SampleLine
    stored: StoredSample
    requests: tuple[RequestDetail, ...]
    siblings: tuple[SampleLine, ...]
    config: RunConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Queue:
    """Work of one model: rows that are waiting and running, and the messages that lie in its queue (None: unknown)."""

    work: KeyWork
    messages: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """Whether database and broker answer, and how quickly (seconds)."""

    database: str
    database_s: float
    broker_s: float | None
    broker_error: str
    queues: tuple[Queue, ...]


class Data:
    """One rendering's view of the database; waits for it `patience_s` in all."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        store: Store,
        book: ScoreBook,
        *,
        meter: BusyMeter | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._settings = settings
        self._database = database
        self._store = store
        self._book = book
        self._meter = meter or BusyMeter()
        self._deadline = time.monotonic() + patience_s

    def _get(self, key: Hashable, fetch: Callable[[], T], fresh_s: float = REFRESH_S * 0.9) -> Fetched[T]:
        patience = max(0.0, self._deadline - time.monotonic())
        return self._store.get(key, fetch, fresh_s=fresh_s, patience_s=patience)

    # runs

    def overview(self) -> Fetched[Overview]:
        """Every run, and every live worker."""
        return self._get("overview", self._overview)

    def _overview(self) -> Overview:
        statuses = report.run_statuses(self._database)
        return Overview(statuses=tuple(statuses), live=tuple(report.heard_workers(self._database)))

    def scores(self, overview: Overview) -> Fetched[Mapping[int, ScoreReport]]:
        """The scores of all runs by run id, as far as they are known yet."""
        wanted = [s for s in overview.statuses if s.answered]
        return self._get("scores", lambda: self._book.all(wanted, budget_s=SCORE_BUDGET_S))

    # one run

    def run(self, run: RunInfo) -> Fetched[RunStatus]:
        """Where a run stands; its state is read anew, since a page may hold a `run` of minutes ago."""

        def fetch() -> RunStatus:
            with self._database.read() as connection:
                found = runs.find_run(connection, run.name)
            return report.run_status(self._database, found[0] if found else run)

        return self._get(("run", run.run_id), fetch)

    def score(self, status: RunStatus) -> Fetched[ScoreReport]:
        """The score of a run with its groups."""
        return self._get(("score", status.run.run_id), lambda: self._book.one(status))

    def timeline(self, run: RunInfo) -> Fetched[list[Moment]]:
        """The course of a run."""
        return self._get(("timeline", run.run_id), lambda: report.timeline(self._database, run))

    def converging(self, run: RunInfo) -> Fetched[list[Point]]:
        """The score of a run as it converged."""

        def fetch() -> list[Point]:
            index = self._book.index(run)
            found = report.load_verdicts(self._database, run, index, with_time=True)
            return report.converging(run, index, found)

        return self._get(("converging", run.run_id), fetch, SLOW_S / 2)

    def time_spent(self, run: RunInfo) -> Fetched[TimeSpent]:
        """Where the time of a run went."""
        return self._get(("spent", run.run_id), lambda: report.time_spent(self._database, run), SLOW_S / 2)

    def failures(self, run: RunInfo) -> Fetched[list[FailureGroup]]:
        """What failed in a run."""
        return self._get(("failures", run.run_id), lambda: report.failures(self._database, run))

    def card(self, run: RunInfo) -> Fetched[dict[str, Any]]:
        """The run card."""
        return self._get(("card", run.run_id), lambda: report.run_card(self._database, run), SLOW_S)

    # samples

    def samples(self, run: RunInfo, wanted: SampleFilter, from_id: int, *, limit: int = 25) -> Fetched[Found]:
        """A page of samples from row id `from_id` on (0: from the beginning)."""
        key = ("samples", run.run_id, wanted, from_id, limit)
        return self._get(key, lambda: self._search(run, wanted, from_id, limit, backwards=False))

    def neighbour(self, run: RunInfo, wanted: SampleFilter, row_id: int, step: int) -> Fetched[Found]:
        """The next (step 1) or previous (-1) sample that the filter lets through; no line if there is none near."""
        key = ("neighbour", run.run_id, wanted, row_id, step)
        start = row_id + step
        return self._get(key, lambda: self._search(run, wanted, start, 1, backwards=step < 0))

    def _search(self, run: RunInfo, wanted: SampleFilter, start: int, limit: int, *, backwards: bool) -> Found:
        """Look through spans of row ids until there are `limit` samples or the time is over."""
        with self._database.read() as connection:
            bounds = stats.sample_span(connection, run.snapshot_id)
        if bounds is None:
            return Found(lines=(), next_id=None)
        end, lines = time.monotonic() + SEARCH_BUDGET_S, list[SampleLine]()
        at = min(start, bounds[1]) if backwards else max(start, bounds[0])
        while bounds[0] <= at <= bounds[1] and len(lines) < limit and time.monotonic() < end:
            low, high = (max(bounds[0], at - SPAN + 1), at) if backwards else (at, min(bounds[1], at + SPAN - 1))
            with self._database.read() as connection:
                lines += browse.find_samples(
                    connection, run, wanted, low, high, limit=limit - len(lines), backwards=backwards
                )
            at = low - 1 if backwards else high + 1
        if len(lines) == limit:
            at = lines[-1].row_id + (-1 if backwards else 1)
        return Found(lines=tuple(lines), next_id=at if bounds[0] <= at <= bounds[1] else None)

    def sample(self, run: RunInfo, key: str) -> Fetched[SampleView | None]:
        """One sample with its requests; a value of None: there is no such sample."""
        return self._get(("sample", run.run_id, key), lambda: self._sample(run, key))

    def _sample(self, run: RunInfo, key: str) -> SampleView | None:
        with self._database.read() as connection:
            line = browse.sample_line(connection, run, key)
            if line is None:
                return None
            requests = browse.requests_of_sample(connection, run.run_id, line.row_id)
            packs = [r for r in requests if is_pack(r.key)]
            ids = [s.row_id for s in packs[0].stored][:MOST_SIBLINGS] if packs else []
            return SampleView(
                line=line,
                stored=browse.full_sample(connection, line.row_id),
                requests=tuple(requests),
                siblings=tuple(browse.lines_of(connection, run, ids)),
                config=stats.config_of_run(connection, run.run_id),
            )

    def group_values(self, run: RunInfo, column: str) -> Fetched[tuple[str, ...]]:
        """The groups of a column, for filters."""
        key = ("groups", run.snapshot_id, column)
        return self._get(key, lambda: self._book.index(run).groups[column][0], fresh_s=3600.0)

    def lines(self, run: RunInfo, row_ids: tuple[int, ...]) -> Fetched[list[SampleLine]]:
        """These samples in a list."""

        def fetch() -> list[SampleLine]:
            with self._database.read() as connection:
                return browse.lines_of(connection, run, list(row_ids))

        return self._get(("lines", run.run_id, row_ids), fetch)

    # comparison, fleet

    def compare(self, a: RunInfo, b: RunInfo) -> Fetched[Comparison]:
        """Two runs on one snapshot."""
        key = ("compare", a.run_id, b.run_id)
        return self._get(key, lambda: report.compare(self._database, a, b, self._book.index(a)), SLOW_S)

    def workers(self) -> Fetched[list[WorkerInfo]]:
        """Every worker of the last day."""

        def fetch() -> list[WorkerInfo]:
            with self._database.read() as connection:
                return workers.list_workers(connection)

        return self._get("workers", fetch)

    def busy(self, load_key: str = "") -> Busy:
        """How busy the devices of all live workers are, or of those that hold one model."""

        def fetch() -> list[WorkerInfo]:
            found = report.heard_workers(self._database)
            self._meter.note(found)
            return found

        live = self._get("live", fetch).value or []
        return self._meter.of(w for w in live if load_key in ("", w.load_key))

    def busy_of(self, worker: WorkerInfo) -> Busy:
        """How busy one worker's device is."""
        return self._meter.of([worker])

    def frames_lost(self, run: RunInfo) -> str:
        """What is to be said of frames that did not arrive where a run's model is; empty: nothing, or not known yet."""
        return self._get(("lost", run.run_id), lambda: report.frames_lost(self._database, run), SLOW_S).value or ""

    def endpoints(self) -> Fetched[list[EndpointHealth]]:
        """How every endpoint is."""
        return self._get("endpoints", lambda: report.endpoints_asked(self._database))

    def health(self) -> Fetched[Health]:
        """Whether all answers, and how much waits."""
        return self._get("health", self._health)

    def _health(self) -> Health:
        began = time.monotonic()
        with self._database.read() as connection:
            work, known_as = queue.work(connection), known_id(connection)
        database_s, began = time.monotonic() - began, time.monotonic()
        up = broker.ping(self._settings)
        broker_s = time.monotonic() - began
        return Health(
            database=self._database.url,
            database_s=database_s,
            broker_s=broker_s if up else None,
            broker_error="" if up else self._broker_hint(),
            queues=tuple(Queue(work=w, messages=self._messages(known_as, w.load_key) if up else None) for w in work),
        )

    def _broker_hint(self) -> str:
        if self._settings.is_embedded_broker:
            return "not running; it is started by the next worker or enqueue"
        return "does not answer; workers wait for it, nothing is lost"

    def _messages(self, known_as: str | None, load_key: str) -> int | None:
        if known_as is None:
            return 0
        try:
            return queue_length(self._settings, queue_name(known_as, load_key))
        except BrokerUnavailable:
            return None
