"""Under torchrun: which devices of a machine are this rank's. Nothing is asked of the other ranks."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["OF_TORCHRUN", "alone", "is_one_of_several", "my_share"]

T = TypeVar("T")
OF_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "GROUP_RANK")
"""Variables by which a library takes itself for a part of something larger."""


def my_share(devices: Sequence[T], environ: Mapping[str, str] = os.environ) -> Sequence[T]:
    """The devices that this rank serves: a share of those that all ranks of the machine see, or all that it sees where
    these are fewer than ranks (each sees its own, or the locks decide who has one)."""
    size = _number(environ, "LOCAL_WORLD_SIZE", "WORLD_SIZE", default=1)
    rank = _number(environ, "LOCAL_RANK", "RANK", default=0)
    return devices[rank % size :: size] if 1 < size <= len(devices) else devices


def is_one_of_several(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether other ranks make the same calls."""
    return _number(environ, "WORLD_SIZE", default=1) > 1


@contextmanager
def alone() -> Iterator[None]:
    """Load a model here as if there were no other ranks: each has a model of its own."""
    before = {name: os.environ.pop(name) for name in OF_TORCHRUN if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(before)


def _number(environ: Mapping[str, str], *names: str, default: int) -> int:
    found = next((environ[name] for name in names if environ.get(name, "").isdigit()), None)
    return default if found is None else int(found)
