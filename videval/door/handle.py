"""A run in a program's hand: a name and settings, nothing that is open. What it is asked, the database is asked."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from videval import report
from videval.db import runs as rows
from videval.db import workers as worker_rows
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.db.stats import FailureGroup
from videval.door.frame import export_run, frame_of
from videval.door.local import trouble_with
from videval.door.opened import ask
from videval.errors import DatabaseUnavailable, EnvironmentProblem, Incomplete, UnknownName, UsageError
from videval.export import ExportFormat, ExportResult
from videval.merge import Merged, merge
from videval.paths import expanded
from videval.report import RunStatus, ScoreReport
from videval.report.used import refuse_halted
from videval.settings import Settings
from videval.types import RunState
from videval.words import plural
from workers import desk
from workers.desk import Done

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Progress", "Run", "RunCancelled", "TimedOut"]

T = TypeVar("T")
PERIOD = 1.0
"""Seconds between two looks at a run."""
OUTAGE = 600.0
"""Seconds that a database may be away while a run is waited for."""


class _OfRun(Incomplete):
    """A run that is not finished; `run` is it."""

    hint_of_kind: ClassVar[str] = ""

    def __init__(self, message: str, run: "Run") -> None:
        super().__init__(message, hint=self.hint_of_kind)
        self.run = run

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.run)


class TimedOut(_OfRun, TimeoutError):
    """A run was not finished in the time that it was waited for; `run` goes on and may be waited for again."""

    hint_of_kind = "nothing is lost: run.wait() waits on"


class RunCancelled(_OfRun):
    """A run that is waited for was cancelled; what it has answered stays in `run`."""

    hint_of_kind = "run.retry(), or the same enqueue again, opens it"


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run of the database of `settings`; may be copied, pickled, and used by any thread or process.

    `remarks`: what is to be known of it since it was enqueued (questions left out, a broker that was away).
    Every method raises DatabaseUnavailable and SchemaMismatch; a server that is away is waited for a moment.
    """

    run_id: int
    name: str
    settings: Settings = field(repr=False)
    remarks: tuple[str, ...] = field(default=(), compare=False)

    def info(self) -> RunInfo:
        """What it is made of."""
        return ask(self.settings, self._info)

    def status(self) -> RunStatus:
        """How far it is, how fast, and when it will be done."""
        return self._ask(report.run_status)

    def score(self) -> ScoreReport:
        """Its score so far, with interval, groups and coverage; `value` is the headline in 0..1."""
        return self._ask(report.score_report)

    def failures(self) -> list[FailureGroup]:
        """What failed, by kind and message, most frequent first."""
        return self._ask(report.failures)

    def card(self) -> dict[str, Any]:
        """All that its numbers depend on."""
        return self._ask(report.run_card)

    def to_pandas(self) -> "pd.DataFrame":
        """A row for each question that it asks: the benchmark's columns, `prediction`, then `verdict`, `value` in 0..1
        and `failure`; what is not known yet is None."""
        return self._ask(frame_of)

    def export(
        self, path: str | os.PathLike[str] | None = None, *, format: ExportFormat = "xlsx", partial: bool = False
    ) -> ExportResult:
        """Write the table that VLMEvalKit's evaluators accept, to a file whose ending says the format, or into a
        folder (None: VIDEVAL_OUTPUT_DIR). Incomplete unless all is answered or `partial`; UsageError for another's
        file; EnvironmentProblem for a full disk."""
        target = self.settings.output_dir if path is None else expanded(path)
        return self._ask(lambda database, info: export_run(database, info, target, format, partial=partial))

    def merge(self) -> Merged:
        """Read predictions and scores from the stored responses again."""
        return self._ask(merge)

    def pause(self) -> Done:
        """Hand out no more of its requests."""
        return self._change(desk.pause)

    def resume(self, *, max_cost: float | None = None, max_tokens_total: int | None = None) -> Done:
        """Go on after a pause, or after it was halted; with other limits if some are given."""
        return self._change(partial(desk.resume, max_cost=max_cost, max_tokens=max_tokens_total))

    def cancel(self) -> Done:
        """Give up what is not answered; answers stay."""
        return self._change(desk.cancel)

    def retry(self, *, kinds: Sequence[str] = (), indexes: Sequence[str] = (), unanswered: bool = False) -> Done:
        """Try what failed again, with no strikes; narrowed and refused as `videval retry` is."""
        return self._ask(
            lambda database, info: desk.retry(
                self.settings, database, info, kinds=kinds, indexes=indexes, unanswered=unanswered
            )
        )

    def progress(self, *, period: float = PERIOD, timeout: float | None = None) -> "Progress":
        """Its status every `period` seconds until it is finished, for `for` and `async for`. UsageError for a period
        that is none."""
        if not period > 0:
            raise UsageError(
                f"period={period!r}: must be more than 0", hint=f"seconds between two looks, {PERIOD:g} say"
            )
        return Progress(run=self, period=period, timeout=timeout)

    def wait(self, timeout: float | None = None) -> "Run":
        """Wait until nothing is left to do, whatever answers it, and return this run.

        TimedOut after `timeout` seconds; RunCancelled; RunHalted, with the reason; EnvironmentProblem if no worker of
        this process's own fleet can be started and nobody else has the model. Requests that failed raise nothing.
        """
        for _ in self.progress(timeout=timeout):
            pass
        return self

    async def wait_async(self, timeout: float | None = None) -> "Run":
        """`wait`, while the event loop goes on."""
        async for _ in self.progress(timeout=timeout):
            pass
        return self

    def _ask(self, work: Callable[[Database, RunInfo], T], *, patience: float | None = None) -> T:
        return ask(self.settings, lambda database: work(database, self._info(database)), patience=patience)

    def _info(self, database: Database) -> RunInfo:
        """UnknownName in a database that does not have it, as one that was put in the place of its own."""
        with database.read() as connection:
            for found in rows.find_run(connection, self.name):
                if (found.run_id, found.name) == (self.run_id, self.name):
                    return found
            raise UnknownName("run", self.name, [info.name for info in rows.list_runs(connection)])

    def _change(self, change: Callable[[Settings, Database, RunInfo], Done]) -> Done:
        return self._ask(lambda database, info: change(self.settings, database, info))


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """A run's status again and again until it is finished; raises as `Run.wait` does. Each loop begins anew."""

    run: Run
    period: float
    timeout: float | None

    def __iter__(self) -> Iterator[RunStatus]:
        watch = _Watch(self)
        while True:
            if status := watch.look():
                yield status
                if status.counts.finished:
                    return
            time.sleep(watch.pause())

    async def __aiter__(self) -> AsyncIterator[RunStatus]:
        watch = _Watch(self)
        while True:
            if status := await asyncio.to_thread(watch.look):
                yield status
                if status.counts.finished:
                    return
            await asyncio.sleep(watch.pause())


