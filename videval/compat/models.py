"""A model by its name, and what holds it between two calls."""

import weakref
from contextlib import ExitStack
from functools import cached_property

from videval.compat.ranks import alone, my_share
from videval.errors import UsageError
from videval.models.catalog import load_model, model_spec
from videval.models.troubles import refuse_troubles
from videval.protocols import Model, Server
from videval.settings import Settings
from videval.types import ModelSpec
from workers.device import devices_for
from workers.engine.here import device_here
from workers.fleet import Fleet
from workers.template import Template

__all__ = ["NamedModel"]


class NamedModel:
    """A model by its name. Its workers keep it loaded for the next call, until `close`, or until nobody has it any
    more."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._held = ExitStack()
        self._fleet: Fleet | None = None
        self._loaded: Model | Server | None = None
        self._end = weakref.finalize(self, self._held.close)

    def __repr__(self) -> str:
        return f"NamedModel({self.name!r})"

    @cached_property
    def spec(self) -> ModelSpec:
        """What the name stands for. Raises UnknownName, ModelUnavailable."""
        return model_spec(self.name)

    def fleet(self, settings: Settings) -> Fleet:
        """Its workers, one on each device of this rank; the same at every call."""
        if self._fleet is None:
            refuse_troubles(self.spec)
            devices = my_share(devices_for(self.spec, settings.devices))
            self._fleet = Fleet(settings=settings, devices=devices, tied=True)
            self._held.callback(self._fleet.stop)
            self._fleet.template = Template()
        return self._fleet

    def here(self, settings: Settings) -> Model:
        """The model loaded in this process, on a device of its own; the same at every call. Raises ModelUnavailable."""
        if self._loaded is None:
            refuse_troubles(self.spec)
            device = self._held.enter_context(device_here(self.spec, settings))
            with alone():
                self._loaded = load_model(
                    self.spec, devices=device.names, dtype=self.spec.dtype, prefix_gb=settings.prefix_gb
                )
        if not isinstance(self._loaded, Model):
            raise UsageError(f"{self.name} answers by itself and cannot be told the messages of a dataset object")
        return self._loaded

    def close(self) -> None:
        """End its workers and give its devices back; the next call starts them again."""
        self._end()
        self._held = ExitStack()
        self._end = weakref.finalize(self, self._held.close)
        self._fleet = self._loaded = None
