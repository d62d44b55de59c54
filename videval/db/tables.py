"""The tables (design: one snapshot of a benchmark, many runs on it, one row for each answer).

Times are seconds since the epoch on the database's own clock (see `db_now`), never a worker's."""

from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint, false, text, true
from sqlalchemy.orm import Mapped, mapped_column

from videval.db.base import Base, ExactText

__all__ = [
    "AttemptRow",
    "Base",
    "ChoreRow",
    "EndpointRow",
    "ExactText",
    "PredictionRow",
    "RequestRow",
    "RequestSampleRow",
    "ResponseRow",
    "RunRow",
    "SampleRow",
    "SampleScoreRow",
    "ScoreSumRow",
    "SnapshotRow",
    "SumChangeRow",
    "SumRow",
    "WorkerRow",
]

IF_QUEUED: dict[str, Any] = {f"{dialect}_where": text("status = 'queued'") for dialect in ("sqlite", "postgresql")}
IF_PENDING: dict[str, Any] = {"sqlite_where": text("pending = 1"), "postgresql_where": text("pending")}
"""Of which rows an index is."""


class SnapshotRow(Base):
    """A benchmark's content at one time, by hash; stored once however many models run on it."""

    __tablename__ = "snapshots"
    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(unique=True)
    benchmark: Mapped[str]
    columns: Mapped[list[Any]]
    num_samples: Mapped[int]
    created_at: Mapped[float]