class _Watch:
    """Looks at a run, and knows when that was long enough."""

    def __init__(self, progress: Progress) -> None:
        self._run, self._period, self._timeout = progress.run, progress.period, progress.timeout
        self._began = self._heard = time.monotonic()
        self._last: RunStatus | None = None

    def look(self) -> RunStatus | None:
        """Where the run stands; None while the database is away."""
        try:
            self._last = status = self._run._ask(report.run_status, patience=0.0)
        except DatabaseUnavailable:
            if time.monotonic() - self._heard > OUTAGE:
                raise
            return None
        self._heard = time.monotonic()
        if status.run.state == RunState.CANCELLED:
            raise RunCancelled(f"{self._run.name} was cancelled", self._run)
        refuse_halted(status)
        trouble = "" if status.live or status.counts.finished else trouble_with(self._run.settings)
        if trouble:
            raise EnvironmentProblem(f"no worker can be started:\n{trouble}", hint="videval doctor")
        return status

    def pause(self) -> float:
        """Seconds until the next look; TimedOut if there is none."""
        if self._timeout is None:
            return self._period
        left = self._began + self._timeout - time.monotonic()
        if left <= 0:
            raise TimedOut(self._why(self._timeout), self._run)
        return min(self._period, left)

    def _why(self, timeout: float) -> str:
        """How far it is, and what keeps it."""
        said = f"{self._run.name} is not finished after {timeout:g} s"
        if self._last is None:
            return f"{said}: the database is away"
        counts = self._last.counts
        over = f"{counts.total - counts.waiting:,} of {counts.total:,} requests are over, {counts.failed:,} failed"
        return f"{said}: {over}{self._keeps(self._last)}"

    def _keeps(self, status: RunStatus) -> str:
        if status.run.state != RunState.ACTIVE:
            return f"; the run is {status.run.state}"
        if status.live:
            return ""
        said = "; ".join(ask(self._run.settings, _messages, patience=0.0))
        return f"; no worker has its model{': ' if said else ''}{said}"


def _messages(database: Database) -> list[str]:
    """What live workers say of themselves, and how many that say nothing do what."""
    with database.read() as connection:
        live = worker_rows.live_workers(connection)
    silent = Counter(w.state for w in live if not w.message)
    counted = [f"{plural(number, 'worker')} {state}" for state, number in silent.items()]
    return [f"{w.name}: {w.message}" for w in live if w.message] + counted
