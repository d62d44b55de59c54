"""A run as the table that is exported: the benchmark's columns, then `prediction`."""

import json
from collections.abc import Iterator

from videval.db import browse, responses, results, stats, timings
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.export.table import Table
from videval.plain import plain
from videval.report import metric_rows, run_card, score_report
from videval.report.spans import spans
from videval.types import Scalar

__all__ = ["run_table", "sample_rows", "table_columns"]

RESPONSES = 500
"""Requests whose responses are in memory at once: what was thought may be long."""
_AS_STORED = ("truncated", "refused", "prompt_tokens", "cached_tokens", "new_tokens", "reasoning_tokens", "cost")


def run_table(database: Database, run: RunInfo) -> Table:
    """The table of a run, with its card, metrics and failures; rows are read while they are taken."""
    with database.read() as connection:
        failed = list(results.failures(connection, run.run_id))
    return Table(
        columns=table_columns(run),
        rows=(row for _, row in sample_rows(database, run)),
        card=run_card(database, run) | {"metrics": metric_rows(score_report(database, run))},
        failures=failed,
        run=run.name,
        responses=_responses(database, run),
    )


def table_columns(run: RunInfo) -> tuple[str, ...]:
    """The benchmark's columns with `index` among them, then `prediction`."""
    own = [c for c in run.columns if c != "prediction"]
    return (*(own if "index" in own else ["index", *own]), "prediction")


def sample_rows(database: Database, run: RunInfo) -> Iterator[tuple[str, dict[str, Scalar]]]:
    """The samples by id, each with its row of the table, in the benchmark's order; read in spans, so that no reader
    stays open while a file grows."""
    with database.read() as connection:
        bounds = stats.sample_span(connection, run.snapshot_id)
    for low, high in spans(*bounds) if bounds else ():
        with database.read() as connection:
            found = browse.predictions_in(connection, run, low, high)
        for sample, prediction in found:
            row = dict(sample.row)
            row.setdefault("index", sample.id)
            row["prediction"] = prediction
            yield sample.id, row


def _responses(database: Database, run: RunInfo) -> Iterator[dict[str, Scalar]]:
    """What was said with its thinking, what was seen and what it cost; `index` of a pack is a JSON list, `seen` one of
    its clips."""
    with database.read() as connection:
        bounds = timings.request_span(connection, run.run_id)
    for low, high in spans(*bounds, RESPONSES) if bounds else ():
        with database.read() as connection:
            found = list(responses.responses_in(connection, run.run_id, low, high))
        for r in found:
            yield {
                "index": r.samples[0] if len(r.samples) == 1 else json.dumps(r.samples),
                "video": r.video,
                "thinking": r.thinking,
                "response": r.text,
                **{name: getattr(r, name) for name in _AS_STORED},
                "seen": json.dumps([plain(clip) for clip in r.seen]),
            }
