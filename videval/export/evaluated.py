"""A run of one of VLMEvalKit's datasets, evaluated by that dataset itself."""

import tempfile
from pathlib import Path
from typing import Any

from videval.benchmarks.catalog import find_benchmark
from videval.benchmarks.vlmevalkit import evaluated
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.errors import UsageError
from videval.export import export_table, run_table

__all__ = ["NO_JUDGE", "evaluate_foreign"]

NO_JUDGE = "exact_matching"
"""What VLMEvalKit's datasets are told for a judge where only rules are to judge."""


def evaluate_foreign(database: Database, run: RunInfo, *, judge: str = NO_JUDGE) -> Any:
    """What the dataset's own `evaluate` returns for the run as it is now, as JSON values.

    It is given a file in a folder of its own, so that nothing of an earlier evaluation is taken for this one. Raises
    UsageError for other benchmarks, EnvironmentProblem with what it raises.
    """
    if not find_benchmark(run.benchmark).is_foreign:
        raise UsageError(f"{run.benchmark} is no dataset of VLMEvalKit's", hint=f"videval score {run.name}")
    with tempfile.TemporaryDirectory(prefix="videval-evaluate-") as folder:
        file = Path(folder) / "predictions.xlsx"
        export_table(run_table(database, run), file, "xlsx")
        return evaluated(run.benchmark, file, judge)
