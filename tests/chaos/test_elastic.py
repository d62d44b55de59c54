"""Workers come and go by the book: nothing is generated twice, and what is asked of a run is done within seconds."""

import signal
import time

import pytest

from tests.chaos.cluster import Cluster, questions
from videval.db import runs
from videval.types import RunState


def test_workers_join_and_leave_and_nothing_is_generated_twice(cluster: Cluster, full_size: bool):
    count = 300 if full_size else 80
    run_id = cluster.enqueue(questions(count, latency_ms=(600, 1200)))
    workers = [cluster.start_worker()]
    cluster.wait_answers(run_id, 1)
    workers += [cluster.start_worker() for _ in range(3)]
    cluster.wait("four workers", lambda: sum(w.model is not None for w in cluster.workers()) == 4)
    for worker in workers[1:]:
        worker.send_signal(signal.SIGTERM)
    for worker in workers[1:]:
        assert worker.wait(60) == 0
    cluster.start_worker()
    cluster.wait_done(run_id)
    assert cluster.counts(run_id).done == count
    assert set(cluster.generations().values()) == {1} and len(cluster.generations()) == count
    cluster.assert_single(run_id)


def test_sigterm_finishes_what_generates_and_releases_the_rest_unharmed(cluster: Cluster):
    run_id = cluster.enqueue(questions(40, latency_ms=(1500, 1500)))
    worker = cluster.start_worker()
    cluster.wait("a batch in hand", lambda: len(cluster.generations()) >= 4)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    counts = cluster.counts(run_id)
    assert counts.running == 0 and counts.done == len(cluster.generations()) >= 4
    assert not cluster.rows("SELECT 1 FROM requests WHERE strikes > 0") and not cluster.processes("engine")


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
def test_a_second_signal_ends_a_worker_now_and_its_request_is_given_back(cluster: Cluster, second: signal.Signals):
    run_id = cluster.enqueue(questions(1, latency_ms=(120_000, 120_000)))
    worker = cluster.start_worker()
    cluster.wait("it to be generated", lambda: len(cluster.generations()) == 1)
    worker.send_signal(signal.SIGINT)
    cluster.wait("it to drain", lambda: [w.state for w in cluster.workers()] == ["draining"])
    time.sleep(0.6)  # several within half a second are one
    worker.send_signal(second)
    worker.wait(60)
    counts = cluster.counts(run_id)
    assert (counts.queued, counts.running) == (1, 0) and not cluster.processes("engine")
    assert not cluster.rows("SELECT 1 FROM requests WHERE strikes > 0")


def test_pause_resume_and_cancel_act_within_seconds(cluster: Cluster):
    run_id = cluster.enqueue(questions(400, latency_ms=(100, 200)))
    cluster.start_worker()
    cluster.wait_answers(run_id, 8)
    cluster.database.write(lambda c: runs.set_state(c, run_id, RunState.PAUSED))
    cluster.wait("nothing running", lambda: cluster.counts(run_id).running == 0)
    paused = cluster.counts(run_id).done
    time.sleep(2)
    assert cluster.counts(run_id).done == paused < 400
    cluster.database.write(lambda c: runs.set_state(c, run_id, RunState.ACTIVE))
    cluster.wait_answers(run_id, paused + 8)
    cluster.database.write(lambda c: runs.cancel(c, run_id))
    cluster.wait("it to be finished", lambda: cluster.counts(run_id).finished, 30)
    settled = cluster.counts(run_id)
    time.sleep(2)
    assert cluster.counts(run_id) == settled and settled.cancelled > 0
    cluster.assert_single(run_id)


def test_two_runs_of_two_models_cost_about_two_loads_per_worker(cluster: Cluster):
    first = cluster.enqueue(questions(80, latency_ms=(200, 400)), model="fake:a")
    second = cluster.enqueue(questions(80, latency_ms=(200, 400), seed=1), model="fake:b")
    for _ in range(3):
        cluster.start_worker()
    cluster.wait_done(first)
    cluster.wait_done(second)
    loads = [w.loads for w in cluster.workers()]
    assert sum(loads) <= 2 * 3 + 1, f"loads of the workers: {loads}"
    assert cluster.counts(first).done == cluster.counts(second).done == 80


def test_one_that_works_alone_serves_both_runs_turn_by_turn(cluster: Cluster):
    first = cluster.enqueue(questions(40, latency_ms=(150, 300)), model="fake:a")
    second = cluster.enqueue(questions(40, latency_ms=(150, 300), seed=1), model="fake:b")
    cluster.start_worker(VIDEVAL_TURN="2")
    cluster.wait("both runs to have answers", lambda: all(cluster.counts(r).done > 3 for r in (first, second)))
    assert not (cluster.counts(first).finished and cluster.counts(second).finished)
    cluster.wait_done(first)
    cluster.wait_done(second)
    assert set(cluster.generations().values()) == {2}, "question i of each run was generated once"
