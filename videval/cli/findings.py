"""What `videval doctor` finds: database, broker, devices, packages, disks, each with the line that mends it."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from videval.db import schema
from videval.db.session import open_database
from videval.db.trial import try_writing
from videval.errors import VidevalError
from videval.models.on_vllm import INSTALL, vllm_version
from videval.models.vlmevalkit import toolkit
from videval.paths import expanded
from videval.settings import Settings
from workers import broker
from workers.address import broker_address
from workers.device import Kind, parse_devices
from workers.gpus import list_gpus
from workers.locks import is_free
from workers.trial import memory_risk, try_broker

__all__ = ["Finding", "findings"]

LEAST_FREE_GB = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One line of the doctor: what was looked at, whether a run could start with it, and the line that mends it.

    One that is `ok` and has something to mend is a warning.
    """

    what: str
    ok: bool
    says: str
    mend: str = ""


def _tried(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what=what, ok=True, says=look())
    except VidevalError as error:
        return Finding(what=what, ok=False, says=str(error), mend=error.hint)
    except OSError as error:
        return Finding(what=what, ok=False, says=str(error), mend="another place: VIDEVAL_HOME, VIDEVAL_LOCK_DIR")


def _database(settings: Settings) -> str:
    database = open_database(settings)
    try:
        found = schema.current(database)
        if found is not None:
            schema.check(database)
        try_writing(database, has_tables=found is not None)
        state = f"schema {found}" if found else f"empty; the first command makes schema {schema.head()}"
        return f"{database.url}, {state}"
    finally:
        database.close()


def _broker(settings: Settings) -> Finding:
    """An embedded one is started for this, if it does not run."""

    def look() -> str:
        with broker.using(settings):
            try_broker(settings)
        where = broker_address(settings).shown
        return f"embedded ({broker.server_binary()})" if settings.is_embedded_broker else f"{where} sends and receives"

    found = _tried("broker", look)
    risk = memory_risk(settings) if found.ok and not settings.is_embedded_broker else ""
    if not risk:
        return found
    mend = "redis-cli CONFIG SET maxmemory-policy noeviction   (lost messages are sent again, but late)"
    return replace(found, says=f"{found.says}; {risk}", mend=mend)


def _devices(settings: Settings) -> str:
    devices = parse_devices(settings.devices)
    free = {d.label: is_free(settings.lock_path, d.id) for d in devices}
    listed = ", ".join(f"{label}{'' if ok else ' (in use)'}" for label, ok in free.items())
    if all(d.kind is Kind.API for d in devices):
        return f"{listed} (models run elsewhere)"
    gpus = "; ".join(f"{g.name} {g.memory_gb:.0f} GB" for g in list_gpus()) or "no GPU: models run on the CPU"
    return f"{listed} ({gpus})"


def _package(name: str, mend: str) -> Finding:
    try:
        return Finding(what=name, ok=True, says=version(name))
    except PackageNotFoundError:
        return Finding(what=name, ok=False, says="not installed", mend=mend)


def _reader(name: str, *, is_set: bool) -> Finding:
    """A library that reads videos beside PyAV, which nobody needs who does not set it."""
    found = _package(name, f"pip install {name}, or unset VIDEVAL_READER")
    return found if found.ok or is_set else replace(found, ok=True, says="not installed: PyAV reads", mend="")


def _toolkit() -> Finding:
    """VLMEvalKit, which nobody needs who does not ask for its own models and datasets."""
    place = toolkit.folder()
    says = f"{toolkit.version()} at {place}" if place else f"not installed; for vlmevalkit:NAME: {toolkit.INSTALL}"
    return Finding(what="vlmeval", ok=True, says=says)


def _vllm() -> Finding:
    """vLLM, which nobody needs who does not say --use-vllm."""
    found = vllm_version()
    return Finding(what="vllm", ok=True, says=found or f"not installed; for --use-vllm: {INSTALL}")


def _disk(what: str, folder: Path) -> Finding:
    """Free space, and whether a file can be written there (or, before there is such a folder, above it)."""
    mend = "free some space, or set VIDEVAL_HOME"
    there = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(there).free / 1e9
    try:
        if there == folder:
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"\0" * 4096)
        elif not os.access(there, os.W_OK):
            raise PermissionError(f"{there} is not writable")
    except OSError as error:
        return Finding(what=what, ok=False, says=f"{folder}: {error}", mend=mend)
    ok = free > LEAST_FREE_GB
    return Finding(what=what, ok=ok, says=f"{folder}: {free:.0f} GB free", mend="" if ok else mend)


def _data_root(settings: Settings) -> Finding:
    named = [os.environ[n] for n in ("LMUData",) if os.environ.get(n)]
    roots = [str(settings.data_root)] if settings.data_root else []
    missing = [r for r in (*roots, *named) if not expanded(r).is_dir()]
    if missing:
        return Finding(
            what="data roots", ok=False, says=f"not a folder: {', '.join(missing)}", mend="VIDEVAL_DATA_ROOT"
        )
    said = ", ".join((*roots, *named)) or "none set; benchmarks go to VIDEVAL_HOME, a file's videos lie beside it"
    return Finding(what="data roots", ok=True, says=said)


def findings(settings: Settings) -> Iterator[Finding]:
    """Look at one thing after the other; an embedded broker is started for that."""
    yield _tried("database", lambda: _database(settings))
    yield _broker(settings)
    yield _tried("devices", lambda: _devices(settings))
    for name in ("av", "torch", "torchvision", "transformers", "celery"):
        yield _package(name, f"pip install {name}")
    for name in ("decord", "torchcodec"):
        yield _reader(name, is_set=settings.reader == name)
    yield _vllm()
    yield _toolkit()
    yield _data_root(settings)
    yield _disk("home", settings.home_path)
    yield _disk("frame cache", settings.frame_cache_path)
