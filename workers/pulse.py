"""What a worker says of itself: who it is, and what it is doing now."""

import os
import socket
import time
import uuid
from collections.abc import Sequence
from importlib.metadata import version

import psutil

from videval import __version__
from videval.db.records import WorkerIdentity
from videval.settings import Settings
from workers.device import Kind
from workers.ledger import Held
from workers.locks import HeldDevice, lock_domain

__all__ = ["activity", "identity", "rss_mb"]

OF_DECODING = ("av",)
OF_MODELS = ("torch", "transformers")
"""Packages that matter where a model runs here."""


def identity(settings: Settings, held: HeldDevice) -> WorkerIdentity:
    """Who this worker is: a new id for each life, a name that people know it by (gpu0@host)."""
    host = socket.gethostname()
    return WorkerIdentity(
        id=uuid.uuid4().hex,
        name=f"{held.device.label}@{host}",
        host=host,
        lock_domain=lock_domain(settings.lock_path),
        pid=os.getpid(),
        device=held.device.id,
        device_name=held.device.name,
        environment=_versions(held.device.kind) | {"device": held.device.name},
    )


def _versions(kind: Kind) -> dict[str, str]:
    """Of videval the one that runs: what an editable install is registered as may be older."""
    packages = (*OF_DECODING, *(OF_MODELS if kind is not Kind.API else ()))
    return {"videval": __version__} | {name: version(name) for name in packages}


def activity(held: Sequence[Held]) -> dict[str, dict[str, object]]:
    """What is done with each request in hand."""
    now = time.monotonic()
    return {
        str(h.claim.request_id): {
            "run": h.claim.run.name,
            "stage": h.stage,
            "seconds": round(now - h.since, 1),
            "video": h.claim.samples[0].video,
        }
        for h in held
    }


def rss_mb() -> float:
    """Resident memory of this process and its children, MiB, without the files that they map, as clips are: the kernel
    takes that back when it likes."""
    own = psutil.Process()
    total = 0
    for process in [own, *own.children(recursive=True)]:
        try:
            memory = process.memory_info()
            total += memory.rss - getattr(memory, "shared", 0)
        except psutil.Error:
            continue
    return total / 2**20
