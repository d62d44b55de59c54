"""The budget before an endpoint, on a real Redis: what goes through, what waits, who is told why."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.servers import TcpRedis, settings_for
from videval.errors import RunHalted
from videval.models.endpoints import Endpoint, Limits
from videval.protocols import Permit
from videval.settings import Settings
from videval.types import Allowance, EndpointState, Remote
from workers.endpoint_gate import RedisGate, budget
from workers.endpoint_gate.keys import Keys
from workers.endpoint_gate.standing import Standing, look

LAB = Endpoint(name="lab", model="m", base_urls=("http://127.0.0.1:9/v1",), remote=Remote(endpoint="lab"))
LONG = 30.0


@pytest.fixture(scope="module")
def shared() -> Iterator[TcpRedis]:
    server = TcpRedis()
    yield server
    server.kill()


@pytest.fixture
def server(shared: TcpRedis) -> TcpRedis:
    with redis.Redis.from_url(shared.url) as client:
        client.flushall()
    return shared


@pytest.fixture
def settings(server: TcpRedis, tmp_path: Path) -> Settings:
    return settings_for(tmp_path, broker_url=server.url)


def limited(requests: int | None = None, tokens: int | None = None, in_flight: int | None = None) -> Endpoint:
    return replace(LAB, limits=Limits(requests_per_minute=requests, tokens_per_minute=tokens, in_flight=in_flight))


def through(url: str, body: Callable[..., Awaitable[None]], *endpoints: Endpoint) -> None:
    """Run a test's body with a gate for each endpoint, as many workers would have them."""

    async def run() -> None:
        gates = [RedisGate(endpoint, url) for endpoint in endpoints]
        await asyncio.wait_for(body(*gates), LONG)
        for gate in gates:
            await gate.close()

    asyncio.run(run())


async def entered(gate: RedisGate, tokens: int = 1, *, cost: float = 0.0, allowance: Allowance | None = None) -> Permit:
    return await asyncio.wait_for(gate.enter(tokens, cost=cost, allowance=allowance), LONG)


async def waits(gate: RedisGate, tokens: int = 1) -> bool:
    """Whether a request does not go through now."""
    try:
        await asyncio.wait_for(gate.enter(tokens), 0.4)
    except TimeoutError:
        return True
    return False


async def said(gate: RedisGate) -> None:
    """Come back when what was said of permits is in Redis."""
    await asyncio.gather(*gate._leaving)


def test_all_workers_together_send_as_many_a_minute_as_the_entry_says(server: TcpRedis) -> None:
    async def body(one: RedisGate, other: RedisGate) -> None:
        await entered(one)
        assert await waits(other)

    through(server.url, body, limited(requests=2), limited(requests=2))


def test_tokens_of_a_minute_are_counted_by_the_most_that_a_request_may_take(server: TcpRedis) -> None:
    async def body(one: RedisGate, other: RedisGate) -> None:
        await entered(one, 900)
        assert await waits(other, 600)

    through(server.url, body, limited(tokens=1000), limited(tokens=1000))


def test_a_request_of_more_tokens_than_a_minute_has_takes_a_whole_minute_s(server: TcpRedis) -> None:
    async def body(gate: RedisGate) -> None:
        await entered(gate, 5000)
        assert await waits(gate, 10)

    through(server.url, body, limited(tokens=1000))


def test_as_many_are_in_flight_as_the_entry_says_and_the_next_goes_when_one_is_over(server: TcpRedis) -> None:
    async def body(one: RedisGate, other: RedisGate) -> None:
        first = await entered(one)
        assert await waits(other)
        first.done(tokens=1)
        await entered(other)

    through(server.url, body, limited(in_flight=1), limited(in_flight=1))


def test_a_429_closes_the_endpoint_for_all_for_as_long_as_it_says(server: TcpRedis, settings: Settings) -> None:
    async def body(one: RedisGate, other: RedisGate) -> None:
        (await entered(one)).throttled(30.0)
        await said(one)
        assert await waits(other)
        standing = look(LAB, settings)
        assert standing.state == EndpointState.CLOSED
        assert "too many requests" in (standing.message or "")

    through(server.url, body, LAB, LAB)


