"""Heartbeat: renews the leases of what a worker holds, says what it does, and has it leave when it must."""

import logging
import os
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from videval.db import requests, workers
from videval.db.health import note_endpoint
from videval.db.session import Connection
from videval.models.endpoints import endpoint_of
from videval.types import Stage
from workers.ledger import Held, Trouble
from workers.loops import Step
from workers.worker import Worker

__all__ = ["Heartbeat"]

log = logging.getLogger(__name__)


class Leaver(Protocol):
    """What the heartbeat asks of Celery's consumer."""

    def shutdown(self) -> None:
        """Drain and end."""


class Heartbeat(Step):
    """A worker's sign of life."""

    name = "heartbeat"

    def __init__(self, worker: Worker, consumer: Leaver) -> None:
        super().__init__()
        self._worker = worker
        self._consumer = consumer

    @property
    def pause(self) -> float:
        """A lease lasts at least three heartbeats."""
        return min(self._worker.settings.heartbeat, self._worker.settings.lease / 3)

    def step(self) -> None:
        """Look whether it is time to go, for which no database is needed; then renew and tell."""
        worker = self._worker
        held, pulse = worker.held(), worker.pulse()
        if not worker.draining.is_set():
            self._check_memory(pulse.rss_mb)
            self._check_parent()
        pairs, lease = [h.pair for h in held if not h.claim.is_race], worker.settings.lease
        lost = worker.ledger.write(_beat, worker.identity.id, pairs, lease, pulse, durable=False)
        self._note_lost([h for h in held if h.pair in lost])
        self._note_endpoint()

    def _note_endpoint(self) -> None:
        """Say how the endpoint is that this worker asks, if it asks one."""
        loaded, settings = self._worker.engine.loaded, self._worker.settings
        if loaded is None or loaded.spec.remote is None:
            return
        from workers.endpoint_gate.standing import look  # loads Redis' asyncio client, which no other worker needs

        endpoint = endpoint_of(loaded.spec, settings)
        standing = look(endpoint, settings)
        note = partial(note_endpoint, state=standing.state, message=standing.message, figures=standing.figures)
        self._worker.ledger.later(note, endpoint.name)

    def _note_lost(self, lost: Sequence[Held]) -> None:
        in_hand = self._worker.held()
        for held in lost:
            if not held.lost and held.stage is not Stage.STORE and held in in_hand:  # else the fence says so
                held.lost = True
                log.warning("request %d, attempt %d: lost its lease", *held.pair)

    def _check_parent(self) -> None:
        """A worker that `videval run` started goes when that is gone."""
        tied_to = self._worker.settings.tied_to
        if tied_to is not None and os.getppid() != tied_to:
            log.warning("the command that started this worker is gone: drains")
            self._consumer.shutdown()

    def _check_memory(self, rss_mb: float) -> None:
        limit = self._worker.settings.max_rss_gb
        if limit is not None and rss_mb > limit * 1024:
            said = f"uses {rss_mb / 1024:.1f} GB, more than --max-rss {limit:g}: drains to be replaced"
            self._worker.ledger.note(Trouble.MEMORY, said)
            log.warning(said)
            self._consumer.shutdown()


def _beat(
    connection: Connection, worker_id: str, held: Sequence[tuple[int, int]], lease: float, pulse: workers.Pulse
) -> set[tuple[int, int]]:
    """Those of the held requests (id, attempt) that are not this worker's any more."""
    lost = requests.renew(connection, held, lease)
    workers.beat(connection, worker_id, pulse)
    return lost
