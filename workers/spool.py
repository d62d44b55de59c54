"""Answers that could not be stored at once: kept as files until they are, by this worker or by the next one."""

import json
import logging
import os
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from videval.asking import asking
from videval.benchmarks.catalog import find_benchmark
from videval.db import requests, results
from videval.db.records import Claim
from videval.db.session import Connection, Database
from videval.errors import EnvironmentProblem
from videval.settings import Settings
from videval.types import Response, Timings
from workers.wire import generation_from, prompt_from, prompt_message

__all__ = ["drop", "keep", "replay", "with_store_time"]

log = logging.getLogger(__name__)


def with_store_time(response: Response, seconds: float) -> Response:
    """The response with the time that storing took."""
    return replace(response, timings=replace(response.timings, store=seconds))


def keep(settings: Settings, claim: Claim, response: Response) -> Path | None:
    """Write an answer to the spool folder; None if the disk does not take it, which is logged."""
    path = settings.spool_path / f"{claim.request_id}-{claim.attempt}.json"
    message = {
        "request_id": claim.request_id,
        "attempt": claim.attempt,
        "text": response.text,
        "prompt": prompt_message(response.prompt),
        "generation": asdict(response.generation),
        "timings": asdict(response.timings),
        "decoded": response.decoded,
    }
    beside = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps(message))
        beside.replace(path)
    except OSError as error:
        log.error("answer of request %d cannot be kept in %s: %s", claim.request_id, path, error)
        with suppress(OSError):
            beside.unlink()
        return None
    log.warning("answer of request %d kept in %s until it is stored", claim.request_id, path)
    return path


def drop(path: Path) -> bool:
    """An answer is stored, or no longer wanted; False if another worker took it from the spool already."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def replay(settings: Settings, database: Database) -> int:
    """Store what is in the spool; an answer that somebody else gave meanwhile is dropped. Returns the number stored."""
    return sum(_replay(database, path) for path in sorted(settings.spool_path.glob("*.json")))


def _replay(database: Database, path: Path) -> bool:
    try:
        message = json.loads(path.read_text())
        response = _response(message)
    except FileNotFoundError:
        return False  # another worker was quicker
    except (ValueError, KeyError, TypeError) as error:
        log.error("%s is not a spooled answer (%s); left where it is", path, error)
        return False
    try:
        with database.read() as connection:
            claim = requests.claim_as_it_was(connection, message["request_id"], message["attempt"])
        stored = claim is not None and _store(database, claim, response)
    except EnvironmentProblem:
        raise
    except Exception:  # a benchmark or scorer that fails on it must not keep every new worker from starting
        log.exception("%s could not be stored; left where it is", path)
        return False
    path.unlink(missing_ok=True)
    log.info("spooled answer of request %s: %s", message["request_id"], "stored" if stored else "no longer wanted")
    return stored


def _response(message: dict[str, Any]) -> Response:
    return Response(
        text=str(message["text"]),
        prompt=prompt_from(_as_today(message["prompt"])),
        generation=generation_from(message["generation"]),
        timings=Timings(**message["timings"]),
        decoded=message.get("decoded"),
    )


def _as_today(prompt: dict[str, object]) -> dict[str, object]:
    """A prompt as it is kept now; until videval 0.1 it had one clip, and files were named by their place."""
    clip = prompt.get("clip")
    return {"clips": [clip] if clip else [], "steering": {}} | prompt


def _store(database: Database, claim: Claim, response: Response) -> bool:
    reading = asking(claim.key, find_benchmark(claim.run.benchmark)).read(claim.samples, response.said)

    def complete(connection: Connection) -> bool:
        return results.complete(connection, claim, response, reading, resurrect=True)

    return database.write(complete)
