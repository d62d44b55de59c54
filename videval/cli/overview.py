"""Runs and workers in tables and as JSON: what `status`, `list runs` and `fleet --watch` show."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from videval.cli.console import console
from videval.cli.paced import Paced
from videval.cli.table import Cell, Column, as_table, colour, dimmed
from videval.cli.words import duration, measured, percent, rate, time_left, when
from videval.db import runs as run_rows
from videval.db import workers as worker_rows
from videval.db.session import Database
from videval.db.workers import WorkerInfo
from videval.report import (
    RunStatus,
    ScoreBook,
    ScoreReport,
    endpoint_in_words,
    endpoints_asked,
    frames_lost,
    halted_in_words,
    is_paid,
    used_in_words,
)
from videval.types import RecipeUsed

__all__ = [
    "HISTORY",
    "Scores",
    "endpoint_lines",
    "history_rows",
    "is_going",
    "lines_below",
    "live",
    "origin_lines",
    "run_json",
    "runs_table",
    "workers_table",
]

LATE = 30.0
"""Seconds of silence from which a worker's last sign is worth a word: three heartbeats."""

SCORE_PERIOD = 2.0
"""Seconds that a score is shown at least: it is made of all verdicts, and moves slowly."""

NOW = (
    Column(title="benchmark", kind="name"),
    Column(title="model", kind="name"),
    Column(title="state"),
    Column(title="done", kind="number"),
    Column(title="failed", kind="number"),
    Column(title="rate", kind="extra"),
    Column(title="left", kind="number"),
    Column(title="score", kind="number"),
    Column(title="coverage", kind="extra"),
    Column(title="run", kind="name"),
)
HISTORY = (
    Column(title="benchmark", kind="name"),
    Column(title="model", kind="name"),
    Column(title="state"),
    Column(title="started", kind="number"),
    Column(title="took", kind="number"),
    Column(title="score", kind="number"),
    Column(title="questions", kind="number"),
    Column(title="coverage", kind="extra"),
    Column(title="run", kind="name"),
)
WORKERS = (
    Column(title="worker", kind="name"),
    Column(title="device", kind="name"),
    Column(title="state"),
    Column(title="model", kind="name"),
    Column(title="done", kind="number"),
    Column(title="failed", kind="number"),
    Column(title="memory", kind="extra"),
    Column(title="heard"),
    Column(title="does", kind="words"),
)


class Scores:
    """Scores of runs from one score book, each read again every few seconds at most."""

    def __init__(self, database: Database) -> None:
        self._book = ScoreBook(database)
        self._found: dict[int, Paced[[RunStatus], ScoreReport]] = {}

    def of(self, status: RunStatus) -> ScoreReport:
        """The score of a run so far."""
        found = self._found.setdefault(status.run.run_id, Paced(self._book.one, period=SCORE_PERIOD))
        return found(status)


def is_going(status: RunStatus) -> bool:
    """Whether a run still has something to do, now or once it is resumed."""
    return not status.counts.finished and status.state != "cancelled"


def live(database: Database) -> list[WorkerInfo]:
    """The workers that live."""
    with database.read() as connection:
        return worker_rows.live_workers(connection)


def runs_table(statuses: Sequence[RunStatus], scores: Scores) -> Table:
    """Where runs stand now, a line each."""
    return as_table(NOW, [_now(s, scores.of(s)) for s in statuses], console.width)


def _now(status: RunStatus, score: ScoreReport) -> list[Cell]:
    counts = status.counts
    return [
        status.run.variant,
        status.run.model,
        colour(status.state),
        f"{counts.done:,}/{counts.total:,}",
        dimmed(counts.failed, "red"),
        rate(status.rate_now) if counts.waiting else "",
        time_left(status.eta_s) if counts.waiting and status.rate_now else "-" * bool(counts.waiting),
        measured(score.overall.estimate.mean, score.top),
        percent(score.coverage) if score.scorable else "-",
        status.run.name,
    ]


def history_rows(statuses: Sequence[RunStatus], scores: Scores) -> list[list[Cell]]:
    """When runs began, how long they took, and what came of them."""
    return [_history(s, scores.of(s)) for s in statuses]


def _history(status: RunStatus, score: ScoreReport) -> list[Cell]:
    return [
        status.run.variant,
        status.run.model,
        colour(status.state),
        when(status.run.created_at),
        duration(_took(status)),
        measured(score.overall.estimate.mean, score.top),
        f"{status.run.num_samples:,}",
        percent(score.coverage) if score.scorable else "-",
        status.run.name,
    ]


