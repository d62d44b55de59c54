"""kill -9 at any moment, of any process, again and again: every answer is there once, and nobody innocent failed."""

import random
import time

from tests.chaos.cluster import Cluster, Process, questions

BATCH, SLOTS = 4, 64
VICTIMS = ("worker",) * 8 + ("engine",) * 8 + ("decoder",) * 6 + ("supervisor",) * 3 + ("template",) * 3


def kill_one(cluster: Cluster, chance: random.Random) -> str | None:
    """Kill a process at random; a supervisor is started again, as systemd would."""
    alive = cluster.processes()
    kind = chance.choice(VICTIMS)
    victims = [p for p in alive if p.kind == kind] or [p for p in alive if p.kind in VICTIMS]
    if not victims or not cluster.kill(victim := chance.choice(sorted(victims, key=lambda p: p.pid))):
        return None
    if victim.kind == "supervisor":
        cluster.start_fleet(4)
    return victim.kind


def torment(cluster: Cluster, run_id: int, chance: random.Random, kills: int) -> list[str]:
    """Kill up to so many processes while the run goes on; returns what kinds they were, when it is finished."""
    cluster.start_fleet(4)
    cluster.wait_answers(run_id, 1)
    killed: list[str] = []
    while len(killed) < kills and not cluster.counts(run_id).finished:
        kind = kill_one(cluster, chance)
        killed += [kind] if kind else []
        time.sleep(chance.uniform(0.05, 1.2))
    cluster.wait_done(run_id, 240)
    return killed


def check(cluster: Cluster, run_id: int, count: int, killed: list[str], *, in_flight: int) -> None:
    """Every answer is there once, and no more was repeated, or struck, than a death can have to do with."""
    counts, generations = cluster.counts(run_id), cluster.generations()
    assert (counts.done, counts.failed) == (count, 0), cluster.failed(run_id)
    cluster.assert_single(run_id)
    deadly = sum(k in ("worker", "engine") for k in killed)
    assert sum(generations.values()) <= count + deadly * 2 * in_flight, "more was repeated than was in flight"
    assert len(generations) == count
    struck = cluster.rows("SELECT sum(strikes) FROM requests")[0][0]
    assert struck <= len(killed) * (2 * in_flight + 1)


def test_random_kills_lose_nothing_and_double_nothing(cluster: Cluster, seed: int, full_size: bool):
    count, kills = (300, 25) if full_size else (100, 8)
    asked = questions(count, latency_ms=(300, 900), seed=seed, videos=count // 3)
    run_id = cluster.enqueue(asked, max_attempts=30)
    killed = torment(cluster, run_id, random.Random(seed), kills)
    check(cluster, run_id, count, killed, in_flight=BATCH)
    assert len(killed) == kills, f"the run was over after {len(killed)} kills"


def test_random_kills_of_servers_with_64_slots_lose_nothing_either(cluster: Cluster, seed: int, full_size: bool):
    """They answer in any order. A death has 64 in company, who run alone from then on; nobody is struck for that."""
    count, kills = (600, 15) if full_size else (300, 4)
    asked = questions(count, latency_ms=(200, 400), seed=seed, videos=count // 6)
    run_id = cluster.enqueue(asked, max_attempts=30, model="fake_server:64")
    killed = torment(cluster, run_id, random.Random(seed), kills)
    check(cluster, run_id, count, killed, in_flight=SLOTS)
    assert len(killed) >= 2, "the run was over before it was disturbed"


def test_a_killed_worker_s_requests_are_back_within_ten_seconds_although_leases_are_long(cluster: Cluster):
    cluster.environ["VIDEVAL_LEASE"] = "600"
    for _ in range(2):
        cluster.start_worker()
    logs = [cluster.folder / f"worker{i}.log" for i in range(2)]
    cluster.wait("both to be ready", lambda: all("is ready" in log.read_text() for log in logs))
    run_id = cluster.enqueue(questions(8, latency_ms=(1500, 1500)), max_attempts=5)
    held = "SELECT w.pid FROM requests r JOIN workers w ON w.id = r.worker_id WHERE r.status = 'running'"
    cluster.wait("something to be generated", lambda: cluster.generations() and cluster.rows(held))
    victim = cluster.rows(held)[0].pid
    cluster.kill(Process(pid=victim, kind="worker"))
    cluster.wait("its requests to be free", lambda: not cluster.rows(f"{held} AND w.pid = {victim}"), 10)
    cluster.wait_done(run_id)
    assert cluster.counts(run_id).done == 8


def test_the_children_of_a_killed_worker_die_with_it(cluster: Cluster):
    cluster.enqueue(questions(20, latency_ms=(2000, 2000)))
    cluster.start_worker()
    cluster.wait("an engine and a decoder", lambda: cluster.processes("engine") and cluster.processes("decoder"))
    (victim,) = cluster.processes("worker")
    cluster.kill(victim)
    cluster.wait("its children to be gone", lambda: not cluster.processes("engine") + cluster.processes("decoder"), 30)