class SampleRow(Base):
    """One question of a snapshot; `key` is the benchmark's own index as text, `beside` what is shown and heard beside
    one video: several clips (`video` is then the first one's), images, sounds."""

    __tablename__ = "samples"
    __table_args__ = (
        UniqueConstraint("snapshot_id", "key"),
        Index("ix_samples_snapshot_id_video", "snapshot_id", "video"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    snapshot_id: Mapped[int] = mapped_column(ForeignKey("snapshots.id"))
    position: Mapped[int]
    key: Mapped[str]
    video: Mapped[str]
    question: Mapped[str]
    answer: Mapped[str | None]
    candidates: Mapped[list[Any]]
    start: Mapped[float | None]
    end: Mapped[float | None]
    beside: Mapped[dict[str, Any]]
    row: Mapped[dict[str, Any]]


class RunRow(Base):
    """One variant x one model x one generation setting; (`key`, `copy`) is what resuming looks for.

    `max_cost`, `max_tokens`: what its answers may cost, and take, in all; `halted`: why it was paused, if nobody asked
    for that.
    """

    __tablename__ = "runs"
    __table_args__ = (UniqueConstraint("key", "copy"), Index("ix_runs_load_key_state", "load_key", "state"))
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    key: Mapped[str]
    copy: Mapped[int]
    snapshot_id: Mapped[int] = mapped_column(ForeignKey("snapshots.id"))
    benchmark: Mapped[str]
    variant: Mapped[str]
    model: Mapped[str]
    load_key: Mapped[str]
    dtype: Mapped[str | None]
    spec: Mapped[dict[str, Any]]
    sampling: Mapped[dict[str, Any]]
    generation: Mapped[dict[str, Any]]
    pack: Mapped[bool]
    subtitles: Mapped[bool]
    form: Mapped[str]
    data_root: Mapped[str]
    max_pixels: Mapped[int | None]
    prompts: Mapped[str]
    protocol: Mapped[int]
    recipe: Mapped[dict[str, Any] | None]
    max_cost: Mapped[float | None]
    max_tokens: Mapped[int | None] = mapped_column(BigInteger)
    halted: Mapped[str | None]
    max_attempts: Mapped[int]
    state: Mapped[str]
    priority: Mapped[int]
    limit: Mapped[int | None]
    missing: Mapped[list[Any]]
    card: Mapped[dict[str, Any]]
    race_tail: Mapped[bool] = mapped_column(server_default=false())
    created_at: Mapped[float]


class RequestRow(Base):
    """One generation asked of the model: one sample, or in pack mode all samples of one video.

    `begun`: a worker has claimed others about the same video and had no room for this one.
    """

    __tablename__ = "requests"
    __table_args__ = (
        UniqueConstraint("run_id", "key"),
        Index("ix_requests_run_id_status_published_at", "run_id", "status", "published_at"),
        Index("ix_requests_status_lease_expires_at", "status", "lease_expires_at"),
        Index("ix_requests_worker_id", "worker_id"),
        Index("ix_requests_waiting_by_video", "run_id", "video", "id", **IF_QUEUED),
        Index("ix_requests_next", "run_id", "begun", "published_at", **IF_QUEUED),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"))
    key: Mapped[str]
    position: Mapped[int]
    video: Mapped[str]
    status: Mapped[str]
    attempt: Mapped[int]
    strikes: Mapped[int]
    retries: Mapped[int]
    alone: Mapped[bool]
    begun: Mapped[bool] = mapped_column(server_default=false())
    available_at: Mapped[float]
    published_at: Mapped[float | None]
    published: Mapped[int]
    lease_expires_at: Mapped[float | None]
    worker_id: Mapped[str | None]
    error_kind: Mapped[str | None]
    error: Mapped[str | None]
    created_at: Mapped[float]
    finished_at: Mapped[float | None]


class RequestSampleRow(Base):
    """Which samples a request asks about, in order."""

    __tablename__ = "request_samples"
    __table_args__ = (Index("ix_request_samples_sample_id", "sample_id"),)
    request_id: Mapped[int] = mapped_column(ForeignKey("requests.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    sample_id: Mapped[int] = mapped_column(ForeignKey("samples.id"))


class AttemptRow(Base):
    """One try at one request by one worker: what it was doing, how it ended, on what hardware and versions."""

    __tablename__ = "attempts"
    __table_args__ = (UniqueConstraint("request_id", "attempt"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    request_id: Mapped[int] = mapped_column(ForeignKey("requests.id"))
    attempt: Mapped[int]
    worker_id: Mapped[str]
    worker: Mapped[str]
    stage: Mapped[str]
    outcome: Mapped[str]
    struck: Mapped[bool]
    started_at: Mapped[float]
    finished_at: Mapped[float | None]
    error_kind: Mapped[str | None]
    error: Mapped[str | None]
    traceback: Mapped[str | None]
    environment: Mapped[dict[str, Any]]


class ResponseRow(Base):
    """What the model said to a request, raw, with the clips it saw; timings are seconds per stage.

    `seen`: what its processor made of each clip; `rendered`: the prompt as the model got it; `cached_tokens`,
    `reasoning_tokens`, `cost`, `refused`: as of a Generation; `decoded`: how many of its clips were decoded for it and
    not found in the frame cache.
    """

    __tablename__ = "responses"
    __table_args__ = (Index("ix_responses_run_id_created_at", "run_id", "created_at"),)
    request_id: Mapped[int] = mapped_column(ForeignKey("requests.id"), primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"))
    attempt: Mapped[int]
    text: Mapped[str]
    thinking: Mapped[str | None]
    truncated: Mapped[bool]
    prompt: Mapped[list[Any]]
    clips: Mapped[list[Any]]
    seen: Mapped[list[Any]] = mapped_column(server_default="[]")
    rendered: Mapped[str] = mapped_column(server_default="")
    num_frames: Mapped[int]
    queue_s: Mapped[float]
    decode_s: Mapped[float]
    prepare_s: Mapped[float]
    wait_s: Mapped[float]
    generate_s: Mapped[float]
    store_s: Mapped[float]
    prompt_tokens: Mapped[int | None]
    new_tokens: Mapped[int | None]
    cached_tokens: Mapped[int | None]
    reasoning_tokens: Mapped[int | None]
    cost: Mapped[float | None]
    refused: Mapped[str] = mapped_column(server_default="")
    decoded: Mapped[int | None]
    created_at: Mapped[float]


class PredictionRow(Base):
    """The answer of one sample in one run; `how` says how it was read from the response."""

    __tablename__ = "predictions"
    __table_args__ = (Index("ix_predictions_request_id", "request_id"),)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    sample_id: Mapped[int] = mapped_column(ForeignKey("samples.id"), primary_key=True)
    request_id: Mapped[int] = mapped_column(ForeignKey("requests.id"))
    state: Mapped[str]
    text: Mapped[str | None]
    how: Mapped[str]
    created_at: Mapped[float]


class SampleScoreRow(Base):
    """What a judge says of one prediction: the benchmark's own rule ("rule"), or one with a name of its own.

    `scorer` is who said it, with its version. `pending`: not in the run's `score_sums` as it stands; `counted_*` is
    what of it is counted there.
    """

    __tablename__ = "sample_scores"
    __table_args__ = (Index("ix_sample_scores_pending", "run_id", "sample_id", **IF_PENDING),)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    sample_id: Mapped[int] = mapped_column(ForeignKey("samples.id"), primary_key=True)
    judge: Mapped[str] = mapped_column(primary_key=True)
    scorer: Mapped[str] = mapped_column(server_default="rule@1")
    verdict: Mapped[str]
    value: Mapped[float | None]
    read: Mapped[str | None]
    created_at: Mapped[float]
    pending: Mapped[bool] = mapped_column(server_default=true())
    counted_scorer: Mapped[str | None]
    counted_verdict: Mapped[str | None]
    counted_value: Mapped[float | None]


class ScoreSumRow(Base):
    """What the scores of a run add up to: tallies as JSON, by column and by who counts them (`counter`).

    `scorable` and `videos` are of the whole snapshot; `folds` counts how often something was added.
    """

    __tablename__ = "score_sums"
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    judge: Mapped[str] = mapped_column(primary_key=True)
    counter: Mapped[str]
    folds: Mapped[int]
    scorable: Mapped[int]
    videos: Mapped[int]
    scorers: Mapped[dict[str, Any]]
    tallies: Mapped[list[Any]]


class WorkerRow(Base):
    """One life of one worker process; `lock_domain` says among which workers its device lock means something."""

    __tablename__ = "workers"
    __table_args__ = (Index("ix_workers_state", "state"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    host: Mapped[str]
    lock_domain: Mapped[str]
    pid: Mapped[int]
    device: Mapped[str]
    device_name: Mapped[str]
    state: Mapped[str]
    model: Mapped[str | None]
    load_key: Mapped[str | None]
    serving_since: Mapped[float | None]
    loads: Mapped[int]
    activity: Mapped[dict[str, Any]]
    started_at: Mapped[float]
    heartbeat_at: Mapped[float]
    rss_mb: Mapped[float]
    busy_s: Mapped[float]
    done: Mapped[int]
    failed: Mapped[int]
    refused: Mapped[int]
    message: Mapped[str | None]
    refuses: Mapped[list[str]]


class EndpointRow(Base):
    """How an endpoint is, as the workers that ask it see it: what state it is in, what keeps it from answering, and
    figures of its budget (requests and tokens of this minute, in flight, spent)."""

    __tablename__ = "endpoints"
    name: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    message: Mapped[str | None]
    figures: Mapped[dict[str, Any]]
    updated_at: Mapped[float]


class ChoreRow(Base):
    """When a chore was last done by any worker, so that it is done by one at a time."""

    __tablename__ = "chores"
    name: Mapped[str] = mapped_column(primary_key=True)
    done_at: Mapped[float]


class SumRow(Base):
    """What something in a run adds up to: how many of its requests are done, say."""

    __tablename__ = "sums"
    run_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(primary_key=True)
    amount: Mapped[float]


class SumChangeRow(Base):
    """What is to be added to a sum, until somebody folds it in: no foreign key is looked up, and nobody waits."""

    __tablename__ = "sum_changes"
    __table_args__ = (Index("ix_sum_changes_run_id", "run_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int]
    name: Mapped[str]
    amount: Mapped[float]
