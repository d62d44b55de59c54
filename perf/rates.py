"""Which library keeps a rate that eight processes share: grants against the budget, a wrong clock, tokens a time.

    python -m perf.rates                  a table for RESULTS.md
    python -m perf.rates --seconds 30     longer, steadier

Eight processes take from one budget in Redis as fast as they get it, 100 in a window of 5 s, each sleeping as long as
the library says. One of them has a clock that is 20 s ahead. When each was granted is read from Redis' own clock. Then
one process takes 10,000 tokens at a time: how long a call takes, and what Redis keeps for it.
"""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.synchronize import Barrier
from typing import Any

import redis

from tests.servers import TcpRedis

SPAWN = multiprocessing.get_context("spawn")
LIMIT, WINDOW, PROCESSES = 100, 5, 8
AHEAD = 20.0
TOKENS, MANY = 10_000, 1_000_000
Take = Callable[[int], float | None]
"""Takes so many: None if they were granted, else how many seconds to wait."""


def with_limits(url: str, limit: int, cost: int) -> Take:
    """Its moving window, the exact one."""
    from limits import RateLimitItemPerSecond
    from limits.storage import storage_from_string
    from limits.strategies import MovingWindowRateLimiter

    limiter = MovingWindowRateLimiter(storage_from_string(url))
    item = RateLimitItemPerSecond(limit, WINDOW)

    def take(cost: int) -> float | None:
        if limiter.hit(item, "rate", cost=cost):
            return None
        return max(0.005, limiter.get_window_stats(item, "rate").reset_time - time.time())

    return take


def with_pyrate(url: str, limit: int, cost: int) -> Take:
    """Its GCRA; it waits by itself."""
    from pyrate_limiter import GCRA, Limiter, Rate, StateBucket
    from pyrate_limiter.buckets.redis_state import RedisStateStore

    rates = [Rate(limit, WINDOW * 1000, burst=max(limit // 20, cost))]
    store = RedisStateStore(redis.Redis.from_url(url), "rate")
    limiter = Limiter(StateBucket(rates, GCRA(), store))

    def take(cost: int) -> float | None:
        limiter.try_acquire("rate", weight=cost)
        return None

    return take


def with_throttled(url: str, limit: int, cost: int) -> Take:
    """Its GCRA."""
    from throttled import RateLimiterType, Throttled, per_duration
    from throttled.store import RedisStore

    quota = per_duration(timedelta(seconds=WINDOW), limit, burst=max(limit // 20, cost))
    throttle = Throttled(using=RateLimiterType.GCRA.value, quota=quota, store=RedisStore(server=url))

    def take(cost: int) -> float | None:
        result = throttle.limit("rate", cost=cost)
        return result.state.retry_after if result.limited else None

    return take


LIBRARIES = {"limits": with_limits, "pyrate-limiter": with_pyrate, "throttled-py": with_throttled}


def wrong_clock() -> None:
    """From now on this process's clock is ahead."""
    real, real_ns = time.time, time.time_ns
    time.time = lambda: real() + AHEAD
    time.time_ns = lambda: real_ns() + int(AHEAD * 1e9)


def work(url: str, library: str, number: int, start: Barrier, seconds: float) -> None:
    """One process: take until the time is over, and note in Redis when something was granted."""
    if number == 0:
        wrong_clock()
    take, notes = LIBRARIES[library](url, LIMIT, 1), redis.Redis.from_url(url)
    start.wait()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pause = take(1)
        if pause is None:
            second, micro = notes.time()
            notes.rpush("granted", f"{number} {second}.{micro:06d}")
        else:
            time.sleep(min(pause, max(0.0, until - time.monotonic())))


def measure(url: str, library: str, seconds: float) -> dict[str, Any]:
    """Grants of eight processes together."""
    client = redis.Redis.from_url(url)
    client.flushall()
    start = SPAWN.Barrier(PROCESSES)
    processes = [SPAWN.Process(target=work, args=(url, library, n, start, seconds)) for n in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(seconds + 30)
        process.kill()
    granted = [line.decode().split() for line in client.lrange("granted", 0, -1)]
    times = sorted(float(at) for _, at in granted)
    by_process = [sum(int(number) == n for number, _ in granted) for n in range(PROCESSES)]
    return {"share": len(times) / (LIMIT * seconds / WINDOW), "most": most_within(times), "by": by_process}


def most_within(times: list[float]) -> int:
    """The most grants in any stretch of a window."""
    return max(sum(at <= other < at + WINDOW for other in times) for at in times)


def one_call(url: str, library: str) -> tuple[float, int]:
    """Milliseconds that a grant of many tokens takes, and bytes that Redis then has for it."""
    client = redis.Redis.from_url(url)
    client.flushall()
    take = LIBRARIES[library](url, MANY, TOKENS)
    began = time.perf_counter()
    for _ in range(20):
        take(TOKENS)
    took = (time.perf_counter() - began) / 20 * 1000
    return took, sum(client.memory_usage(key) or 0 for key in client.scan_iter())


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    seconds = parser.parse_args().seconds
    server = TcpRedis()
    print(
        f"| library | granted of the budget | most in any {WINDOW} s (of {LIMIT}) | by process, the first 20 s ahead",
        end="",
    )
    print(f" | ms for {TOKENS:,} tokens | bytes kept |\n|---|---|---|---|---|---|")
    for library in LIBRARIES:
        got, (took, kept) = measure(server.url, library, seconds), one_call(server.url, library)
        by = " ".join(map(str, got["by"]))
        print(f"| {library} | {got['share']:.1%} | {got['most']} | {by} | {took:.2f} | {kept:,} |")
        sys.stdout.flush()
    server.kill()


if __name__ == "__main__":
    main()
