"""How fast runs go and where the time goes: read from the index of answers, or from a bounded number of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, Text, bindparam, cast, func, select

from videval.db import sums
from videval.db.session import db_now
from videval.db.tables import AttemptRow, RequestRow, ResponseRow, RunRow
from videval.types import STAGES, AttemptOutcome, RequestStatus

__all__ = [
    "Pace",
    "Slow",
    "StageSums",
    "environments_in",
    "finished_before",
    "in_span",
    "last_finished",
    "pace",
    "paces",
    "recent_costs",
    "request_span",
    "slowest_in",
    "stage_sums_in",
]

OF_RUN = ResponseRow.run_id == RunRow.id
ALL_ENDS = select(
    RunRow.id,
    select(func.min(ResponseRow.created_at)).where(OF_RUN).scalar_subquery(),
    select(func.max(ResponseRow.created_at)).where(OF_RUN).scalar_subquery(),
    db_now(),
)
ENDS = ALL_ENDS.where(RunRow.id == bindparam("run"))
ANSWERED = "requests:done"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How fast a run goes: answers in the last `window_s` seconds and in all, the first and the last answer's time
    and now, in seconds since the epoch on the database's clock."""

    recent: int = 0
    window_s: float = 60.0
    answered: int = 0
    first_at: float | None = None
    last_at: float | None = None
    now: float = 0.0

    @property
    def elapsed_s(self) -> float:
        """Seconds from the first to the last answer."""
        return 0.0 if self.first_at is None or self.last_at is None else self.last_at - self.first_at

    @property
    def since_last_s(self) -> float | None:
        """Seconds since the last answer; None if there is none."""
        return None if self.last_at is None else self.now - self.last_at


@dataclass(frozen=True, kw_only=True, slots=True)
class StageSums:
    """Seconds that requests spent in each stage, over `n` answers."""

    n: int
    seconds: dict[str, float]
    prompt_tokens: int
    new_tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Slow:
    """A request that took long: seconds of decoding and generating."""

    request_id: int
    key: str
    video: str
    num_frames: int
    decode_s: float
    generate_s: float
    new_tokens: int | None


def paces(connection: Connection, recent_of: Sequence[int], *, window_s: float = 60.0) -> dict[int, Pace]:
    """The pace of every run that has answers; `recent` is counted for the runs `recent_of` only."""
    ends = {run_id: (first, last, now) for run_id, first, last, now in connection.execute(ALL_ENDS) if first}
    answered = sums.of_runs(connection, prefix=ANSWERED)
    found = {}
    for run_id, (first, last, now) in ends.items():
        recent = _recent(connection, run_id, now - window_s) if run_id in recent_of else 0
        n = round(answered.get(run_id, {}).get(ANSWERED, 0))
        found[run_id] = Pace(recent=recent, window_s=window_s, answered=n, first_at=first, last_at=last, now=now)
    return found


def _recent(connection: Connection, run_id: int, since: float) -> int:
    query = select(func.count()).select_from(ResponseRow)
    return connection.execute(query.where(ResponseRow.run_id == run_id, ResponseRow.created_at > since)).scalar_one()


def pace(connection: Connection, run_id: int, *, window_s: float = 60.0) -> Pace:
    """The pace of one run: read from the ends of an index and from its sums, however many answers it has."""
    _, first, last, now = connection.execute(ENDS, {"run": run_id}).one()
    answered = round(sums.of_run(connection, run_id, prefix=ANSWERED).get(ANSWERED, 0))
    recent = _recent(connection, run_id, now - window_s) if answered else 0
    return Pace(recent=recent, window_s=window_s, answered=answered, first_at=first, last_at=last, now=now)


def recent_costs(connection: Connection, run_id: int, *, limit: int = 500) -> list[tuple[int, float]]:
    """(frames, seconds of decoding and generating) of the newest answers of a run."""
    rows = connection.execute(
        select(ResponseRow.num_frames, ResponseRow.decode_s + ResponseRow.generate_s)
        .where(ResponseRow.run_id == run_id, ResponseRow.generate_s > 0)  # imported answers took no time here
        .order_by(ResponseRow.created_at.desc())
        .limit(limit)
    )
    return [(frames, seconds) for frames, seconds in rows]


