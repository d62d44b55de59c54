"""The bare worker and what Celery says of it: places follow the model, tasks are what is in hand, no option lies."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from celery.bin.worker import worker as celery_worker

from tests.chaos.cluster import Cluster, questions
from workers.lifecycle import REFUSED


def inspect(cluster: Cluster, what: str) -> Any:
    """What `celery inspect` shows of the only worker."""
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "workers", "inspect", what, "--json"],
        env=cluster.environ,
        cwd=cluster.folder,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return next(iter(json.loads(done.stdout).values()))


def running(cluster: Cluster) -> int:
    return int(cluster.rows("SELECT count(*) FROM requests WHERE status = 'running'")[0][0])


def test_celery_shows_as_many_tasks_as_are_in_hand_and_as_many_places_as_the_model_has(cluster: Cluster) -> None:
    """Siblings too, which were begun without a bell: theirs come later and stand for them."""
    cluster.environ |= {"VIDEVAL_BATCH_SIZE": "2", "VIDEVAL_LOOK_AHEAD": "3"}
    run_id = cluster.enqueue(questions(20, latency_ms=(12_000, 12_000), videos=2))
    cluster.start_worker()
    cluster.wait("a full hand", lambda: len(cluster.generations()) > 0 and running(cluster) == 5)
    cluster.wait("their bells to be heard", lambda: len(inspect(cluster, "active")) == running(cluster) == 5)
    stats = inspect(cluster, "stats")
    assert (stats["pool"]["max-concurrency"], stats["prefetch_count"]) == (5, 5)
    assert cluster.counts(run_id).failed == 0


def test_options_that_would_be_heeded_by_half_are_refused_in_one_line(tmp_path: Path) -> None:
    environ = os.environ | {"VIDEVAL_HOME": str(tmp_path), "VIDEVAL_LOCK_DIR": str(tmp_path / "locks")}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "workers", "worker", "-c", "3", "-P", "threads", "--autoscale", "4,1"],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if line.startswith(("videval worker:", "  -> "))]
    assert done.returncode == 2 and len(said) == 2
    assert "-P / --pool, -c / --concurrency, --autoscale" in said[1]
    assert "Traceback" not in done.stderr and not list(tmp_path.iterdir()), "nothing was opened"


def test_the_options_that_are_refused_are_celery_s_by_these_names() -> None:
    assert set(REFUSED) <= {parameter.name for parameter in celery_worker.params}