def test_it_opens_by_itself(server: TcpRedis, settings: Settings) -> None:
    async def body(gate: RedisGate) -> None:
        (await entered(gate)).throttled(0.3)
        await entered(gate)

    through(server.url, body, LAB)
    assert look(LAB, settings).state == EndpointState.OPEN


def test_a_429_that_does_not_say_how_long_closes_it_longer_each_time_and_a_flood_of_them_counts_once(
    server: TcpRedis,
) -> None:
    closed_for = []

    async def body(gate: RedisGate) -> None:
        with redis.Redis.from_url(server.url) as client:
            state = Keys(LAB).state
            for _ in range(5):
                for permit in [await entered(gate) for _ in range(3)]:
                    permit.throttled()
                    await said(gate)
                second, _ = client.time()
                closed_for.append(float(client.hget(state, "closed_until") or 0) - second)
                client.hset(state, "closed_until", "0")  # as if that time were over

    through(server.url, body, LAB)
    assert all(2**n - 1 < seconds < 2**n + 2 for n, seconds in enumerate(closed_for)), closed_for


def test_a_flood_of_failures_halves_what_is_sent_at_once_once(server: TcpRedis, settings: Settings) -> None:
    async def body(gate: RedisGate) -> None:
        permits = [await entered(gate) for _ in range(8)]
        for permit in permits:
            permit.failed(503)

    through(server.url, body, limited(in_flight=8))
    assert look(limited(in_flight=8), settings).figures["at_once"] == 4


def test_answers_raise_what_is_sent_at_once_up_to_the_entry(server: TcpRedis, settings: Settings) -> None:
    async def body(gate: RedisGate) -> None:
        for _ in range(3):
            permits = [await entered(gate) for _ in range(budget.START)]
            for permit in permits:
                permit.done(tokens=1)
            await said(gate)

    endpoint = limited(in_flight=budget.START + 4)
    through(server.url, body, endpoint)
    assert look(endpoint, settings).figures["at_once"] == budget.START + 4
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    through(server.url, body, LAB)
    assert look(LAB, settings).figures["at_once"] > budget.START + 4


def test_an_endpoint_that_only_fails_is_left_alone_then_asked_once(
    server: TcpRedis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "SILENT", 0.0)
    monkeypatch.setattr(budget, "FIRST_PAUSE", 0.3)

    async def body(one: RedisGate, other: RedisGate) -> None:
        for _ in range(budget.ROW):
            (await entered(one)).failed(500)
        await said(one)
        assert look(LAB, settings).state in (EndpointState.PAUSED, EndpointState.PROBING)
        probe = await entered(one)
        assert probe.is_probe and await waits(other)
        assert look(LAB, settings).state == EndpointState.PROBING
        probe.done(tokens=1)
        assert not (await entered(other)).is_probe

    through(server.url, body, LAB, LAB)
    assert look(LAB, settings).state == EndpointState.OPEN


def test_a_probe_that_fails_keeps_it_closed_for_longer(
    server: TcpRedis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "SILENT", 0.0)
    monkeypatch.setattr(budget, "FIRST_PAUSE", 0.1)

    async def body(gate: RedisGate) -> None:
        for _ in range(budget.ROW):
            (await entered(gate)).failed()
        await said(gate)
        monkeypatch.setattr(budget, "FIRST_PAUSE", 20.0)
        (await entered(gate)).failed()
        await said(gate)
        assert await waits(gate)

    through(server.url, body, LAB)
    standing = look(LAB, settings)
    assert (standing.state, standing.message) == (EndpointState.PAUSED, standing.message)
    assert f"{budget.ROW + 1} failures in a row" in (standing.message or "")


def test_what_an_endpoint_refuses_is_no_failure_of_its(server: TcpRedis, settings: Settings) -> None:
    async def body(gate: RedisGate) -> None:
        for _ in range(3 * budget.ROW):
            (await entered(gate)).refused()

    through(server.url, body, LAB)
    assert look(LAB, settings).state == EndpointState.OPEN


