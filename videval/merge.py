"""merge: every sample's prediction taken from the stored responses again, and scored again."""

from collections.abc import Mapping
from dataclasses import dataclass

from videval.benchmarks.catalog import benchmark as find_benchmark
from videval.db import results
from videval.db.records import RunInfo
from videval.db.results import Answered
from videval.db.session import Connection, Database
from videval.packs import pack_statistics
from videval.registry import RULE
from videval.scoring import predict, score

__all__ = ["Merged", "merge"]

CHUNK = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Merged:
    """What a merge found; `vlmevalkit` are the statistics that VLMEvalKit prints of packs."""

    responses: int
    predictions: int
    scored: int
    vlmevalkit: Mapping[str, int]


def merge(database: Database, run: RunInfo) -> Merged:
    """Recompute predictions and rule scores (after a new parser, or imported rows); the same result when repeated."""
    with database.read() as connection:
        answered = list(results.iter_answered(connection, run.run_id))
    totals = [0, 0]
    for start in range(0, len(answered), CHUNK):
        chunk = answered[start : start + CHUNK]
        found = database.write(lambda c, chunk=chunk: [_merge_one(c, run, a) for a in chunk])  # type: ignore[misc]
        totals[0] += sum(n for n, _ in found)
        totals[1] += sum(n for _, n in found)
    packs = [(a.text, [s.sample.id for s in a.samples]) for a in answered if a.packed]
    return Merged(
        responses=len(answered),
        predictions=totals[0],
        scored=totals[1],
        vlmevalkit=pack_statistics(packs) if packs else {},
    )


def _merge_one(connection: Connection, run: RunInfo, answered: Answered) -> tuple[int, int]:
    samples = [s.sample for s in answered.samples]
    predictions = predict(samples, answered.text, packed=answered.packed)
    scores = score(find_benchmark(run.benchmark), samples, predictions)
    results.store_predictions(connection, run.run_id, answered.request_id, answered.samples, predictions)
    results.store_scores(connection, run.run_id, RULE, answered.samples, scores)
    return len(predictions), len(scores)
