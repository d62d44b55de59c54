"""Where in Redis the budget of an endpoint is, and what a run spent."""

import hashlib

from videval.models.endpoints import Endpoint
from videval.types import Allowance

__all__ = ["Keys", "run_keys"]


class Keys:
    """The keys of one endpoint: the same for all that ask the same addresses under the same name."""

    def __init__(self, endpoint: Endpoint) -> None:
        there = hashlib.sha256(" ".join(sorted(endpoint.base_urls)).encode()).hexdigest()[:8]
        self.stem = f"videval.endpoint.{endpoint.name}.{there}"
        self.leases, self.state, self.minute = (f"{self.stem}.{part}" for part in ("leases", "state", "minute."))

    @property
    def all(self) -> list[str]:
        """In the order of the scripts."""
        return [self.leases, self.state, self.minute]


def run_keys(allowance: Allowance) -> list[str]:
    """What a run spent, the leases of what is out, and how much each of these may take."""
    return [f"videval.run.{allowance.key}.{part}" for part in ("spent", "leases", "held")]
