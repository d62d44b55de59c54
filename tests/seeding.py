"""Databases as a dashboard meets them, written with SQL in one go: empty, half finished, failed, packed, very large."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sqlalchemy import insert, select

from videval.db.runs import NewRun, create_run, recount
from videval.db.schema import ensure_schema
from videval.db.session import Database, db_now, open_database
from videval.db.snapshots import add_snapshot
from videval.db.tables import EndpointRow
from videval.settings import Settings
from videval.types import FrameSampling, GenerationSettings, ModelSpec

__all__ = ["LAB_ENTRY", "Seed", "add_endpoint", "add_worker", "new_database", "seed_run", "settings_for"]

LAB_ENTRY = """
[endpoints.lab]
base_url = "http://127.0.0.1:9/v1"
model = "Qwen/Qwen3-VL-8B-Instruct"
"""
"""An endpoint where nobody is, as endpoints.toml has it."""
_LIMITS = {"requests_minute": 600, "in_flight": 64}
_FIGURES = {"requests_minute": 120, "tokens_minute": 12000, "in_flight": 12, "spent": 3.21, "currency": "USD"}
_FIGURES |= {"done": 1200, "throttled": 3, "failed": 0}
TASKS = ("Action Sequence", "Moving Direction", "State Change", "Object Existence")
COLUMNS = ("index", "video", "question", "answer", "A", "B", "task_type")
SPEC = ModelSpec(name="fake", adapter="fake", checkpoint="fake")


@dataclass(frozen=True, kw_only=True)
class Seed:
    """What a run looks like: of `questions`, the first `done` are answered, the next `failed` failed, the next
    `running` are being answered. `right`: percent of the answered ones. `seconds`: how long the answers took."""

    questions: int = 100
    done: int = 60
    failed: int = 0
    running: int = 0
    right: int = 70
    per_video: int = 4
    variant: str = "table_8frame"
    model: str = "fake"
    pack: bool = False
    state: str = "active"
    data_root: str = "/nowhere"
    seconds: float = 600.0
    card: Mapping[str, Any] = field(default_factory=dict)


def settings_for(home: Path, **more: Any) -> Settings:
    """Settings of a scratch home."""
    return Settings(home=home, lock_dir=home / "locks", **more)


def new_database(home: Path) -> Database:
    """An empty database with its schema in a scratch home."""
    database = open_database(settings_for(home))
    ensure_schema(database)
    return database


def seed_run(database: Database, seed: Seed, *, snapshot: int | None = None) -> int:
    """Write a run; returns its id. `snapshot` puts it on the questions of an earlier one."""
    made = database.write(lambda c: snapshot or _snapshot(c, seed))
    run_id = database.write(lambda c: _run(c, seed, made))
    database.write(lambda c: _fill(c, seed, made, run_id))
    return run_id


def snapshot_of(database: Database, run_id: int) -> int:
    """The snapshot of a run."""
    with database.read() as connection:
        row = connection.exec_driver_sql(f"SELECT snapshot_id FROM runs WHERE id = {run_id}").one()
        return int(row[0])


def _numbers(count: int) -> str:
    """A table `n` of 0..count-1."""
    return f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count})"


def _snapshot(connection: Any, seed: Seed) -> int:
    known = connection.exec_driver_sql("SELECT count(*) FROM snapshots").scalar_one()
    made = add_snapshot(
        connection, digest=f"seed-{known}", benchmark="table", columns=COLUMNS, num_samples=seed.questions
    )
    tasks = " ".join(f"WHEN {i} THEN '{task}'" for i, task in enumerate(TASKS))
    task = f"CASE i % {len(TASKS)} {tasks} END"
    connection.exec_driver_sql(
        f"""INSERT INTO samples (snapshot_id, position, key, video, question, answer, candidates, start, "end", row)
        {_numbers(seed.questions)}
        SELECT {made}, i, 'q' || i, 'clip' || (i / {seed.per_video}) || '.mp4', 'What moves in question ' || i || '?',
               CASE i % 2 WHEN 0 THEN 'A' ELSE 'B' END, '["a ball", "a box"]', NULL, NULL,
               json_object('index', 'q' || i, 'video', 'clip' || (i / {seed.per_video}) || '.mp4',
                           'question', 'What moves in question ' || i || '?', 'A', 'a ball', 'B', 'a box',
                           'task_type', {task})
        FROM n"""
    )
    return made


def _run(connection: Any, seed: Seed, snapshot: int) -> int:
    count = connection.exec_driver_sql("SELECT count(*) FROM runs").scalar_one()
    sampling = FrameSampling(policy="interior", num_frames=8)
    card = {
        "benchmark": {"name": "table", "variant": seed.variant, "questions": seed.questions},
        "model": {"name": seed.model, "dtype": "auto"},
        "frames": {"policy": "interior", "num_frames": 8},
        **seed.card,
    }
    run_id = create_run(
        connection,
        NewRun(
            name=f"{seed.variant.lower()}--{seed.model.lower()}--{count + 1}",
            key=f"seed-{count}",
            copy=0,
            snapshot_id=snapshot,
            benchmark="table",
            variant=seed.variant,
            spec=ModelSpec(name=seed.model, adapter="fake", checkpoint="fake"),
            load_key=f"fake|{seed.model}",
            sampling=sampling,
            generation=GenerationSettings(),
            pack=seed.pack,
            subtitles=False,
            form="video",
            data_root=seed.data_root,
            max_pixels=None,
            max_attempts=3,
            priority=0,
            limit=None,
            missing=(),
            card=card,
        ),
    )
    connection.exec_driver_sql(f"UPDATE runs SET state = '{seed.state}' WHERE id = {run_id}")
    return run_id


NOW = "((julianday('now') - 2440587.5) * 86400.0)"


def _fill(connection: Any, seed: Seed, snapshot: int, run_id: int) -> None:
    first = connection.exec_driver_sql(f"SELECT min(id) FROM samples WHERE snapshot_id = {snapshot}").scalar_one()
    base = (connection.exec_driver_sql("SELECT max(id) FROM requests").scalar() or 0) + 1
    size = seed.per_video if seed.pack else 1
    count = -(-seed.questions // size)
    done, failed, running = (-(-n // size) for n in (seed.done, seed.failed, seed.running))
    status = (
        f"CASE WHEN i < {done} THEN 'done' WHEN i < {done + failed} THEN 'failed' "
        f"WHEN i < {done + failed + running} THEN 'running' ELSE 'queued' END"
    )
    bad = f"i >= {done} AND i < {done + failed}"
    at = f"{NOW} - {seed.seconds} + i * {seed.seconds / max(done + failed, 1)}"
    key = "'pack:clip' || i || '.mp4'" if seed.pack else "'sample:q' || i"
    video = "'clip' || i || '.mp4'" if seed.pack else f"'clip' || (i / {seed.per_video}) || '.mp4'"
    run = connection.exec_driver_sql
    run(
        f"""INSERT INTO requests (id, run_id, key, position, video, status, attempt, strikes, retries, alone,
            available_at, published_at, published, lease_expires_at, worker_id, error_kind, error, created_at,
            finished_at)
        {_numbers(count)}
        SELECT {base} + i, {run_id}, {key}, i, {video}, {status}, CASE WHEN i < {done + failed} THEN 1 ELSE 0 END,
            0, 0, 0, 0.0, NULL, 0, NULL, NULL, CASE WHEN {bad} THEN 'video' END,
            CASE WHEN {bad} THEN 'clip' || (i % 3) || '.mp4: cannot be decoded' END, {NOW} - {seed.seconds},
            CASE WHEN i < {done + failed} THEN {at} END
        FROM n"""
    )
    run(
        f"""INSERT INTO request_samples (request_id, position, sample_id)
        {_numbers(seed.questions)} SELECT {base} + i / {size}, i % {size}, {first} + i FROM n"""
    )
    _attempts(connection, base, done, failed, at)
    _answers(connection, seed, run_id, base, first, at, size, done)
    recount(connection, run_id)


def _attempts(connection: Any, base: int, done: int, failed: int, at: str) -> None:
    environment = json.dumps({"gpu": "NVIDIA H100", "torch": "2.14.1"})
    connection.exec_driver_sql(
        f"""INSERT INTO attempts (request_id, attempt, worker_id, worker, stage, outcome, struck, started_at,
            finished_at, error_kind, error, traceback, environment)
        {_numbers(max(done + failed, 1))}
        SELECT {base} + i, 1, 'w1', 'gpu0@host', 'store', CASE WHEN i < {done} THEN 'done' ELSE 'failed' END, 0,
            {at} - 1, {at}, CASE WHEN i >= {done} THEN 'video' END, CASE WHEN i >= {done} THEN 'cannot be decoded' END,
            CASE WHEN i >= {done} THEN 'Traceback (most recent call last): <b>boom</b>' END, '{environment}'
        FROM n WHERE i < {done + failed}"""
    )


def _answers(connection: Any, seed: Seed, run_id: int, base: int, first: int, at: str, size: int, done: int) -> None:
    run = connection.exec_driver_sql
    letter = f"CASE WHEN i * 7919 % 100 < {seed.right} THEN CASE i % 2 WHEN 0 THEN 'A' ELSE 'B' END " + (
        "WHEN i % 17 = 0 THEN 'I cannot tell' ELSE CASE i % 2 WHEN 0 THEN 'B' ELSE 'A' END END"
    )
    verdict = f"CASE WHEN i * 7919 % 100 < {seed.right} THEN 'right' WHEN i % 17 = 0 THEN 'unparsed' ELSE 'wrong' END"
    prompt = json.dumps([{"type": "video"}, {"type": "text", "role": "user", "text": "What moves? <i>A</i> or B"}])
    clip = json.dumps(
        {
            "frame_numbers": [1, 5, 9],
            "timestamps": [0.1, 0.5, 0.9],
            "total_frames": 10,
            "fps": 10.0,
            "width": 64,
            "height": 48,
            "decoder": "decord 0.6.0",
            "policy": "interior",
            "notes": [],
        }
    )
    answered = min(seed.done, seed.questions)
    if not answered:
        return
    run(
        f"""INSERT INTO responses (request_id, run_id, attempt, text, truncated, prompt, clips, num_frames, queue_s,
            decode_s, prepare_s, wait_s, generate_s, store_s, prompt_tokens, new_tokens, created_at)
        {_numbers(done)}
        SELECT {base} + i, {run_id}, 1, {letter}, 0, '{prompt}', '[{clip}]', 8, 1.5, 0.2 + (i % 7) * 0.01, 0.02, 0.1,
            0.4 + (i % 11) * 0.02, 0.003, 40, 3, {at} FROM n"""
    )
    run(
        f"""INSERT INTO predictions (run_id, sample_id, request_id, state, text, how, created_at)
        {_numbers(answered)} SELECT {run_id}, {first} + i, {base} + i / {size}, 'answered', {letter},
        '{"pack" if seed.pack else "response"}', {at} FROM n"""
    )
    run(
        f"""INSERT INTO sample_scores (run_id, sample_id, judge, verdict, value, read, created_at)
        {_numbers(answered)} SELECT {run_id}, {first} + i, 'rule', {verdict},
        CASE {verdict} WHEN 'right' THEN 1.0 WHEN 'wrong' THEN 0.0 END, {letter}, {at} FROM n"""
    )


def add_worker(database: Database, name: str, *, state: str = "busy", silent_s: float = 2.0, **values: Any) -> None:
    """Write a worker that is in the middle of its work."""
    activity = json.dumps({"1": {"stage": "generate", "seconds": 0.7, "request": 1}})
    row = {"model": "fake", "load_key": "fake|fake", "device": name.partition("@")[0], "message": None} | values
    database.write(
        lambda c: c.exec_driver_sql(
            f"""INSERT INTO workers (id, name, host, lock_domain, pid, device, device_name, state, model, load_key,
                loads, activity, started_at, heartbeat_at, rss_mb, busy_s, done, failed, refused, message)
            VALUES (?, ?, 'host', 'host', 42, ?, 'NVIDIA H100 80GB', ?, ?, ?, 1, ?, {NOW} - 1000, {NOW} - ?, 5120, 910,
                120, 2, 0, ?)""",
            (name, name, row["device"], state, row["model"], row["load_key"], activity, silent_s, row["message"]),
        )
    )


def add_endpoint(
    database: Database,
    *,
    state: str = "open",
    message: str | None = None,
    ago: float = 0.0,
    figures: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Write the endpoint `lab`, as its workers wrote it down so many seconds ago."""
    row: dict[str, Any] = {"name": "lab", "state": state, "message": message}
    row["figures"] = _FIGURES | {"limits": _LIMITS} | dict(figures)
    then = select(db_now()).scalar_subquery() - ago
    database.write(lambda c: c.execute(insert(EndpointRow).values(updated_at=then, **row)))
