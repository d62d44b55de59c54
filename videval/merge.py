"""Predictions and rule scores of a run again, from its stored responses."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from videval.asking import asking, is_pack
from videval.benchmarks.catalog import find_benchmark
from videval.db import results
from videval.db.records import RunInfo
from videval.db.scores import forget_sums
from videval.db.session import Database
from videval.packs import pack_statistics
from videval.report import fold

__all__ = ["Merged", "merge"]

CHUNK = 500
"""Responses that are read, scored and stored together; workers can write between two chunks."""


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

    `on_progress` hears how many responses are done, and of how many. Reading and scoring hold up no writer.
    """
    bench = find_benchmark(run.benchmark)
    database.write(forget_sums, run.run_id)
    counts: Counter[str] = Counter()
    statistics: Counter[str] = Counter()
    with database.read() as connection:
        ids = results.answered_ids(connection, run.run_id)
    for start in range(0, len(ids), CHUNK):
        with database.read() as connection:
            found = results.answered(connection, ids[start : start + CHUNK])
        readings = [(answer, asking(answer.key, bench).read(answer.samples, answer.said)) for answer in found]
        database.write(results.store_readings, run.run_id, readings)
        counts.update(
            responses=len(found),
            predictions=sum(len(r.predictions) for _, r in readings),
            scored=sum(len(r.scores) for _, r in readings),
        )
        packs = [(a.said.text, [s.id for s in a.samples]) for a in found if is_pack(a.key)]
        statistics.update(pack_statistics(packs) if packs else {})
        on_progress(min(start + CHUNK, len(ids)), len(ids))
    fold(database, run)
    return Merged(
        responses=counts["responses"],
        predictions=counts["predictions"],
        scored=counts["scored"],
        vlmevalkit=dict(statistics),
    )
