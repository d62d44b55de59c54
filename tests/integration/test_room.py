"""A worker whose device is too small for a model refuses it before its engine loads anything."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.one_worker import quick, work_of
from tests.questions import make_run
from videval.db.session import Database
from videval.errors import ModelUnavailable
from workers.worker import Worker


def test_a_worker_that_has_no_room_for_a_model_says_so_and_loads_nothing(
    worker: Worker, database: Database, tmp_path: Path
) -> None:
    engine = quick(worker)
    make_run(database, tmp_path / "data", 1)
    work = work_of(database)
    large = replace(work, spec=replace(work.spec, weights_gb=66.9))
    worker.device = replace(worker.device, memory_gb=24.0)
    with pytest.raises(ModelUnavailable, match=r"needs 66\.9 GB of weights.*a group of 3") as refused:
        worker.load(large)
    assert refused.value.hint == "VIDEVAL_DEVICES=0+1+2" and engine.loads == 0
    worker.device = replace(worker.device, memory_gb=80.0)
    assert worker.load(large).spec.weights_gb == 66.9