def test_places_of_a_worker_that_died_are_free_when_their_lease_ends(
    server: TcpRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "LEASE", 0.3)  # and the gate renews every ten seconds

    async def body(dead: RedisGate, other: RedisGate) -> None:
        await entered(dead)
        await entered(other)

    through(server.url, body, limited(in_flight=1), limited(in_flight=1))


def test_a_worker_that_lives_renews_its_places(server: TcpRedis) -> None:
    async def body(gate: RedisGate) -> None:
        await entered(gate)
        with redis.Redis.from_url(server.url) as client:
            before = client.zrange(Keys(LAB).leases, 0, -1, withscores=True)
            await asyncio.sleep(0.01)
            await gate._renew_once()
            after = client.zrange(Keys(LAB).leases, 0, -1, withscores=True)
        assert len(before) == len(after) == 1 and after[0][1] > before[0][1]

    through(server.url, body, LAB)


def test_whoever_gives_up_waiting_takes_no_place(server: TcpRedis) -> None:
    async def body(one: RedisGate, other: RedisGate) -> None:
        first = await entered(one)
        assert await waits(other)
        first.done(tokens=1)
        for _ in range(3):
            (await entered(one)).dropped()
        assert not other._out

    through(server.url, body, limited(in_flight=1), limited(in_flight=1))


def test_whoever_is_let_go_in_the_moment_in_which_a_place_is_free_does_not_take_it(server: TcpRedis) -> None:
    async def body(gate: RedisGate) -> None:
        first = await entered(gate)
        waiting = asyncio.create_task(gate.enter(1))
        await asyncio.sleep(0.3)  # it has asked, and waits for somebody to leave
        gate._freed.set()
        waiting.cancel()
        first.done(tokens=1, cost=None)
        with pytest.raises(asyncio.CancelledError):
            await waiting

    through(server.url, body, limited(in_flight=1))


