"""Bare Celery workers beside each other: api seats beside devices, and the end of a run that two share."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.cluster import Cluster, new_cluster, questions


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = new_cluster("sqlite", tmp_path)
    try:
        yield made
    finally:
        left = made.close()
    assert not left


def answered_by(cluster: Cluster, run_id: int) -> Counter[str]:
    """How many answers each worker gave, by its device."""
    rows = cluster.rows(
        "SELECT attempts.worker FROM attempts JOIN requests ON requests.id = attempts.request_id "
        f"WHERE requests.run_id = {run_id} AND attempts.outcome = 'done'"
    )
    return Counter(row.worker.partition("@")[0] for row in rows)


def test_an_api_seat_answers_for_the_endpoint_and_the_device_for_the_rest(cluster: Cluster) -> None:
    cluster.start_worker("api")
    cluster.start_worker("cpu")
    elsewhere = cluster.enqueue(questions(12), model="fake_api:4")
    here = cluster.enqueue(questions(6), model="fake")
    cluster.wait_done(elsewhere)
    cluster.wait_done(here)
    assert answered_by(cluster, elsewhere) == {"api0": 12} and answered_by(cluster, here) == {"cpu0": 6}
    (dtypes,) = {tuple(row) for row in cluster.rows("SELECT min(dtype), max(dtype) FROM runs")}
    assert dtypes == ("auto", "float32")
    attempts = cluster.rows("SELECT worker, environment FROM attempts")
    environments = {row.worker[:4]: json.loads(row.environment) for row in attempts}
    assert "torch" in environments["cpu0"] and not {"torch", "decord"} & set(environments["api0"])
    assert [p.kind for p in cluster.processes("engine")] == ["engine", "engine"]
    loaded = [Path(f"/proc/{p.pid}/maps").read_text() for kind in ("worker", "engine") for p in cluster.processes(kind)]
    assert not [maps for maps in loaded if "torch" in maps or "decord" in maps], "nobody needs them here"


def test_what_the_first_worker_has_not_begun_at_the_end_goes_to_the_idle_one(cluster: Cluster) -> None:
    cluster.start_worker("cpu:0", VIDEVAL_BATCH_SIZE="1", VIDEVAL_LOOK_AHEAD="5")
    run_id = cluster.enqueue(questions(6, latency_ms=(3000, 3000), videos=1))
    cluster.wait("the first worker to hold all", lambda: cluster.counts(run_id).queued == 0)
    cluster.start_worker("cpu:1", VIDEVAL_BATCH_SIZE="1", VIDEVAL_LOOK_AHEAD="5")
    cluster.wait_done(run_id)
    by = answered_by(cluster, run_id)
    assert by["cpu1"] >= 1 and sum(by.values()) == 6, by
    assert set(cluster.generations().values()) == {1}
