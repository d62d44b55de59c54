"""A run's rating by VLMEvalKit's own rules."""

from collections.abc import Mapping
from typing import Any

from videval.benchmarks.catalog import find_benchmark
from videval.db import results
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.errors import UsageError
from videval.scorers import vlmevalkit
from videval.types import RequestStatus

__all__ = ["vlmevalkit_rating"]

_OVER = (RequestStatus.DONE, RequestStatus.FAILED)


def vlmevalkit_rating(database: Database, run: RunInfo) -> Mapping[str, Any]:
    """The rating table as VLMEvalKit's own rule path computes it, failed rows as it treats them.

    What is not answered yet is left out. UsageError for benchmarks that VLMEvalKit does not rate without a judge.
    """
    rule = vlmevalkit.RULES.get(find_benchmark(run.benchmark).vlmevalkit)
    if rule is None:
        raise UsageError(
            f"VLMEvalKit has no rule for {run.benchmark} without a judge", hint=f"videval score {run.name}"
        )
    with database.read() as connection:
        found = [r for r in results.iter_results(connection, run.run_id) if r.status in _OVER]
    rating: Mapping[str, Any] = rule.rating(
        [dict(r.sample.row) | {"score": rule.score(r.sample, r.prediction)} for r in found]
    )
    return rating
