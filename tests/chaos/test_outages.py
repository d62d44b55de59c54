"""Broker and database go away and come back: the run ends complete, without a hand."""

import random
import signal
import time

import pytest

from tests.chaos.cluster import Cluster, questions


def stop_redis(cluster: Cluster) -> None:
    if cluster.redis is not None:
        cluster.redis.kill()
    for process in cluster.processes("redis"):
        cluster.kill(process)


def start_redis(cluster: Cluster) -> None:
    """The embedded one is started by the workers themselves."""
    if cluster.redis is not None:
        cluster.redis.start()


def start_run(cluster: Cluster, count: int, seed: int) -> int:
    run_id = cluster.enqueue(questions(count, latency_ms=(200, 600), seed=seed))
    for _ in range(3):
        cluster.start_worker()
    cluster.wait_answers(run_id, 3)
    return run_id


def check(cluster: Cluster, run_id: int, count: int) -> None:
    """All is answered, and was generated once."""
    cluster.wait_done(run_id, 180)
    counts = cluster.counts(run_id)
    assert (counts.done, counts.failed) == (count, 0), cluster.failed(run_id)
    cluster.assert_single(run_id)
    assert cluster.generations() == {str(i): 1 for i in range(count)}


def test_redis_is_killed_three_times_and_comes_back_empty(cluster: Cluster, seed: int, full_size: bool):
    chance, count = random.Random(seed), 300 if full_size else 100
    run_id = start_run(cluster, count, seed)
    for _ in range(3):
        stop_redis(cluster)
        time.sleep(chance.uniform(0, 1.5))
        start_redis(cluster)
        time.sleep(chance.uniform(0.5, 2))
    check(cluster, run_id, count)


def test_flushing_redis_loses_no_request(cluster: Cluster):
    run_id = start_run(cluster, 60, 0)
    with cluster.redis_client() as client:
        client.flushall()
    check(cluster, run_id, 60)


def test_a_full_redis_is_waited_for_and_said_and_no_worker_ends(cluster: Cluster):
    run_id = start_run(cluster, 40, 0)
    before = {w.pid for w in cluster.processes("worker")}
    with cluster.redis_client() as client:
        client.config_set("maxmemory", 1)
        cluster.wait("it to be said", lambda: any("is full: OOM" in (w.message or "") for w in cluster.workers()), 30)
        assert "OOM" in cluster.command("status")
        client.config_set("maxmemory", 0)
    check(cluster, run_id, 40)
    assert {w.pid for w in cluster.processes("worker")} == before
    logs = "".join(log.read_text() for log in cluster.folder.glob("worker*.log"))
    assert "Traceback" not in logs


@pytest.fixture
def with_postgres(cluster: Cluster) -> Cluster:
    """A cluster whose database can go away; SQLite is a file (conftest leaves it out)."""
    return cluster


def test_postgresql_is_stopped_at_once_three_times(with_postgres: Cluster, seed: int, full_size: bool):
    cluster, chance, count = with_postgres, random.Random(seed), 300 if full_size else 100
    run_id = start_run(cluster, count, seed)
    for _ in range(3):
        cluster.postgres.stop()
        time.sleep(chance.uniform(0, 3))
        cluster.postgres.start()
        time.sleep(chance.uniform(1, 3))
    check(cluster, run_id, count)


def noticed(cluster: Cluster) -> list[int]:
    """How often each worker found the database away when it was to look for leases that ran out."""
    logs = [log.read_text(errors="replace") for log in sorted(cluster.folder.glob("worker*.log"))]
    return [log.count("reconcile: database") for log in logs]


def test_an_outage_that_outlasts_all_leases_costs_no_generation(with_postgres: Cluster, seed: int):
    """Its workers live: they renew their leases before anybody is given up, and store what they answered meanwhile."""
    cluster = with_postgres
    run_id = start_run(cluster, 60, seed)
    before = noticed(cluster)
    cluster.postgres.stop()
    cluster.wait("all to notice", lambda: all(a < b for a, b in zip(before, noticed(cluster), strict=True)))
    cluster.postgres.alone(cluster.database_name, "UPDATE requests SET lease_expires_at = 1.0")
    cluster.postgres.start()
    check(cluster, run_id, 60)


def test_both_go_at_once(with_postgres: Cluster, seed: int):
    cluster = with_postgres
    run_id = start_run(cluster, 100, seed)
    cluster.postgres.stop()
    stop_redis(cluster)
    time.sleep(random.Random(seed).uniform(0.5, 3))
    start_redis(cluster)
    cluster.postgres.start()
    check(cluster, run_id, 100)


def test_a_worker_that_must_end_while_the_database_is_gone_keeps_its_answers_for_the_next_one(with_postgres: Cluster):
    cluster = with_postgres
    run_id = cluster.enqueue(questions(4, latency_ms=(3000, 3000)))
    worker = cluster.start_worker()
    cluster.wait("all to be generated", lambda: len(cluster.generations()) == 4)
    cluster.postgres.stop()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    spool = cluster.folder / "home" / "spool"
    kept = len(list(spool.glob("*.json")))
    cluster.postgres.start()
    assert kept == 4 - cluster.counts(run_id).done > 0
    cluster.start_worker()
    cluster.wait_done(run_id)
    assert set(cluster.generations().values()) == {1} and not list(spool.glob("*"))
    cluster.assert_single(run_id)


def test_an_answer_that_comes_while_the_database_is_gone_outlives_its_worker_s_death(with_postgres: Cluster):
    """kill -9 to the worker, and nothing is generated twice: the answers were on disk at once."""
    cluster = with_postgres
    asked = questions(4, latency_ms=(5000, 5000), videos=1)  # which a server begins all at once
    run_id = cluster.enqueue(asked, max_attempts=3, model="fake_server:4")
    worker = cluster.start_worker()
    cluster.wait("all to be generated", lambda: len(cluster.generations()) == 4)
    cluster.postgres.stop()
    spool = cluster.folder / "home" / "spool"
    cluster.wait("all to be on disk", lambda: len(list(spool.glob("*.json"))) == 4)
    worker.kill()
    worker.wait(60)
    cluster.postgres.start()
    cluster.start_worker()
    cluster.wait_done(run_id)
    assert set(cluster.generations().values()) == {1} and not list(spool.glob("*"))
    cluster.assert_single(run_id)