def finished_before(connection: Connection, run_id: int, moments: Sequence[float]) -> list[tuple[int, int]]:
    """(answered, failed) between each moment and the next; moments ascend, seconds since the epoch."""
    failed = select(RequestRow.finished_at).where(
        RequestRow.run_id == run_id, RequestRow.status == RequestStatus.FAILED
    )
    failures = [at for at in connection.execute(failed.limit(100_000)).scalars() if at is not None]
    counts = []
    answered = select(func.count()).select_from(ResponseRow).where(ResponseRow.run_id == run_id)
    for begin, end in pairwise(moments):
        inside = (ResponseRow.created_at >= begin) & (ResponseRow.created_at < end)
        bad = sum(1 for at in failures if begin <= at < end)
        counts.append((connection.execute(answered.where(inside)).scalar_one(), bad))
    return counts


def last_finished(connection: Connection, run_id: int) -> float | None:
    """When the last request of a run was answered or failed, seconds since the epoch; None if none was."""
    return connection.execute(select(func.max(RequestRow.finished_at)).where(RequestRow.run_id == run_id)).scalar_one()


def request_span(connection: Connection, run_id: int) -> tuple[int, int] | None:
    """The lowest and the highest request id of a run; None if it has none."""
    low, high = connection.execute(
        select(func.min(RequestRow.id), func.max(RequestRow.id)).where(RequestRow.run_id == run_id)
    ).one()
    return None if low is None else (low, high)


def in_span(run_id: int, low: int, high: int) -> Any:
    """Answers of a run with request ids low..high; by range of ids, whatever an index on run_id promises."""
    ids = (ResponseRow.request_id >= low) & (ResponseRow.request_id <= high)
    return ids & ((ResponseRow.run_id + 0) == run_id)


def stage_sums_in(connection: Connection, run_id: int, low: int, high: int) -> StageSums:
    """Sums of the stages over the answers to requests with ids low..high."""
    sums = [func.coalesce(func.sum(getattr(ResponseRow, f"{s}_s")), 0.0).label(s) for s in STAGES]
    tokens = [func.coalesce(func.sum(c), 0) for c in (ResponseRow.prompt_tokens, ResponseRow.new_tokens)]
    row = connection.execute(select(func.count(), *tokens, *sums).where(in_span(run_id, low, high))).one()
    return StageSums(
        n=row[0],
        prompt_tokens=int(row[1] or 0),
        new_tokens=int(row[2] or 0),
        seconds={s: float(v) for s, v in zip(STAGES, row[3:], strict=True)},
    )


def slowest_in(connection: Connection, run_id: int, low: int, high: int, *, limit: int = 10) -> list[Slow]:
    """The requests with ids low..high that took longest to decode and generate."""
    cost = ResponseRow.decode_s + ResponseRow.generate_s
    names = ("request_id", "num_frames", "decode_s", "generate_s", "new_tokens")
    top = select(*(getattr(ResponseRow, n) for n in names)).where(in_span(run_id, low, high))
    found = connection.execute(top.order_by(cost.desc()).limit(limit)).all()
    asked = select(RequestRow.id, RequestRow.key, RequestRow.video).where(
        RequestRow.id.in_([r.request_id for r in found])
    )
    requests = {r.id: r for r in connection.execute(asked)}
    return [
        Slow(**{n: getattr(r, n) for n in names}, key=requests[r.request_id].key, video=requests[r.request_id].video)
        for r in found
    ]


def environments_in(connection: Connection, run_id: int, low: int, high: int) -> list[dict[str, Any]]:
    """The distinct hardware and versions that answered requests with ids low..high."""
    text = cast(AttemptRow.environment, Text)
    rows = connection.execute(
        select(text)
        .join(RequestRow, RequestRow.id == AttemptRow.request_id)
        .where(AttemptRow.request_id >= low, AttemptRow.request_id <= high)
        .where((RequestRow.run_id + 0) == run_id)
        .where(AttemptRow.outcome == AttemptOutcome.DONE)
        .distinct()
    ).scalars()
    return [json.loads(row) for row in rows]
