"""Answers that were read from a file: requests that are answered the moment they are there, so that nobody works on
them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from videval.db import attempts
from videval.db.plans import RequestPlan, add_requests
from videval.db.records import StoredSample
from videval.db.results import Answered, store_readings
from videval.db.session import db_now, upsert
from videval.db.tables import AttemptRow, RequestRow, ResponseRow
from videval.types import STAGES, AttemptOutcome, Reading, RequestStatus, Said, Stage

__all__ = ["IMPORTED", "ImportedAnswer", "store_imported"]

IMPORTED = "imported"
"""The worker of an attempt that nobody made here."""
_OPEN = (RequestStatus.QUEUED, RequestStatus.FAILED, RequestStatus.CANCELLED)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedAnswer:
    """A request with what a file says that the model said to it, and what is read in that."""

    plan: RequestPlan
    text: str
    stored: tuple[StoredSample, ...]
    reading: Reading


def store_imported(connection: Connection, run_id: int, answers: Sequence[ImportedAnswer], tool: str) -> int:
    """Store answers with their requests; those that are answered or in work already are left alone. Returns how many
    were stored."""
    add_requests(connection, run_id, [answer.plan for answer in answers])
    open_ = _open(connection, run_id, [answer.plan.key for answer in answers])
    taken = [(answer, *open_[answer.plan.key]) for answer in answers if answer.plan.key in open_]
    taken = [found for found in taken if _is_taken(connection, *found[1:])]
    if not taken:
        return 0
    attempts_made = [_attempt(request_id, attempt, tool) for _, request_id, attempt, _ in taken]
    connection.execute(insert(AttemptRow).values(started_at=db_now(), finished_at=db_now()), attempts_made)
    responses = [_response(run_id, a.text, request_id, attempt) for a, request_id, attempt, _ in taken]
    upsert(connection, ResponseRow, responses, keys=["request_id"])
    store_readings(connection, run_id, [(_answered(a, request_id), a.reading) for a, request_id, *_ in taken])
    _count(connection, run_id, [status for *_, status in taken])
    return len(taken)


def _open(connection: Connection, run_id: int, keys: Sequence[str]) -> dict[str, tuple[int, int, str]]:
    """The requests with these keys that nobody answered or answers: id, next attempt and status by key."""
    rows = connection.execute(
        select(RequestRow.key, RequestRow.id, RequestRow.attempt, RequestRow.status)
        .where(RequestRow.run_id == run_id, RequestRow.key.in_(list(keys)))
        .where(RequestRow.status.in_(_OPEN))
    )
    return {row.key: (row.id, row.attempt + 1, row.status) for row in rows}


def _is_taken(connection: Connection, request_id: int, attempt: int, status: str) -> bool:
    """Make a request done, unless a worker has just claimed it."""
    mine = (RequestRow.id == request_id) & (RequestRow.attempt == attempt - 1) & (RequestRow.status == status)
    done = {"status": RequestStatus.DONE, "attempt": attempt, "error_kind": None, "error": None}
    return connection.execute(update(RequestRow).where(mine).values(finished_at=db_now(), **done)).rowcount == 1


def _attempt(request_id: int, attempt: int, tool: str) -> dict[str, Any]:
    return {
        "request_id": request_id,
        "attempt": attempt,
        "worker_id": IMPORTED,
        "worker": IMPORTED,
        "stage": Stage.STORE,
        "outcome": AttemptOutcome.DONE,
        "struck": False,
        "environment": {"imported from": tool},
    }


def _response(run_id: int, text: str, request_id: int, attempt: int) -> dict[str, Any]:
    """What is known of an answer from elsewhere: its text. No prompt, no clip, no times."""
    numbers = ("prompt_tokens", "new_tokens", "cached_tokens", "reasoning_tokens", "cost", "decoded")
    unknown: Mapping[str, Any] = dict.fromkeys(("thinking", *numbers)) | {"rendered": "", "refused": ""}
    return {
        "request_id": request_id,
        "run_id": run_id,
        "attempt": attempt,
        "text": text,
        "truncated": False,
        "prompt": [],
        "clips": [],
        "seen": [],
        "num_frames": 0,
        "created_at": db_now(),
        **unknown,
        **{f"{stage}_s": 0.0 for stage in STAGES},
    }


def _answered(answer: ImportedAnswer, request_id: int) -> Answered:
    said = Said(text=answer.text)
    return Answered(request_id=request_id, key=answer.plan.key, said=said, stored=answer.stored)


def _count(connection: Connection, run_id: int, were: Sequence[str]) -> None:
    ended = {name: -were.count(name) for name in (RequestStatus.FAILED, RequestStatus.CANCELLED) if name in were}
    attempts.count(connection, run_id, {"done": len(were), **{name.value: n for name, n in ended.items()}})
