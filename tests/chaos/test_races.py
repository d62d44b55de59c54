"""Races on a fleet: one engine is frozen while it generates, and an idle worker answers in its place."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.chaos.cluster import Cluster, Process, questions
from videval.db import runs
from videval.report.spent import spent_of_run
from videval.types import AttemptOutcome

SLOW = {"index": "slow", "latency_ms": 8000}


def engine_of(cluster: Cluster, index: str) -> int:
    """Who generated this question last."""
    lines = Path(cluster.environ["VIDEVAL_FAKE_LOG"]).read_text().splitlines()
    return [int(line["pid"]) for line in map(json.loads, lines) if line["index"] == index][-1]


def outcomes(cluster: Cluster, run_id: int) -> dict[int, str]:
    """How the tries at the slow question ended, by their numbers."""
    tries = "SELECT a.attempt, a.outcome FROM attempts a JOIN requests r ON r.id = a.request_id"
    return {row[0]: row[1] for row in cluster.rows(f"{tries} WHERE r.run_id = {run_id} AND r.key = 'sample:2'")}


def worker_of(cluster: Cluster, attempts: str) -> Process:
    """The worker that tries the slow question."""
    tries = "SELECT w.pid FROM workers w JOIN attempts a ON a.worker_id = w.id"
    (found,) = cluster.rows(f"{tries} WHERE a.attempt {attempts} AND a.outcome = 'running'")
    return Process(pid=found[0], kind="worker")


@pytest.fixture
def run_id(cluster: Cluster) -> int:
    """A run whose last question is raced: who began with it is frozen, the guest generates."""
    for _ in range(2):
        cluster.start_worker(VIDEVAL_BATCH_SIZE="1")
    asked = questions(3, latency_ms=(20, 20), r2=SLOW)
    made = cluster.enqueue(asked, race_tail=True, limit=2)
    cluster.wait_done(made)
    assert cluster.enqueue(asked, race_tail=True) == made
    cluster.wait("the slow one to be generated", lambda: cluster.generations()["slow"] == 1)
    os.kill(engine_of(cluster, "slow"), signal.SIGSTOP)
    cluster.wait("the guest to generate it too", lambda: cluster.generations()["slow"] == 2)
    return made


def test_a_frozen_engine_holds_up_no_run_and_its_try_is_repeated(cluster: Cluster, run_id: int) -> None:
    cluster.wait_done(run_id)
    assert cluster.counts(run_id).done == 3
    cluster.assert_single(run_id)
    assert outcomes(cluster, run_id) == {1: "repeated", -1: "done"}
    assert cluster.generations() == {"0": 1, "1": 1, "slow": 2}
    assert not cluster.rows("SELECT 1 FROM requests WHERE strikes > 0 OR retries > 0")
    with cluster.database.read() as connection:
        run = runs.get_run(connection, run_id)
    assert spent_of_run(cluster.database, run).in_vain[AttemptOutcome.REPEATED] == 1


def test_whoever_is_raced_may_be_killed(cluster: Cluster, run_id: int) -> None:
    cluster.kill(worker_of(cluster, "> 0"))
    cluster.wait_done(run_id)
    assert cluster.counts(run_id).done == 3
    cluster.assert_single(run_id)
    assert "running" not in outcomes(cluster, run_id).values()


def test_a_guest_that_is_killed_leaves_the_request_to_who_has_it(cluster: Cluster, run_id: int) -> None:
    cluster.kill(worker_of(cluster, "= -1"))
    cluster.wait("the guest to be given up", lambda: outcomes(cluster, run_id)[-1] == "lost")
    assert outcomes(cluster, run_id)[1] == "running" and cluster.counts(run_id).running == 1
    for process in cluster.processes("engine"):
        os.kill(process.pid, signal.SIGCONT)
    cluster.wait_done(run_id)
    cluster.assert_single(run_id)
    assert outcomes(cluster, run_id) == {1: "done", -1: "lost"} and cluster.counts(run_id).done == 3
    assert not cluster.rows("SELECT 1 FROM requests WHERE strikes > 0 OR retries > 0")
