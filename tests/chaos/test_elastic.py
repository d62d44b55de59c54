"""Workers come and go by the book: nothing is generated twice, and what is asked of a run is done within seconds."""

import signal

from tests.chaos.cluster import Cluster, questions


def test_workers_join_and_leave_and_nothing_is_generated_twice(cluster: Cluster, full_size: bool):
    count = 300 if full_size else 120
    run_id = cluster.enqueue(questions(count, latency_ms=(50, 250)))
    workers = [cluster.start_worker()]
    cluster.wait_answers(run_id, 5)
    workers += [cluster.start_worker() for _ in range(3)]
    cluster.wait("four workers", lambda: sum(w.done > 0 for w in cluster.workers()) == 4)
    for worker in workers[1:]:
        worker.send_signal(signal.SIGTERM)
    for worker in workers[1:]:
        assert worker.wait(60) == 0
    cluster.start_worker()
    cluster.wait_done(run_id)
    assert cluster.counts(run_id).done == count
    assert set(cluster.generations().values()) == {1} and len(cluster.generations()) == count
    cluster.assert_single(run_id)
