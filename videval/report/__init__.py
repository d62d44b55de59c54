"""What people want to know of a run: how far, how fast, the score with its interval and coverage, what went wrong.

Command line and dashboard show the same numbers from these functions. Each is imported when it is used, since a command
waits for what it imports; their types are in `__init__.pyi`.
"""

from importlib import import_module
from typing import Any

_NAMES = {
    "arrived": ("frames_lost",),
    "book": ("ScoreBook",),
    "card": ("run_card",),
    "comparing": (
        "CardDifference",
        "Comparison",
        "GroupDifference",
        "MetricDifference",
        "card_differences",
        "compare",
    ),
    "details": (
        "Moment",
        "TimeSpent",
        "failed_videos",
        "failures",
        "time_spent",
        "timeline",
    ),
    "endpoints": (
        "BUDGET",
        "ended_in_words",
        "endpoint_cost",
        "endpoint_in_words",
        "endpoint_trouble",
        "endpoints_asked",
        "of_limit",
    ),
    "index": (
        "SampleIndex",
        "group_columns",
        "index_columns",
        "load_index",
        "load_verdicts",
    ),
    "published": (
        "Outcome",
        "Reproduction",
    ),
    "rating": ("vlmevalkit_rating",),
    "scores": (
        "GroupScore",
        "Point",
        "ScoreReport",
        "converging",
        "metric_rows",
        "score_report",
    ),
    "spent": (
        "Spent",
        "WorkerTime",
        "spent_of_run",
    ),
    "status": (
        "RunStatus",
        "busy_share",
        "heard_workers",
        "run_status",
        "run_statuses",
    ),
    "sums": (
        "fold",
        "fold_all",
    ),
    "used": (
        "halted_in_words",
        "is_paid",
        "used_in_words",
    ),
}
"""By module, what this package offers."""

_HOMES = {name: module for module, names in _NAMES.items() for name in names}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """A name of this package, with its module imported now."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
