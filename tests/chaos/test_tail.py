"""The end of a run: what one worker holds and cannot begin goes to a worker that has nothing to do."""

from tests.chaos.cluster import Cluster, questions
from videval.db import runs

SLOW = {"index": "slow", "latency_ms": 600_000}


def test_what_a_busy_worker_holds_is_answered_by_one_that_joins_idle_and_is_generated_once(cluster: Cluster) -> None:
    slow = cluster.enqueue(questions(1, r0=SLOW))
    busy = cluster.start_worker(VIDEVAL_BATCH_SIZE="1")
    cluster.wait("the slow one to be generated", lambda: cluster.generations()["slow"] == 1)
    quick = cluster.enqueue(questions(4, latency_ms=(20, 20)), max_pixels=64)
    cluster.wait("the others to be held behind it", lambda: cluster.counts(quick).running == 4)
    cluster.start_worker(VIDEVAL_BATCH_SIZE="1")
    cluster.wait_done(quick)
    (first,) = cluster.rows(f"SELECT worker_id FROM requests WHERE run_id = {slow}")
    by = cluster.rows(f"SELECT DISTINCT worker_id FROM requests WHERE run_id = {quick}")
    assert cluster.counts(quick).done == 4 and first not in by
    assert cluster.counts(slow).running == 1 and set(cluster.generations().values()) == {1}
    assert not cluster.rows("SELECT 1 FROM requests WHERE strikes > 0 OR retries > 0"), "it costs them nothing"
    cluster.assert_single(quick)
    cluster.database.write(runs.cancel, slow)
    busy.kill()
