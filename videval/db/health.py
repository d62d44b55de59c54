"""How endpoints are, as the workers that ask them wrote it down last."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from videval.db.session import db_now, upsert
from videval.db.tables import EndpointRow
from videval.db.usage import cost_of_endpoint
from videval.types import EndpointState

__all__ = ["STALE_S", "EndpointHealth", "endpoint_health", "note_endpoint"]

STALE_S = 60.0
"""Seconds after which nobody is taken to ask an endpoint any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointHealth:
    """An endpoint as it was `silent_s` seconds ago: see `EndpointRow`."""

    name: str
    state: str
    message: str
    figures: Mapping[str, Any]
    silent_s: float

    @property
    def is_stale(self) -> bool:
        """Whether that is too long ago to be of now."""
        return self.silent_s > STALE_S

    @property
    def is_well(self) -> bool:
        """Whether it answers as fast as its budget and its own limits let it."""
        return self.state in (EndpointState.OPEN, EndpointState.CLOSED)


def note_endpoint(
    connection: Connection, name: str, *, state: str, message: str | None, figures: Mapping[str, Any]
) -> None:
    """Write down how an endpoint is now, over what any worker wrote before."""
    row = {"name": name, "state": state, "message": message, "figures": dict(figures), "updated_at": db_now()}
    upsert(connection, EndpointRow, [row], keys=["name"])


def endpoint_health(connection: Connection) -> list[EndpointHealth]:
    """Every endpoint that was ever asked, by name. Each cost at least what its stored answers did: a Redis that was
    started again has forgotten that, and what was written last may be of before."""
    rows = connection.execute(select(*EndpointRow.__table__.c, db_now().label("now")).order_by(EndpointRow.name))
    return [
        EndpointHealth(
            name=row.name,
            state=row.state,
            message=row.message or "",
            figures=_with_cost(row.figures, cost_of_endpoint(connection, row.name)),
            silent_s=max(0.0, row.now - row.updated_at),
        )
        for row in rows
    ]


def _with_cost(figures: Mapping[str, Any], paid: float | None) -> Mapping[str, Any]:
    return figures if paid is None else {**figures, "spent": max(paid, figures.get("spent", 0.0))}
