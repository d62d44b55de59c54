"""The budget of one endpoint in Redis, step by step: each says whether it is granted, else in how many seconds to ask
again. Raises what redis-py and throttled-py raise; who waits is `gate.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from videval.errors import RunHalted
from videval.models.endpoints import Endpoint
from videval.types import Allowance
from videval.words import price
from workers.endpoint_gate import scripts
from workers.endpoint_gate.keys import Keys, run_keys
from workers.endpoint_gate.rates import Rate, Store

__all__ = ["LEASE", "START", "Budget", "End"]

LEASE = 30.0
"""Seconds after which the places of a worker that died are free again; one that lives renews them."""
START = 16
"""Requests at once with an endpoint of which nothing is known yet; one more for each answer, until it had enough."""
ROW, SILENT = 10, 10.0
"""Failures in a row, and seconds without an answer, after which an endpoint is left alone."""
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 60.0
"""Seconds for which it is left alone, twice as many each time; then one request is sent to see."""
LOOK, FLOOD = 5.0, 8
"""Seconds after which it is looked how many were too much for it; at once if more than half of so many were."""
SLOWER = 3.0
"""Times its best: how long an answer usually takes where too much is sent at once."""
LONGEST_CLOSED = 3600.0
"""Seconds that a Retry-After is believed."""
FULL = 0.5
"""Seconds until it is asked again whether what is out has left a run something."""
TIMEOUT = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    """How a request ended: `how` is done, throttled, failed, refused or dropped, after `took` seconds; `after`: seconds
    to send nothing; `is_too_much`: the endpoint says, or shows, that too much is sent at once; `why` it failed;
    `unsent`: the tokens that it took of a minute's, if nothing of it was sent (None: it was)."""

    id: str
    how: str
    took: float = 0.0
    after: float | None = None
    tokens: int = 0
    cost: float = 0.0
    is_too_much: bool = False
    why: str = ""
    unsent: int | None = None


class Budget:
    """What all workers share. `url`: the broker's."""

    def __init__(self, endpoint: Endpoint, url: str) -> None:
        limits, keys = endpoint.limits, Keys(endpoint)
        self._keys = keys
        self._at_once = (limits.in_flight or 0, min(START, limits.in_flight or START))
        self._redis = Redis.from_url(url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT)
        self._store = Store(url, TIMEOUT)
        self._tokens = Rate(f"{keys.stem}.tokens", limits.tokens_per_minute, self._store)
        self._requests = Rate(f"{keys.stem}.requests", limits.requests_per_minute, self._store)

    async def take_tokens(self, tokens: int) -> float | None:
        """So many of this minute's."""
        return await self._tokens.take(tokens)

    async def take_request(self) -> float | None:
        """One of this minute's."""
        return await self._requests.take(1)

    async def admit(self, id_: str, tokens: int, allowance: Allowance | None) -> tuple[float | None, bool]:
        """Among those that are sent at once, while the endpoint is not closed and not left alone; and whether it is
        sent to see how that is. What is held of its run's is noted to be sent."""
        held = [] if allowance is None else run_keys(allowance)[2:]
        values = [id_, LEASE, *self._at_once, tokens]
        why, said = await self._run(scripts.ENTER, [*self._keys.all, *held], values)
        return (float(said), False) if why else (None, said == b"1")

    async def leave(self, end: End) -> None:
        """A request is over; said twice, it counts once."""
        closes = -1.0 if end.after is None else min(max(end.after, 0.0), LONGEST_CLOSED)
        said = [end.id, end.how, int(end.is_too_much), end.took, closes, end.cost]
        tuning = [ROW, SILENT, LOOK, FLOOD, FIRST_PAUSE, LONGEST_PAUSE, SLOWER]
        more = [end.why, -1 if end.unsent is None else end.unsent]
        counts = await self._run(scripts.LEAVE, self._keys.all, [*said, *self._at_once, *tuning, *more])
        if counts and end.unsent is not None:
            await self._tokens.give_back(end.unsent)
            await self._requests.give_back(1)

    async def hold(self, id_: str, tokens: int, cost: float, allowance: Allowance) -> float | None:
        """So much of what a run may take. RunHalted if that was taken already."""
        most = ["" if limit is None else limit for limit in (allowance.max_tokens, allowance.max_cost)]
        values = [id_, LEASE, tokens, cost, *most, allowance.tokens, allowance.cost]
        why, spent_tokens, spent_cost = await self._run(scripts.HOLD, run_keys(allowance), values)
        if why == b"over":
            raise used_up(allowance, tokens, cost, int(float(spent_tokens)), float(spent_cost))
        return FULL if why else None

    async def settle(self, end: End, allowance: Allowance) -> None:
        """What was held of a run's was not needed, or took so much."""
        await self._run(scripts.SETTLE, run_keys(allowance), [end.id, end.tokens, end.cost])

    async def renew(self, sent: Sequence[str], held: Sequence[tuple[str, Allowance]]) -> None:
        """The leases of all that is out."""
        if sent:
            await self._run(scripts.RENEW, [self._keys.leases], [LEASE, *sent])
        for id_, allowance in held:
            await self._run(scripts.RENEW, run_keys(allowance)[1:2], [LEASE, id_])

    async def close(self) -> None:
        """Let the connections go."""
        await self._redis.aclose()
        await self._store.close()

    async def _run(self, script: str, keys: Sequence[str], values: Sequence[Any]) -> Any:
        return await self._redis.register_script(script)(keys=list(keys), args=list(values))


def used_up(allowance: Allowance, tokens: int, cost: float, spent_tokens: int, spent_cost: float) -> RunHalted:
    """Why a run is halted whose next request might take too much."""
    if allowance.max_tokens is not None and spent_tokens + tokens > allowance.max_tokens:
        used = f"{spent_tokens} tokens are used, the next request may take {tokens}"
        more = 2 * max(allowance.max_tokens, spent_tokens + tokens)
        hint = f"videval resume {allowance.run} --max-tokens-total {more}"
        return RunHalted(f"--max-tokens-total {allowance.max_tokens}: {used}", hint=hint)
    limit = allowance.max_cost or 0.0
    said = f"--max-cost {price(limit)}: {price(spent_cost)} is spent, the next request may cost {price(cost)}"
    enough = price(2 * max(limit, spent_cost + cost)).replace(",", "")
    return RunHalted(said, hint=f"videval resume {allowance.run} --max-cost {enough}")
