"""Workers that are late, messages that come twice, clocks that lie: the table stays single."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from tests.chaos.cluster import Cluster, questions
from tests.questions import request_ids
from videval.db.identity import database_id
from workers.bell import queue_name

HOUR = 3600


def frozen_with_a_batch(cluster: Cluster) -> int:
    """Freeze the only worker while it generates; returns its process id."""
    cluster.wait("something to be generated", lambda: len(cluster.generations()) >= 4)
    (worker,) = cluster.processes("worker")
    while True:
        os.kill(worker.pid, signal.SIGSTOP)
        if not is_in_a_transaction(cluster):
            return worker.pid
        os.kill(worker.pid, signal.SIGCONT)
        time.sleep(0.02)


def is_in_a_transaction(cluster: Cluster) -> bool:
    """Whether it froze in the middle of a transaction: what that has locked stands still for everybody, on SQLite for
    good, on PostgreSQL for two minutes."""
    if cluster.postgres is not None:
        others = "backend_type = 'client backend' AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
        with cluster.postgres.connect() as connection:
            return connection.execute(f"SELECT 1 FROM pg_stat_activity WHERE {others}").fetchone() is not None
    with contextlib.closing(sqlite3.connect(cluster.folder / "home" / "videval.db", timeout=0.3)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        connection.execute("ROLLBACK")
        return False


def test_a_worker_that_slept_past_its_lease_is_refused_and_says_so(cluster: Cluster):
    cluster.environ["VIDEVAL_LEASE"] = "2"
    run_id = cluster.enqueue(questions(8, latency_ms=(2500, 2500)), max_attempts=9)
    cluster.start_worker()
    pid = frozen_with_a_batch(cluster)
    cluster.start_worker()
    cluster.wait_done(run_id)
    answers = cluster.rows("SELECT request_id, attempt, created_at FROM responses ORDER BY request_id")
    os.kill(pid, signal.SIGCONT)
    cluster.wait("the refusal to be counted", lambda: sum(w.refused for w in cluster.workers()) >= 1, 30)
    assert cluster.rows("SELECT request_id, attempt, created_at FROM responses ORDER BY request_id") == answers
    assert cluster.counts(run_id).done == 8
    cluster.assert_single(run_id)
    logs = "".join(log.read_text() for log in cluster.folder.glob("worker*.log"))
    assert "answer refused: the lease was lost" in logs


def test_the_same_message_five_times_at_once_is_one_generation(cluster: Cluster):
    run_id = cluster.enqueue(questions(6, latency_ms=(500, 800)))
    ids = request_ids(cluster.database, run_id)
    code = (
        "import sys; from videval.db.queue import Ring; from workers.bell import ring; from videval.settings "
        "import Settings; from workers.broker import using\n"
        f"with using(Settings()): ring(Settings(), [Ring(request_id=i, load_key={key(cluster)!r}, priority=0) "
        f"for i in {ids} for _ in range(5)], known_as={database_id(cluster.database)!r}); input()"
    )
    sender = subprocess.Popen(
        [sys.executable, "-c", code], env=cluster.environ, cwd=cluster.folder, stdin=subprocess.PIPE
    )
    cluster.started.append(sender)
    for _ in range(3):
        cluster.start_worker()
    cluster.wait_done(run_id)
    sender.communicate(b"\n", timeout=60)
    assert cluster.generations() == {str(i): 1 for i in range(6)}
    cluster.assert_single(run_id)


def key(cluster: Cluster) -> str:
    return cluster.rows("SELECT load_key FROM runs")[0].load_key


def test_forged_and_foreign_messages_harm_nobody(cluster: Cluster):
    run_id = cluster.enqueue(questions(12, latency_ms=(100, 200)))
    code = (
        "from workers.tasks import app; from workers.bell import queue_name; from workers.broker import using; "
        "from videval.settings import Settings\n"
        f"q = queue_name({database_id(cluster.database)!r}, {key(cluster)!r})\n"
        "with using(Settings()):\n"
        "  words = ['1; DROP TABLE requests'], [True], [None], [], [1, 2], [{'a': 1}]\n"
        "  numbers = [10**9], [-1], [2**31], [10**40]\n"
        "  for args in (*words, *numbers):\n"
        "    app.send_task('videval.answer', args=args, queue=q)\n"
        "  app.send_task('os.system', args=['true'], queue=q)\n"
        "  more = app.signature('videval.answer', args=(1,), queue='stolen')\n"
        "  app.send_task('videval.answer', args=[10**9], queue=q, link=more, chain=[more])\n"
        "  app.send_task('videval.answer', args=[10**9], queue=q, countdown=3600)\n"
        "  input()"
    )
    sender = subprocess.Popen(
        [sys.executable, "-c", code], env=cluster.environ, cwd=cluster.folder, stdin=subprocess.PIPE
    )
    cluster.started.append(sender)
    cluster.start_worker()
    cluster.wait_done(run_id)
    sender.communicate(b"\n", timeout=60)
    assert cluster.counts(run_id).done == 12 and set(cluster.generations().values()) == {1}
    with cluster.redis_client() as client:
        cluster.wait(
            "every message to be heard",
            lambda: not client.llen(queue_name(database_id(cluster.database), key(cluster))),
            20,
        )
        assert not client.exists("stolen"), "a worker sent what a message told it to send"


@pytest.mark.parametrize("skew", [HOUR, -HOUR])
def test_workers_whose_clocks_are_an_hour_off_change_nothing(cluster: Cluster, skew: int):
    run_id = cluster.enqueue(questions(60, latency_ms=(100, 300)))
    cluster.start_worker(VV_TEST_CLOCK=str(skew))
    cluster.start_worker()
    cluster.wait("both at work", lambda: sum(w.done > 0 for w in cluster.workers()) == 2)
    cluster.wait_done(run_id)
    assert cluster.counts(run_id).done == 60 and set(cluster.generations().values()) == {1}
    cluster.assert_single(run_id)


def jump(cluster: Cluster, seconds: float) -> None:
    """Let the database's own clock jump: a function before PostgreSQL's, a file that our SQLite's reads."""
    if cluster.postgres is None:
        whole = cluster.folder / "database_clock.new"
        whole.write_text(str(seconds))
        whole.rename(cluster.folder / "database_clock")
        return
    with cluster.postgres.connect(cluster.database_name) as connection:
        connection.execute(
            "CREATE OR REPLACE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS "
            f"$$ SELECT pg_catalog.clock_timestamp() + interval '{seconds} seconds' $$"
        )


def test_when_the_database_s_clock_jumps_nobody_is_given_up_at_once_and_the_table_stays_single(cluster: Cluster):
    if cluster.postgres is not None:
        with cluster.postgres.connect() as connection:
            connection.execute(f"ALTER DATABASE {cluster.database_name} SET search_path = public, pg_catalog")
        jump(cluster, 0)
        cluster.database.close()
    cluster.environ["VV_TEST_DATABASE_CLOCK"] = "1"
    run_id = cluster.enqueue(questions(60, latency_ms=(300, 600)), max_attempts=9)
    for _ in range(2):
        cluster.start_worker()
    cluster.wait_answers(run_id, 5)
    jump(cluster, HOUR)
    time.sleep(2)
    jump(cluster, 3 * HOUR)
    cluster.wait_done(run_id)
    assert cluster.counts(run_id).done == 60
    cluster.assert_single(run_id)
    logs = "".join(log.read_text() for log in cluster.folder.glob("worker*.log"))
    assert "clock jumped" in logs
    assert set(cluster.generations().values()) == {1}, "who lives renews its leases within one lease period"