def test_whoever_is_let_go_is_not_sent_although_a_library_lost_word_of_it(
    server: TcpRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(gate: RedisGate) -> None:
        async def deaf() -> None:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(LONG)

        monkeypatch.setattr(gate._budget, "take_request", deaf)
        waiting = asyncio.create_task(gate.enter(1))
        await asyncio.sleep(0.3)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not gate._out

    through(server.url, body, limited(in_flight=1))


def test_a_clock_that_jumps_here_changes_nothing(server: TcpRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(one: RedisGate, other: RedisGate) -> None:
        (await entered(one)).throttled(30.0)
        await said(one)
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + 86400)
        assert await waits(other)

    through(server.url, body, LAB, LAB)


def test_nothing_is_sent_while_redis_is_away_and_it_goes_on_by_itself(tmp_path: Path) -> None:
    server = TcpRedis()
    settings = settings_for(tmp_path, broker_url=server.url)

    async def body(gate: RedisGate) -> None:
        (await entered(gate)).done(tokens=1)
        await said(gate)
        server.kill()
        assert await waits(gate)
        standing = look(LAB, settings)
        assert standing.state == EndpointState.AWAY and (standing.message or "").startswith("nothing is sent: ")
        waiting = asyncio.create_task(gate.enter(1))
        await asyncio.to_thread(server.start)
        await asyncio.wait_for(waiting, LONG)

    through(server.url, body, LAB)
    server.kill()


def test_who_waits_gives_signs_of_life(server: TcpRedis) -> None:
    signs = []

    async def body() -> None:
        gate = RedisGate(limited(in_flight=1), server.url, alive=lambda: signs.append(1))
        await entered(gate)
        assert await waits(gate)
        await gate.close()

    asyncio.run(body())
    assert signs


def test_figures_are_of_all_workers(server: TcpRedis, settings: Settings) -> None:
    def standing() -> Standing:
        return look(limited(requests=600), settings)

    async def body(one: RedisGate, other: RedisGate) -> None:
        (await entered(one, 100)).done(tokens=40, cost=0.5)
        (await entered(other, 100)).done(tokens=40, cost=0.25)
        await said(one)
        await said(other)
        await entered(one, 100)
        figures = standing().figures
        assert (figures["in_flight"], figures["done"], figures["spent"]) == (1, 2, 0.75)
        assert figures["limits"] == {"requests_minute": 600}

    through(server.url, body, limited(requests=600), limited(requests=600))


# what a run may take

RUN = Allowance(run="a-run", key="a", max_tokens=1000)


def test_a_run_stops_before_it_passes_its_limit(server: TcpRedis) -> None:
    async def body(gate: RedisGate) -> None:
        for _ in range(3):
            (await entered(gate, 300, allowance=RUN)).done(tokens=300)
            await said(gate)
        with pytest.raises(RunHalted, match="900 tokens are used, the next request may take 300") as halted:
            await entered(gate, 300, allowance=RUN)
        assert halted.value.hint == "videval resume a-run --max-tokens-total 2400"
        await entered(gate, 100, allowance=RUN)

    through(server.url, body, LAB)


def test_what_is_out_is_counted_and_waited_for(server: TcpRedis) -> None:
    async def body(one: RedisGate, other: RedisGate) -> None:
        first = await entered(one, 800, allowance=RUN)
        second = asyncio.create_task(other.enter(800, allowance=RUN))
        assert not (await asyncio.wait([second], timeout=0.4))[0]
        first.done(tokens=50)
        (await asyncio.wait_for(second, LONG)).done(tokens=900)
        await said(other)
        with pytest.raises(RunHalted):
            await entered(one, 800, allowance=RUN)

    through(server.url, body, LAB, LAB)


def test_a_run_that_may_cost_so_much_stops_before_that(server: TcpRedis) -> None:
    costly = Allowance(run="costly", key="c", max_cost=1.0)

    async def body(gate: RedisGate) -> None:
        (await entered(gate, 1, cost=0.75, allowance=costly)).done(tokens=1, cost=0.75)
        await said(gate)
        with pytest.raises(
            RunHalted, match=r"--max-cost 1\.00: 0\.75 is spent, the next request may cost 0\.50"
        ) as halted:
            await entered(gate, 1, cost=0.5, allowance=costly)
        assert halted.value.hint == "videval resume costly --max-cost 2.50"

    through(server.url, body, LAB)


def test_what_the_database_knows_counts_where_redis_has_forgotten(server: TcpRedis) -> None:
    async def body(gate: RedisGate) -> None:
        with pytest.raises(RunHalted, match="990 tokens are used"):
            await entered(gate, 300, allowance=replace(RUN, tokens=990))

    through(server.url, body, LAB)


def test_a_failure_costs_a_run_nothing(server: TcpRedis) -> None:
    async def body(gate: RedisGate) -> None:
        for _ in range(4):
            (await entered(gate, 900, allowance=RUN)).failed(500)
            await said(gate)

    through(server.url, body, LAB)


def test_what_a_dead_worker_had_out_counts_as_spent(server: TcpRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "LEASE", 0.2)

    async def body(dead: RedisGate, other: RedisGate) -> None:
        await entered(dead, 800, allowance=RUN)
        with pytest.raises(RunHalted, match="800 tokens are used"):
            await entered(other, 300, allowance=RUN)

    through(server.url, body, LAB, LAB)


def test_what_a_dead_worker_had_not_sent_costs_its_run_nothing(
    server: TcpRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "LEASE", 0.2)

    async def body(dead: RedisGate, other: RedisGate) -> None:
        await dead._budget.hold("waits", 800, 0.0, RUN)  # and dies while it waits for a minute's tokens
        (await entered(other, 900, allowance=RUN)).done(tokens=900)

    through(server.url, body, LAB, LAB)


def test_runs_of_one_name_in_two_databases_do_not_share_what_they_spent(server: TcpRedis) -> None:
    async def body(gate: RedisGate) -> None:
        (await entered(gate, 900, allowance=RUN)).done(tokens=900)
        await said(gate)
        await entered(gate, 900, allowance=replace(RUN, key="b"))

    through(server.url, body, LAB)


def test_small_amounts_of_money_are_told_as_people_write_them() -> None:
    dear = Allowance(run="dear", key="d", max_cost=0.00002)
    halted = budget.used_up(dear, 1, 0.000031, 0, 0.0)
    assert str(halted) == "--max-cost 0.00002: 0.00 is spent, the next request may cost 0.000031"
    assert halted.hint == "videval resume dear --max-cost 0.000062"
    large = budget.used_up(replace(dear, max_cost=1000.0), 1, 500.0, 0, 900.0)
    assert large.hint == "videval resume dear --max-cost 2800.00"


# what is said twice, and what is lost


def test_what_is_over_counts_once_although_it_is_said_twice(
    server: TcpRedis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis' reply may be lost, or what comes after it may fail."""

    async def body(gate: RedisGate) -> None:
        broken = [ConnectionError("reset")]
        settle = gate._budget.settle

        async def breaks_once(*said: Any) -> None:
            if broken:
                raise broken.pop()
            await settle(*said)

        monkeypatch.setattr(gate._budget, "settle", breaks_once)
        (await entered(gate, 10, cost=0.5, allowance=RUN)).done(tokens=10, cost=0.5)
        await said(gate)
        figures = look(LAB, settings).figures
        assert (figures["done"], figures["spent"]) == (1, 0.5)

    through(server.url, body, LAB)


def test_who_asks_twice_whether_it_is_sent_to_see_hears_the_same(server: TcpRedis) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.hset(Keys(LAB).state, mapping={"pauses": 1, "paused_until": 0})

    async def body(gate: RedisGate) -> None:
        assert await gate._budget.admit("one", 1, None) == (None, True)
        assert await gate._budget.admit("one", 1, None) == (None, True)

    through(server.url, body, LAB)


def test_what_was_not_sent_takes_nothing_of_a_minute_s(server: TcpRedis, settings: Settings) -> None:
    endpoint = limited(requests=20, tokens=1000)  # one request, and 50 tokens, may come at once

    async def body(gate: RedisGate) -> None:
        for _ in range(3):
            (await entered(gate, 500)).failed(why="connection refused", is_sent=False)
            await said(gate)
        assert (figures := look(endpoint, settings).figures)["requests_minute"] == 0, figures
        (await entered(gate, 500)).failed(why="half an answer")
        await said(gate)
        assert await waits(gate, 500)
        assert look(endpoint, settings).figures["requests_minute"] == 1

    through(server.url, body, endpoint)  # within 30 s, which is what each would wait for that is not given back


def test_what_was_not_sent_leaves_the_figures_of_a_later_minute_alone(server: TcpRedis) -> None:
    async def body(gate: RedisGate) -> None:
        await gate._budget.admit("one", 5, None)
        await gate._budget.leave(budget.End(id="one", how="failed", took=120.0, unsent=5))

    through(server.url, body, LAB)
    with redis.Redis.from_url(server.url) as client:
        (minute,) = client.keys(f"{Keys(LAB).minute}*")
        assert client.hgetall(minute) == {b"requests": b"1", b"tokens": b"5"}


def test_why_it_failed_last_is_told_of_an_endpoint(
    server: TcpRedis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "SILENT", 0.0)

    async def body(gate: RedisGate) -> None:
        (await entered(gate)).failed(why="connection refused")
        await said(gate)
        assert look(LAB, settings).message is None, "one may happen"
        for _ in range(2):
            (await entered(gate)).failed(why="connection refused")
        await said(gate)
        standing = look(LAB, settings)
        assert (standing.state, standing.message) == (
            EndpointState.OPEN, "3 failures in a row, the last: connection refused",
        )  # fmt: skip
        for _ in range(budget.ROW - 3):
            (await entered(gate)).failed(why="connection refused")
        await said(gate)
        standing = look(LAB, settings)
        assert standing.state == EndpointState.PAUSED
        assert (standing.message or "").startswith("10 failures in a row, the last: connection refused; nothing is")

    through(server.url, body, LAB)
