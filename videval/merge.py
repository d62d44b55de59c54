"""Predictions and rule scores of a run again, from its stored responses."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from videval.asking import asking, is_pack
from videval.benchmarks.base import Benchmark
from videval.benchmarks.catalog import find_benchmark
from videval.db import again, runs, scores, timings
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.packs import pack_statistics
from videval.report.spans import spans
from videval.report.sums import fold

__all__ = ["Merged", "merge"]

CHUNK = 500
"""Requests that are read, scored and stored together; workers can write between two chunks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Merged:
    """What a merge found; `vlmevalkit` are the statistics that VLMEvalKit prints of packs."""

    responses: int
    predictions: int
    scored: int
    vlmevalkit: Mapping[str, int]


def merge(
    database: Database, run: RunInfo, *, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> Merged:
    """Recompute predictions and rule scores (after a new parser, or imported rows); the same result when repeated.
    What is stored so already is not written again.

    `on_progress` hears how many responses are done, and of how many. Reading and scoring hold up no writer.
    """
    bench = find_benchmark(run.benchmark)
    counts: Counter[str] = Counter()
    statistics: Counter[str] = Counter()
    with database.read() as connection:
        bounds, total = timings.request_span(connection, run.run_id), runs.counts(connection, run.run_id).done
    for low, high in spans(*bounds, CHUNK) if bounds else ():
        readings = _read_again(database, run.run_id, bench, low, high)
        counts.update(
            responses=len(readings),
            predictions=sum(len(r.predictions) for _, r in readings),
            scored=sum(len(r.scores) for _, r in readings),
        )
        packs = [(a.said.text, [s.id for s in a.samples]) for a, _ in readings if is_pack(a.key)]
        statistics.update(pack_statistics(packs) if packs else {})
        on_progress(counts["responses"], max(total, counts["responses"]))
    _add_up(database, run)
    return Merged(
        responses=counts["responses"],
        predictions=counts["predictions"],
        scored=counts["scored"],
        vlmevalkit=dict(statistics),
    )


def _read_again(database: Database, run_id: int, bench: Benchmark, low: int, high: int) -> list[again.Read]:
    """Read and score the answers to requests with ids low..high, and store what is new of them; once more where some
    came or went meanwhile."""
    while True:
        with database.read() as connection:
            attempts = again.attempts_in(connection, run_id, low, high)
            found, known = again.answered_in(connection, run_id, low, high)
        readings = [(answer, asking(answer.key, bench).read(answer.samples, answer.said)) for answer in found]
        changed = again.news(readings, known)
        if not changed or database.write(again.store_news, run_id, low, high, changed, attempts):
            return readings


def _add_up(database: Database, run: RunInfo) -> None:
    """Have the run's sums up to date, and all of them made anew if they are not what its rows come to."""
    fold(database, run)
    with database.read() as connection:
        sums = scores.read_sums(connection, run.run_id)
        is_right = sums is not None and sums.scorers == scores.scorers_of(connection, run.run_id)
    if not is_right:
        database.write(scores.forget_sums, run.run_id)
        fold(database, run)
