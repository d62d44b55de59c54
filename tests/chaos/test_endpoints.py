"""Workers that ask an endpoint: killed in the middle of their calls, and without the Redis of their budget."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.cluster import Cluster, questions
from tests.chaos.test_outages import start_redis, stop_redis
from tests.standin import Plan, StandIn, most_within, stand_in

AT_ONCE = 4
RATE, AT_A_TIME = 1200, 60
"""Requests a minute, and what of these may come at once."""
ENTRY = f"""
[endpoints.lab]
base_url = "{{url}}"
model = "stand-in"
limits = {{{{ requests_per_minute = {RATE} }}}}
"""


BAD = ("429", "429-after 0.2", "500", "503", "half-body", "stopped-stream", "half-json", "empty", "html", "reset")


@pytest.fixture
def endpoint(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[StandIn]:
    """A slow endpoint, or one of another plan, that this process and the cluster's workers know as endpoint:lab."""
    with stand_in(tmp_path, getattr(request, "param", Plan(latency=0.3))) as server:
        entries = tmp_path / "endpoints.toml"
        entries.write_text(ENTRY.format(url=server.url))
        monkeypatch.setenv("VIDEVAL_ENDPOINTS", str(entries))
        cluster.environ |= {"VIDEVAL_ENDPOINTS": str(entries), "VIDEVAL_API_NPROC": str(AT_ONCE)}
        cluster.environ["VIDEVAL_LEASE"] = "60"  # who is dead is known by its lock; who is slow is not given up
        yield server


def start(cluster: Cluster, count: int) -> int:
    run_id = cluster.enqueue(questions(count), model="endpoint:lab", max_attempts=30)
    for _ in range(3):
        cluster.start_worker("api*8")
    cluster.wait_answers(run_id, 3)
    return run_id


def check(cluster: Cluster, endpoint: StandIn, run_id: int, count: int, *, repeated: int) -> None:
    cluster.wait_done(run_id, 240)
    counts = cluster.counts(run_id)
    assert (counts.done, counts.failed) == (count, 0), cluster.failed(run_id)
    cluster.assert_single(run_id)
    arrivals = endpoint.arrivals()
    assert len({arrival.key for arrival in arrivals}) == count
    assert len(arrivals) <= count + repeated, "more was sent again than was in flight"


def test_workers_killed_in_the_middle_of_calls_lose_nothing_and_double_what_was_in_flight(
    cluster: Cluster, endpoint: StandIn, seed: int, full_size: bool
) -> None:
    count, kills, chance = (200, 6, random.Random(seed)) if full_size else (60, 2, random.Random(seed))
    run_id = start(cluster, count)
    for number in range(1, kills + 1):
        cluster.wait_answers(run_id, number * count // (kills + 2))
        cluster.kill(chance.choice(cluster.processes("worker")))
        cluster.start_worker("api*8")
    check(cluster, endpoint, run_id, count, repeated=kills * AT_ONCE)


def test_redis_killed_in_the_middle_of_calls_holds_them_up_and_sends_nothing_twice(
    cluster: Cluster, endpoint: StandIn
) -> None:
    run_id = start(cluster, 60)
    for number in (1, 2):
        cluster.wait_answers(run_id, 15 * number)
        stop_redis(cluster)
        start_redis(cluster)
    check(cluster, endpoint, run_id, 60, repeated=0)


@pytest.mark.parametrize("endpoint", [Plan(seed=1, first=dict.fromkeys(BAD, 0.08))], indirect=True)
def test_an_endpoint_at_its_worst_answers_all_once_within_the_budget(cluster: Cluster, endpoint: StandIn) -> None:
    run_id = start(cluster, 60)
    cluster.wait_done(run_id, 240)
    counts = cluster.counts(run_id)
    assert (counts.done, counts.failed) == (60, 0), cluster.failed(run_id)
    cluster.assert_single(run_id)
    assert not endpoint.sent_again()
    assert most_within(60, endpoint.arrivals()) <= RATE + AT_A_TIME
    assert endpoint.outcomes()["ok"] == 60
