"""The card of a run: what was asked, of what, on what, and how the answers ended."""

from dataclasses import asdict
from typing import Any

from videval.db import runs, timings
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.db.usage import Usage, usage_of_runs
from videval.plain import plain
from videval.report.arrived import frames_lost
from videval.report.seen import endings, seen_summary
from videval.report.spans import spans

__all__ = ["run_card"]


def _environments(database: Database, run: RunInfo) -> list[dict[str, Any]]:
    with database.read() as connection:
        span = timings.request_span(connection, run.run_id)
    distinct: dict[str, dict[str, Any]] = {}
    for low, high in spans(*span) if span else ():
        with database.read() as connection:
            found = timings.environments_in(connection, run.run_id, low, high)
        distinct |= {repr(sorted(e.items())): e for e in found}
    return [distinct[k] for k in sorted(distinct)]


def _used(usage: Usage, run: RunInfo) -> dict[str, Any]:
    return asdict(usage) | {"reused": usage.reused, "currency": run.currency or None}


def run_card(database: Database, run: RunInfo) -> dict[str, Any]:
    """All that the numbers depend on: what was asked, every combination of hardware and versions that answered, how the
    answers ended, what they took and cost, and what the model's processor made of the clips."""
    environments, lost = _environments(database, run), frames_lost(database, run)
    with database.read() as connection:
        counts = runs.counts(connection, run.run_id)
        used = usage_of_runs(connection, [run.run_id]).get(run.run_id)
    return {
        "run": run.name,
        **run.card,
        **({"recipe": plain(run.recipe)} if run.recipe else {}),
        "dtype": run.dtype,
        "requests": {"done": counts.done, "failed": counts.failed, "waiting": counts.waiting, "total": counts.total},
        "missing_videos": len(run.missing),
        "answered_on": environments,
        "answers": endings(database, run),
        **({"usage": _used(used, run) | {"warnings": [lost] if lost else []}} if used else {}),
        "seen": seen_summary(database, run),
    }