def _took(status: RunStatus) -> float | None:
    """Seconds from the first answer to the last one, or until now while it goes on."""
    if status.first_at is None or status.last_at is None:
        return None
    return (status.now if status.state == "active" else status.last_at) - status.first_at


def workers_table(database: Database) -> Table:
    """What every live worker does."""
    return as_table(WORKERS, [_worker(w) for w in live(database)], console.width)


def _worker(worker: WorkerInfo) -> list[Cell]:
    is_late = worker.silent_s > LATE
    heard = Text(f"{duration(worker.silent_s)} ago", style="red") if is_late else Text("ok", style="green")
    return [
        worker.name,
        worker.device_name or worker.device,
        colour(worker.state),
        worker.model or "-",
        dimmed(worker.done),
        dimmed(worker.failed, "red"),
        f"{worker.rss_mb / 1024:.1f} GB",
        heard,
        Text(_doing(worker)),
    ]


def _doing(worker: WorkerInfo) -> str:
    found = ", ".join(f"{a['stage']} {a['seconds']:.0f} s" for a in worker.activity.values())
    loads = "" if worker.loading_s is None else f"loads the model, {duration(worker.loading_s)}"
    return "; ".join(filter(None, (worker.message, loads, found)))


def run_json(database: Database, status: RunStatus, score: ScoreReport, alive: Sequence[WorkerInfo]) -> dict[str, Any]:
    """A run for scripts; the README says what each key means."""
    with database.read() as connection:
        kinds = run_rows.failures_by_kind(connection, status.run.run_id) if status.counts.failed else {}
    return {
        "run": status.run.name,
        "state": status.state,
        "benchmark": status.run.benchmark,
        "variant": status.run.variant,
        "model": status.run.model,
        "recipe": _recipe_json(status.run.recipe),
        "imported": status.run.card.get("imported"),
        "questions": status.run.num_samples,
        "counts": dataclasses.asdict(status.counts) | {"total": status.counts.total},
        "finished": status.counts.finished,
        "failures": kinds,
        "rate": status.rate,
        "rate_now": status.rate_now,
        "eta_s": status.eta_s,
        "created_at": status.run.created_at,
        "first_at": status.first_at,
        "last_at": status.last_at,
        "took_s": _took(status),
        "score": dataclasses.asdict(score.overall.estimate),
        "coverage": score.coverage,
        "workers": [_worker_json(w) for w in alive if w.load_key == status.run.load_key],
        "halted": status.halted or None,
        "usage": dataclasses.asdict(status.usage),
        "reused": status.usage.reused,
        "currency": status.run.currency or None,
        "max_cost": status.run.max_cost,
        "max_tokens": status.run.max_tokens,
    }


def _recipe_json(recipe: RecipeUsed | None) -> dict[str, Any] | None:
    if recipe is None:
        return None
    return {"name": recipe.name, "digest": recipe.digest, "deviations": list(recipe.deviations)}


def lines_below(statuses: Sequence[RunStatus]) -> list[str]:
    """What is said of runs below their table: where they come from, what they took and cost, why they were halted.

    Of several runs only those say what they took that are paid for.
    """
    used = [s for s in statuses if len(statuses) == 1 or is_paid(s)]
    return [
        *origin_lines(statuses),
        *(f"{s.run.name}: {said}" for s in used if (said := used_in_words(s.usage, s.run))),
        *(f"{s.run.name} was {said}" for s in statuses if (said := halted_in_words(s))),
    ]


def endpoint_lines(database: Database, statuses: Sequence[RunStatus]) -> list[str]:
    """How the endpoints are that these runs ask, and those that others ask right now; where frames were lost there."""
    lost = [f"{s.run.name}: {said}" for s in statuses if (said := frames_lost(database, s.run))]
    mine = {status.run.endpoint for status in statuses if is_going(status)}
    asked = [found for found in endpoints_asked(database) if found.name in mine or not found.is_stale]
    return [*(f"endpoint {endpoint_in_words(found)}" for found in asked), *lost]


def origin_lines(statuses: Sequence[RunStatus]) -> list[str]:
    """Of each run that is by a recipe, which it is and what deviates from it; of each that is imported, from where."""
    imported = [f"{status.run.name}: {status.run.origin}" for status in statuses if status.run.is_imported]
    return imported + [
        f"{status.run.name}: by recipe {recipe.name}"
        + (f", but {'; '.join(recipe.deviations)}" * bool(recipe.deviations))
        for status in statuses
        if (recipe := status.run.recipe)
    ]


def _worker_json(worker: WorkerInfo) -> dict[str, Any]:
    names = ("name", "device", "state", "done", "failed", "rss_mb", "silent_s", "message")
    return {name: getattr(worker, name) for name in names}
