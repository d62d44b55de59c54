"""Where the run that an export would become differs from the run it was exported from."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from videval.export.table import flattened
from videval.order import Order

__all__ = ["deviations"]

_COMPARED = ("benchmark.variant", "benchmark.prompts", "benchmark.protocol", "model.checkpoint", "model.revision")
_GROUPS = ("frames.", "generation.", "model.pixels.")


def deviations(order: Order, card: Mapping[str, Any]) -> list[str]:
    """Each setting that answers depend on and that is otherwise in the card of an export, in words."""
    here = dict(flattened(order.card("")))
    return [
        f"{name} {card.get(name)!r}, here {here.get(name)!r}"
        for name in _names(here, card)
        if _plain(here.get(name)) != _plain(card.get(name))
    ]


def _names(*cards: Mapping[str, Any]) -> Iterator[str]:
    known = dict.fromkeys(name for card in cards for name in card)
    return (name for name in known if name in _COMPARED or name.startswith(_GROUPS))


def _plain(value: Any) -> str:
    """A value as any form of a card has it: 8.0 is 8, a list its JSON, nothing is nothing."""
    if value in (None, "", (), [], {}, "[]", "{}"):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value) if isinstance(value, tuple | list) else str(value)
