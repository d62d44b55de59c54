"""A run answered by the workers of a model by name, watched until it is over."""

import logging
import sys
import time
from collections.abc import Callable

from videval.compat.models import NamedModel
from videval.db import results, runs, workers
from videval.db.records import RunInfo
from videval.db.runs import Counts
from videval.db.session import Database
from videval.errors import EnvironmentProblem, ModelUnavailable
from videval.order import Order
from videval.settings import Settings
from videval.types import RunState
from workers import desk
from workers.broker import using
from workers.fleet import Fleet
from workers.refusals import Refusals

__all__ = ["answer_by_fleet", "counts_of", "ended_with_failures", "print_answer"]

log = logging.getLogger(__name__)
TICK = 0.5
"""Seconds between two looks at a fleet."""
SOME = 500
"""Answers that are read at once to be printed."""


def answer_by_fleet(
    settings: Settings, database: Database, order: Order, model: NamedModel, *, verbose: bool
) -> RunInfo:
    """Enqueue, and have the model's workers answer until nothing is left. Raises EnvironmentProblem if they cannot;
    whatever ends it early, the workers are ended and nothing is lost."""
    fleet = model.fleet(settings)
    with using(settings):
        placed = desk.enqueue(settings, database, order)
        if placed.rung.away:
            raise placed.rung.away
        for remark in placed.remarks:
            log.warning(remark)
        if ended_with_failures(database, placed.run):
            desk.retry(settings, database, placed.run)
        try:
            _Watch(settings, database, placed.run, fleet).until_over(verbose=verbose)
        except BaseException:
            model.close()
            raise
    return placed.run


def counts_of(database: Database, run: RunInfo) -> Counts:
    """How many requests of a run stand where."""
    with database.read() as connection:
        return runs.counts(connection, run.run_id)


def ended_with_failures(database: Database, run: RunInfo) -> bool:
    """Whether a run that has no file yet is over and has failures: then what failed is asked again."""
    counts = counts_of(database, run)
    return counts.finished and counts.failed > 0


def print_answer(text: str) -> None:
    """An answer on standard output, whatever characters that has."""
    encoding = sys.stdout.encoding or "ascii"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    sys.stdout.flush()


class _Watch:
    """Looks at a run and at the fleet that answers it."""

    def __init__(self, settings: Settings, database: Database, run: RunInfo, fleet: Fleet) -> None:
        self._settings = settings
        self._database = database
        self._run = run
        self._fleet = fleet
        self._said: set[str] = set()
        self._refusals = Refusals({device.id for device in fleet.devices}, run.load_key)

    def until_over(self, *, verbose: bool) -> None:
        """Come back when nothing of the run is left; EnvironmentProblem if no worker can ever work on it."""
        tell: Callable[[], None] = _Printed(self._database, self._run).tell if verbose else lambda: None
        while not counts_of(self._database, self._run).finished:
            self._fleet.tick()
            if self._fleet.hopeless:
                raise EnvironmentProblem(f"no worker can be started:\n{self._fleet.hopeless}", hint="videval doctor")
            self._look()
            tell()
            time.sleep(TICK)
        tell()

    def _look(self) -> None:
        """Say what keeps the run from going on, each thing once; ModelUnavailable if that is the model itself."""
        with self._database.read() as connection:
            state = runs.get_run(connection, self._run.run_id).state
            messages = [f"{w.name}: {w.message}" for w in workers.live_workers(connection) if w.message]
            seats = workers.seats(connection, silent_s=self._settings.lease * 2)
        if state == RunState.PAUSED:
            messages.append(f"{self._run.name} is paused: videval resume {self._run.name}")
        for message in messages:
            if message not in self._said:
                self._said.add(message)
                log.warning(message)
        if self._refusals.look(seats):
            raise ModelUnavailable("; ".join(messages) or f"{self._run.model} cannot be loaded", hint="videval doctor")


class _Printed:
    """Prints the answers of a run that came since this was made."""

    def __init__(self, database: Database, run: RunInfo) -> None:
        self._database = database
        self._run = run
        with database.read() as connection:
            self._known = set(results.answered_ids(connection, run.run_id))

    def tell(self) -> None:
        """Print what is new."""
        with self._database.read() as connection:
            new = [i for i in results.answered_ids(connection, self._run.run_id) if i not in self._known]
            for start in range(0, len(new), SOME):
                for answered in results.answered(connection, new[start : start + SOME]):
                    print_answer(answered.said.text)
        self._known.update(new)
