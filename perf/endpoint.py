"""500 requests through 3 workers to an endpoint at its worst: answered once, within the budget, and how soon.

    python -m perf.endpoint
    python -m perf.endpoint --requests 200 --seed 2

Of the requests that come for the first time 10 % each meet: 429 without and with Retry-After, 5xx, a stall (past the
time-out), a body cut in half, half a JSON, a body that is none, a reset; 5 % each a trickle and an answer of 2 MB. What
comes again meets each with a fifth of that. The best that the budget allows is a replay: as many requests as were sent,
each as early as rate and burst let it, and none within a second of a 429.
"""

import argparse
import shutil
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path

from perf.fleets import Home, cores_used, questions, until, write_table
from tests.standin import Arrival, Plan, StandIn, most_within, stand_in
from workers.endpoint_gate.rates import BURST

RATE = 600
"""Requests a minute."""
FAILING = ("429", "429-after 1", "500", "503", "stall 30", "half-body", "stopped-stream", "half-json", "empty", "html")
HALVES = ("500", "503", "half-body", "stopped-stream", "empty", "html")
"""Of one kind with another: half of the chance each."""
SLOW = ("trickle 2", "large 2")
TIMEOUT = 4.0
CLOSED = 1.0
"""Seconds after a 429."""
ENTRY = """
[endpoints.worst]
base_url = "{url}"
model = "stand-in"
timeout_s = {timeout}
limits = {{ requests_per_minute = {rate} }}
"""


def worst(seed: int, share: float = 0.1) -> Plan:
    """How the endpoint behaves."""
    first = {fault: share * (0.5 if fault in HALVES else 1.0) for fault in (*FAILING, "reset")}
    first |= dict.fromkeys(SLOW, share / 2)
    return Plan(seed=seed, latency=0.1, first=first, later={fault: chance / 5 for fault, chance in first.items()})


def measure(folder: Path, count: int, seed: int, workers: int) -> tuple[list[Arrival], StandIn, int]:
    """Have all of them answered; what arrived, and how many tries ended at the time-out where they were asked."""
    table = write_table(folder / "asked.tsv", questions(folder, clips=count // 4, each=4, latency_ms=lambda i: 0))
    entries = folder / "endpoints.toml"
    home = Home(Path.cwd(), VIDEVAL_ENDPOINTS=entries, VIDEVAL_RETRY_DELAY=0.5, VIDEVAL_MAX_RETRIES=12)
    with stand_in(folder, worst(seed)) as server:
        entries.write_text(ENTRY.format(url=server.url, timeout=TIMEOUT, rate=RATE))
        fleet = home.start("fleet", "--devices", f"api*{workers}", log="fleet.log")
        try:
            home.run("enqueue", "--data", table, "--data-root", folder, "--frames", 4, "endpoint:worst")
            until(lambda: home.number("select count(*) from requests where status in ('queued', 'running')") == 0, 1200)
            assert home.number("select count(*) from responses") == count
            assert home.number("select count(*) from requests where status <> 'done'") == 0
            late = home.number("select count(*) from attempts where error like '%gave no whole answer within%'")
        finally:
            fleet.send_signal(signal.SIGTERM)
            fleet.wait(60)
            home.remove()
        return server.arrivals(), server, late


def best(arrivals: Sequence[Arrival]) -> float:
    """Seconds in which as many could have been sent."""
    began, burst = arrivals[0].at, RATE // BURST
    closed = sorted(
        (one.until - began, one.until - began + CLOSED) for one in arrivals if one.outcome == "429" and one.until
    )
    now = full_at = 0.0
    for _ in arrivals:
        now = max(now, full_at - burst * 60 / RATE)
        for start, end in closed:
            if start <= now < end:
                now = end
        full_at = max(now, full_at) + 60 / RATE
    return now


def main() -> None:
    """Print what it gave."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="vv-endpoint-"))
    print(f"other programs use {cores_used():.1f} cores", flush=True)
    try:
        arrivals, server, late = measure(folder, given.requests, given.seed, given.workers)
        took = max(one.until or one.at for one in arrivals) - arrivals[0].at
        print(f"{given.requests} answered once; {len(arrivals)} sent: {dict(server.outcomes())}")
        again = {one.key for one in server.sent_again()}
        slow = [one.until - one.at for one in arrivals if one.key in again and one.outcome == "ok" and one.until]
        print(f"sent again after an answer: {len(again)} (answered within {[round(s, 1) for s in slow]} s)")
        left = sum(one.outcome in ("gone", None) for one in arrivals)
        print(f"time-outs where it was asked: {late}; the server was left before its answer: {left}")
        print(f"most in a minute: {most_within(60, arrivals)} of {RATE} and {RATE // BURST} at once")
        print(f"makespan {took:.1f} s, at best {best(arrivals):.1f} s: {took / best(arrivals):.2f}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
