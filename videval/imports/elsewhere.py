"""Models that videval does not know: what they said can be kept and compared, but they cannot be asked here."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

from videval.errors import ModelUnavailable
from videval.models.catalog import FAKE
from videval.options import Asked
from videval.order import Order
from videval.orders import make_order
from videval.settings import Settings
from videval.types import ModelSpec

__all__ = ["is_elsewhere", "load", "order_elsewhere"]

_ADAPTER = f"{__name__}:load"


def order_elsewhere(asked: Asked, settings: Settings) -> Order:
    """The order of a model that nobody here can load; it is shown frames as the benchmark's page says."""
    order = make_order(replace(asked, model=FAKE.name), settings)
    name, note = asked.model or "", "not known here; its answers were imported"
    spec = replace(order.spec, name=name, adapter=_ADAPTER, checkpoint=name, steered=False, sound=False, note=note)
    return replace(order, spec=spec)


def is_elsewhere(spec: ModelSpec) -> bool:
    """Whether the model is known by its answers only."""
    return spec.adapter == _ADAPTER


def load(spec: ModelSpec, *, devices: Sequence[str], dtype: str) -> NoReturn:
    """What a worker hears that is to load such a model."""
    raise ModelUnavailable(
        f"{spec.name} is known by imported answers only", hint="import them as a model's that videval has: --model NAME"
    )
