"""Where runs stand: how far, how fast, when they will be done."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from videval.db import runs, timings, workers
from videval.db.records import RunInfo
from videval.db.runs import Counts
from videval.db.session import Connection, Database
from videval.db.timings import Pace
from videval.db.usage import Usage, usage_of_runs
from videval.db.workers import WorkerInfo
from videval.types import RunState
from videval.words import plural

__all__ = ["RunStatus", "busy_share", "eta", "heard_workers", "run_status", "run_statuses", "seconds_per_request"]

LOST_S = 60.0
"""Seconds without a heartbeat after which a worker is not counted on."""
SLOW = 3.0
"""Times a request's median seconds after which a run without an answer has no rate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStatus:
    """Where a run stands; rates are answers per second, `eta_s` None while it cannot be told.

    `live`: workers that hold its model, or load it; `loading_s`: since when, while all of them do; `efficiency`: the
    share of their lives in which these were generating; `usage`: what its answers took and cost.
    """

    run: RunInfo
    counts: Counts
    rate_now: float
    rate: float
    eta_s: float | None
    live: int = 0
    loading_s: float | None = None
    efficiency: float | None = None
    answered: int = 0
    first_at: float | None = None
    last_at: float | None = None
    now: float = 0.0
    usage: Usage = field(default_factory=Usage)

    @property
    def state(self) -> str:
        """What people call it: a run with nothing left to do is finished, also if its last answers came while it was
        paused."""
        is_over = self.counts.finished and self.run.state in (RunState.ACTIVE, RunState.PAUSED)
        return "finished" if is_over else self.run.state

    @property
    def halted(self) -> str:
        """Why it was paused, if nobody asked for that and it is still paused; else empty."""
        return (self.run.halted or "") if self.state == RunState.PAUSED else ""

    @property
    def so_far(self) -> str:
        """What the score of a run that is answered in part is of; else empty."""
        left = self.counts.waiting + self.counts.cancelled
        if not left or not self.counts.done:
            return ""
        of_all = f"{left:,} of {plural(self.counts.total, 'request')} not answered"
        return f"{of_all}: what may take longest is asked first, so the score may be of the longer videos"


def run_statuses(database: Database) -> list[RunStatus]:
    """All runs, newest first."""
    with database.read() as connection:
        infos = runs.list_runs(connection)
        counts = runs.counts_of_runs(connection)
    going = [i.run_id for i in infos if counts.get(i.run_id, Counts()).waiting and i.state == RunState.ACTIVE]
    with database.read() as connection:
        paces = timings.paces(connection, going)
        usage = usage_of_runs(connection)
        alive = workers.live_workers(connection)
        found = [
            _status(connection, info, counts.get(info.run_id, Counts()), paces.get(info.run_id, Pace()), alive)
            for info in infos
        ]
    return [replace(status, usage=usage.get(status.run.run_id, Usage())) for status in found]


def run_status(database: Database, run: RunInfo, counts: Counts | None = None) -> RunStatus:
    """Where one run stands now, whatever it was when `run` was read."""
    with database.read() as connection:
        run = runs.get_run(connection, run.run_id)
        counts = counts or runs.counts(connection, run.run_id)
        pace = timings.pace(connection, run.run_id)
        usage = usage_of_runs(connection, [run.run_id]).get(run.run_id, Usage())
        found = _status(connection, run, counts, pace, workers.live_workers(connection))
    return replace(found, usage=usage)


def heard_workers(database: Database) -> list[WorkerInfo]:
    """The live workers that were heard of so lately that one counts on them."""
    with database.read() as connection:
        return [w for w in workers.live_workers(connection) if w.silent_s < LOST_S]


def _status(connection: Connection, run: RunInfo, counts: Counts, pace: Pace, alive: Sequence[WorkerInfo]) -> RunStatus:
    mine = [w for w in alive if w.load_key == run.load_key and w.silent_s < LOST_S]
    going = bool(counts.waiting) and run.state == RunState.ACTIVE
    costs = timings.recent_costs(connection, run.run_id) if going and pace.answered else []
    seconds = seconds_per_request(costs)
    began = pace.now - pace.first_at if pace.first_at is not None else pace.window_s
    rate_now = pace.recent / min(pace.window_s, max(began, 1.0)) if going else 0.0
    return RunStatus(
        run=run,
        counts=counts,
        rate_now=rate_now,
        rate=pace.answered / pace.elapsed_s if pace.elapsed_s > 0 and not run.is_imported else 0.0,
        eta_s=_time_left(counts.waiting, seconds, len(mine), pace, rate_now),
        live=len(mine),
        loading_s=_loading_s(mine) if going else None,
        efficiency=busy_share(mine) if going else None,
        answered=pace.answered,
        first_at=pace.first_at,
        last_at=pace.last_at,
        now=pace.now,
    )


def _loading_s(mine: Sequence[WorkerInfo]) -> float | None:
    """Seconds since the first of them began to load the model; None if one of them does anything else."""
    found = [w.loading_s for w in mine if w.loading_s is not None]
    return max(found) if found and len(found) == len(mine) else None


def _time_left(waiting: int, seconds: float | None, live: int, pace: Pace, rate_now: float) -> float | None:
    """The ETA, which a run has only while answers come: none of what is tried again long after the last one."""
    quiet = pace.since_last_s
    going = pace.recent or (seconds is not None and quiet is not None and quiet < SLOW * seconds)
    return eta(waiting, seconds if going else None, live, rate_now if pace.recent >= 20 else 0.0)


def busy_share(found: Sequence[WorkerInfo]) -> float | None:
    """The share of these workers' lives in which their devices generated; None if there are none."""
    age = sum(w.age_s for w in found)
    return min(1.0, sum(w.busy_s for w in found) / age) if age > 0 else None


def seconds_per_request(costs: Sequence[tuple[int, float]]) -> float | None:
    """What a request that is left will cost: the median seconds of decoding and generating of each frame-count class,
    weighted by how often that class was met. None of no answers."""
    classes: dict[int, list[float]] = {}
    for frames, seconds in costs:
        classes.setdefault(frames, []).append(seconds)
    return sum(len(c) * median(c) for c in classes.values()) / len(costs) if costs else None


def eta(waiting: int, seconds: float | None, live: int, rate_now: float = 0.0) -> float | None:
    """Seconds until `waiting` requests of `seconds` each are answered by `live` workers; None if it cannot be told.

    Where the run is measurably faster than that (batches; clips decoded while others are generated), its pace counts.
    """
    if not waiting:
        return 0.0
    if not live or seconds is None:
        return None
    planned = waiting * seconds / live
    return min(planned, waiting / rate_now) if rate_now > 0 else planned
