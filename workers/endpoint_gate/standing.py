"""How an endpoint is at a glance: what keeps requests from being sent there, and the figures of its budget."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis

from videval.models.endpoints import Endpoint
from videval.settings import Settings
from videval.types import EndpointState
from videval.words import plural
from workers.address import broker_address
from workers.client import broker_client
from workers.endpoint_gate.budget import START
from workers.endpoint_gate.keys import Keys
from workers.endpoint_gate.scripts import LOOK
from workers.reasons import TROUBLE, explain

__all__ = ["Standing", "look"]

WORTH_SAYING = 3
"""Failures in a row that are said of an endpoint that is still asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """Its state, in words what keeps it (None: nothing), and figures.

    Figures: `requests_minute`, `tokens_minute`, `in_flight`, and what the entry allows of each (`limits`; none: as much
    as one likes); `at_once`: how many are sent at once now; `spent`, in `currency`; `done`, `throttled`, `failed`,
    `refused`: how many ended so; `pause_s`: seconds for which nothing is sent.
    """

    state: EndpointState
    message: str | None
    figures: Mapping[str, Any]


def look(endpoint: Endpoint, settings: Settings) -> Standing:
    """How it is, as its budget in Redis says; AWAY where that says nothing."""
    try:
        with broker_client(settings) as client:
            return _standing(endpoint, client)
    except TROUBLE as error:
        said = f"nothing is sent: {explain(error, broker_address(settings).shown)}"
        return Standing(state=EndpointState.AWAY, message=said, figures=_entry(endpoint))


def _standing(endpoint: Endpoint, client: redis.Redis) -> Standing:
    now, in_flight, requests, tokens, flat = client.register_script(LOOK)(keys=Keys(endpoint).all)
    pairs = [item.decode() for item in flat]
    found = dict(zip(pairs[::2], pairs[1::2], strict=True))
    state, message = _state(found, float(now))
    return Standing(
        state=state,
        message=message,
        figures=_entry(endpoint)
        | {"requests_minute": max(0, int(requests)), "tokens_minute": max(0, int(tokens)), "in_flight": in_flight}
        | {"at_once": max(1, int(float(found.get("at_once", min(START, endpoint.limits.in_flight or START)))))}
        | {"spent": float(found.get("spent", 0)), "pause_s": max(0.0, *_pauses(found, float(now)))}
        | {how: int(found.get(how, 0)) for how in ("done", "throttled", "failed", "refused")},
    )


def _entry(endpoint: Endpoint) -> dict[str, Any]:
    """What its entry says."""
    limits = {
        "requests_minute": endpoint.limits.requests_per_minute,
        "tokens_minute": endpoint.limits.tokens_per_minute,
        "in_flight": endpoint.limits.in_flight,
    }
    currency = {"currency": endpoint.prices.currency} if endpoint.prices else {}
    return {"limits": {name: limit for name, limit in limits.items() if limit is not None}, **currency}


def _pauses(found: Mapping[str, str], now: float) -> tuple[float, float]:
    """Seconds for which it is closed, and for which it is left alone."""
    closed, paused = (float(found.get(name, 0)) - now for name in ("closed_until", "paused_until"))
    return closed, paused


def _state(found: Mapping[str, str], now: float) -> tuple[EndpointState, str | None]:
    closed, paused = _pauses(found, now)
    if closed > 0:
        return EndpointState.CLOSED, f"it has too many requests (429): nothing is sent for {closed:.0f} s"
    failures, why = int(found.get("failures", 0)), found.get("why", "")
    said = f"{plural(failures, 'failure')} in a row{', the last: ' if why else ''}{why}"
    if not int(found.get("pauses", 0)):
        return EndpointState.OPEN, said if failures >= WORTH_SAYING else None
    if paused > 0:
        return EndpointState.PAUSED, f"{said}; nothing is sent for {paused:.0f} s"
    return EndpointState.PROBING, f"{said}; one request is sent to see"
