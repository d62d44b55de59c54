"""How endpoints are: what of their budget is used, what they cost, whether they answer; in words."""

from collections.abc import Iterator

from videval.db.health import EndpointHealth, endpoint_health
from videval.db.session import Database
from videval.types import EndpointState
from videval.words import duration, price

__all__ = [
    "BUDGET",
    "ended_in_words",
    "endpoint_cost",
    "endpoint_in_words",
    "endpoint_trouble",
    "endpoints_asked",
    "of_limit",
]

BUDGET = {
    "requests_minute": "requests this minute",
    "tokens_minute": "tokens this minute",
    "in_flight": "in flight",
}
"""Figures that have a limit, and what they count."""
ENDED = {"done": "answered", "throttled": "too many (429)", "failed": "failed", "refused": "refused"}
"""Figures of how requests ended."""
LATE_S = 15.0
"""Seconds after which figures are said to be of then: a heartbeat and a half."""
LONG_S = 30.0
"""Seconds for which nothing is sent that are worth a word: shorter ones are how a budget is kept."""


def endpoints_asked(database: Database) -> list[EndpointHealth]:
    """Every endpoint that was ever asked, by name."""
    with database.read() as connection:
        return endpoint_health(connection)


def of_limit(found: EndpointHealth, name: str) -> tuple[float, float | None] | None:
    """A figure and its limit (None: it has none); None if the figure is not known."""
    value, limit = found.figures.get(name), found.figures.get("limits", {}).get(name)
    return None if value is None else (float(value), None if limit is None else float(limit))


def endpoint_in_words(found: EndpointHealth) -> str:
    """One line: `lab: open; 120 of 600 requests this minute, 12 in flight; 3.21 USD`, or of when that was. What was of
    a minute that is long over is left out."""
    nobody = ": nobody asks it now" if found.is_stale else ""
    when = f" (as of {duration(found.silent_s)} ago{nobody})" if found.silent_s > LATE_S else ""
    why = f": {found.message}" if found.message else ""
    used = "" if found.is_stale else ", ".join(_used(found))
    return "; ".join(filter(None, (f"{found.name}: {found.state}{when}{why}", used, endpoint_cost(found))))


def endpoint_trouble(found: EndpointHealth) -> str:
    """What keeps an endpoint from answering, in a line; empty while it answers as its budget lets it."""
    is_brief = found.state == EndpointState.CLOSED and found.figures.get("pause_s", 0.0) < LONG_S
    return "" if is_brief or not found.message else f"endpoint {found.name}: {found.state}: {found.message}"


def endpoint_cost(found: EndpointHealth) -> str:
    """What it cost so far; empty where that is not known."""
    cost, currency = found.figures.get("spent"), found.figures.get("currency")
    return "" if cost is None or not (cost or currency) else price(float(cost), str(currency or ""))


def ended_in_words(found: EndpointHealth) -> str:
    """How many requests ended how, of those that are known."""
    counts = {ENDED[name]: found.figures.get(name) for name in ENDED}
    return ", ".join(f"{count:,} {how}" for how, count in counts.items() if count)


def _used(found: EndpointHealth) -> Iterator[str]:
    for name, what in BUDGET.items():
        known = of_limit(found, name)
        if known is not None:
            value, limit = known
            yield f"{value:,.0f}{'' if limit is None else f' of {limit:,.0f}'} {what}"
