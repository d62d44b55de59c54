"""The scores of many runs, each computed again only when it can have changed."""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from videval.db.records import RunInfo
from videval.db.session import Database
from videval.errors import VidevalError
from videval.report.index import SampleIndex, index_columns, load_index
from videval.report.scores import ScoreReport, score_report
from videval.report.status import RunStatus

__all__ = ["ScoreBook"]

log = logging.getLogger(__name__)
STALE_S = 60.0
"""A score whose run has no new answers is computed again after this long: it may have been rescored."""
RESTS = 10.0
MOST_SNAPSHOTS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class _Known:
    report: ScoreReport
    fingerprint: tuple[int, float | None]
    computed_at: float
    took_s: float


class ScoreBook:
    """Keeps score reports by run, and the questions of the benchmarks they rest on; safe in threads."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[int, _Known] = {}
        self._indexes: OrderedDict[int, SampleIndex] = OrderedDict()
        self._lock = threading.Lock()

    def index(self, run: RunInfo) -> SampleIndex:
        """The questions of a run's benchmark; they never change, so they are read once."""
        with self._lock:
            if run.snapshot_id not in self._indexes:
                loaded = load_index(self._database, run.snapshot_id, index_columns(run))
                self._indexes[run.snapshot_id] = loaded
            self._indexes.move_to_end(run.snapshot_id)
            if len(self._indexes) > MOST_SNAPSHOTS:
                self._indexes.popitem(last=False)
            return self._indexes[run.snapshot_id]

    def all(self, statuses: Sequence[RunStatus], *, budget_s: float) -> Mapping[int, ScoreReport]:
        """The scores of runs, as far as they can be had in `budget_s`; the next call goes on where this one stopped."""
        end = self._clock() + budget_s
        for status in sorted(statuses, key=lambda s: (s.run.run_id in self._known, not s.rate_now, -s.run.run_id)):
            if self._clock() > end:
                break
            try:
                self.one(status)
            except VidevalError:
                pass  # a benchmark whose plugin is gone: the page of that run says so
            except Exception:
                log.exception("run %s cannot be scored", status.run.name)
        return {run_id: known.report for run_id, known in list(self._known.items())}

    def one(self, status: RunStatus) -> ScoreReport:
        """The score of one run."""
        known = self._known.get(status.run.run_id)
        if known is None or self._is_due(known, status):
            began = self._clock()
            found = score_report(self._database, status.run, lambda: self.index(status.run))
            now = self._clock()
            fingerprint = (status.answered, status.last_at)
            known = _Known(report=found, fingerprint=fingerprint, computed_at=now, took_s=now - began)
            self._known[status.run.run_id] = known
        return known.report

    def _is_due(self, known: _Known, status: RunStatus) -> bool:
        age = self._clock() - known.computed_at
        changed = known.fingerprint != (status.answered, status.last_at)
        return age > RESTS * known.took_s and (changed or age > STALE_S)
