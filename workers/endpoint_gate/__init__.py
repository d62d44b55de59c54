"""The budget that all workers of a fleet share before one endpoint: requests and tokens a minute, requests at once,
what a run may spend, and whether the endpoint is asked at all for now.

`RedisGate` (`gate.py`) is where a request waits, in the engine's process; `budget.py` is what it asks, `scripts.py` and
`rates.py` how Redis answers; `standing.py` is what a worker says of an endpoint.
"""

from workers.endpoint_gate.gate import RedisGate

__all__ = ["RedisGate"]
