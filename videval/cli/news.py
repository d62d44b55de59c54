"""What workers and endpoints say while runs go on, each thing once: what keeps these runs, and no others."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from videval.cli.console import warn
from videval.db import workers as worker_rows
from videval.report import endpoint_trouble, endpoints_asked

if TYPE_CHECKING:
    from videval.db.health import EndpointHealth
    from videval.db.records import RunInfo
    from videval.db.session import Database
    from workers.fleet import Fleet

__all__ = ["News"]


class News:
    """Warns of what is in the way of these runs, which this fleet works on."""

    def __init__(self, database: "Database", runs: "Sequence[RunInfo]", fleet: "Fleet") -> None:
        self._database = database
        self._load_keys = {run.load_key for run in runs}
        self._endpoints = {run.endpoint for run in runs if run.endpoint}
        self._devices = {device.id for device in fleet.devices}
        self._said = set[str]()
        self._told, self._left_alone = set[str](), set[str]()

    def tell(self) -> None:
        """Say what is new."""
        for message in (*self._of_workers(), *self._of_endpoints()):
            warn(f"  {message}")

    def in_the_way(self) -> dict[str, str]:
        """What workers say, by their names, that serve these runs, or are of this fleet and serve no other."""
        with self._database.read() as connection:
            live = worker_rows.live_workers(connection)
        mine = [w for w in live if w.load_key in self._load_keys or (w.load_key is None and w.device in self._devices)]
        return {worker.name: worker.message for worker in mine if worker.message}

    def _of_workers(self) -> list[str]:
        found = [f"{name}: {message}" for name, message in self.in_the_way().items()]
        new = [message for message in found if message not in self._said]
        self._said.update(new)
        return new

    def _of_endpoints(self) -> Iterator[str]:
        for found in endpoints_asked(self._database) if self._endpoints else ():
            if found.name in self._endpoints and not found.is_stale:
                yield from self._of_endpoint(found)

    def _of_endpoint(self, found: "EndpointHealth") -> Iterator[str]:
        """That it is left alone, and when it answers again: its numbers change with each look. What comes and goes is
        told once."""
        trouble = endpoint_trouble(found)
        if found.is_well and found.name in self._left_alone:
            self._left_alone.discard(found.name)
            yield f"endpoint {found.name} answers again"
        elif trouble and found.name not in (self._told if found.is_well else self._left_alone):
            (self._told if found.is_well else self._left_alone).add(found.name)
            yield trouble
