"""How many a minute: requests or tokens, as one rate that all workers share (GCRA of throttled-py, on Redis' clock)."""

from datetime import timedelta
from typing import Any

from throttled.asyncio import RateLimiterType, RedisStore, Throttled, per_duration

from workers.endpoint_gate.scripts import GIVE_BACK

__all__ = ["BURST", "Rate", "Store"]

MINUTE = timedelta(minutes=1)
PREFIX = "throttled:v1:gcra:"
"""Before the name of a rate, in throttled-py's keys; the value is when all of it is free again."""
BURST = 20
"""What may come at once is this part of a minute's (or one request, if that is more): so in no minute comes more than
a minute's and this part."""


class Store(RedisStore):
    """Where rates are kept; can be closed."""

    def __init__(self, url: str, timeout: float) -> None:
        super().__init__(url, {"SOCKET_TIMEOUT": timeout, "SOCKET_CONNECT_TIMEOUT": timeout})

    @property
    def client(self) -> Any:
        """Redis' own, which throttled-py's protocol of a client does not say."""
        return self._backend.get_client()

    async def close(self) -> None:
        """Let the connections go."""
        await self.client.aclose(close_connection_pool=True)


class Rate:
    """So many a minute (None: as many as one likes). `name` is its key in Redis."""

    def __init__(self, name: str, per_minute: int | None, store: Store) -> None:
        self._name, self._per_minute, self._store = name, per_minute, store
        self._at_once = 0
        self._throttle: Throttled | None = None

    async def take(self, amount: int) -> float | None:
        """Take so many: None if that is granted, else in how many seconds it may be. What is more than a minute's takes
        a whole minute's: it is an estimate."""
        if self._per_minute is None:
            return None
        amount = min(amount, self._per_minute)
        if self._throttle is None or amount > self._at_once:
            self._at_once = max(amount, self._per_minute // BURST)
            quota = per_duration(MINUTE, self._per_minute, burst=self._at_once)
            self._throttle = Throttled(using=RateLimiterType.GCRA.value, quota=quota, store=self._store)
        result = await self._throttle.limit(self._name, amount)
        return result.state.retry_after if result.limited else None

    async def give_back(self, amount: int) -> None:
        """What was taken and not sent."""
        if self._per_minute is not None:
            filled = min(amount, self._per_minute) * MINUTE.total_seconds() / self._per_minute
            await self._store.client.register_script(GIVE_BACK)(keys=[f"{PREFIX}{self._name}"], args=[filled])
