"""An upgrade regenerates nothing: a run that 0.1.0 made is the run that the same order finds after the upgrade.

The rows are written here as 0.1.0 wrote them, in its schema and with its keys; nothing of today's code makes them.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.questions import order, samples
from videval.db import runs as rows
from videval.db import schema
from videval.db.session import Connection, Database, open_database
from videval.order import Order
from videval.runs import enqueue
from videval.settings import Settings
from videval.types import ClipRef, Sample, Sound

AWKWARD: dict[int, dict[str, Any]] = {
    0: {"note": "a\x00b \ud800 漢字", "n": 3.0},
    1: {"note": None, "n": 3, "flag": True},
}


@pytest.fixture
def empty(database_settings: Settings) -> Iterator[Database]:
    opened = open_database(database_settings)
    yield opened
    opened.close()


def digest_of_0_1(*parts: object) -> str:
    """What 0.1.0 hashed."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def sample_of_0_1(sample: Sample) -> dict[str, Any]:
    """`asdict` of a Sample as it was in 0.1.0, its columns as pairs."""
    names = ("id", "video", "question", "answer", "candidates", "start", "end")
    return {name: getattr(sample, name) for name in names} | {"row": list(sample.row.items())}


GENERATION = {"max_new_tokens": 512, "temperature": 0.0, "top_p": 1.0, "seed": 0}
SPEC: dict[str, Any] = {
    "name": "fake", "adapter": "fake", "checkpoint": "fake", "revision": "main", "dtype": "auto", "form": "video",
    "frame_counts": [], "max_frames": None, "policy": None, "needs_device": True, "generation": GENERATION,
    "note": "no model",
}  # fmt: skip
SAMPLING = {"policy": "interior", "num_frames": 4, "fps": None, "max_frames": None}
LOAD_KEY = "fake:fake@main:auto:x1"


def insert(connection: Connection, table: str, row: dict[str, Any]) -> None:
    columns = ", ".join(f'"{name}"' for name in row)
    connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({', '.join(f':{name}' for name in row)})"), row)


def escaped(value: str | None) -> str | None:
    """Text that no database takes, as ExactText writes it."""
    unsafe = value is not None and ("\x00" in value or any("\ud800" <= c <= "\udfff" for c in value))
    return "\ufdd0" + json.dumps(value) if unsafe else value


def write_snapshot(connection: Connection, snapshot_id: int, asked: Sequence[Sample], digest: str = "") -> str:
    said = digest or digest_of_0_1("table", [sample_of_0_1(s) for s in asked])
    row = {"id": snapshot_id, "digest": said, "benchmark": "table", "columns": "[]", "num_samples": len(asked)}
    insert(connection, "snapshots", row | {"created_at": 1.0})
    for position, s in enumerate(asked):
        numbers = {"id": snapshot_id * 1000 + position, "snapshot_id": snapshot_id, "position": position}
        texts = {"key": s.id, "video": escaped(s.video), "question": escaped(s.question), "answer": s.answer}
        span = {"start": s.start, "end": s.end}
        json_ = {"candidates": json.dumps(s.candidates), "row": json.dumps(dict(s.row))}
        insert(connection, "samples", numbers | texts | span | json_)
    return said


def write_run(
    connection: Connection, run_id: int, content: str, asked: Sequence[Sample], *, snapshot_id: int = 1, **other: Any
) -> None:
    """A run whose requests are all answered but the last."""
    key = digest_of_0_1(content, "questions_4frame", SAMPLING, LOAD_KEY, GENERATION, "video", other.get("max_pixels"))
    facts = {"benchmark": "table", "variant": "questions_4frame", "model": "fake", "load_key": LOAD_KEY}
    json_ = {"spec": SPEC, "sampling": SAMPLING, "generation": GENERATION, "missing": [], "card": {}}
    numbers = {"id": run_id, "copy": 0, "snapshot_id": snapshot_id, "max_attempts": 3, "priority": 0, "created_at": 1.0}
    texts = {"name": f"run-{run_id}", "key": key, "scorer": "rule", "data_root": "/data", "state": "active"}
    row = facts | numbers | texts | {name: json.dumps(value) for name, value in json_.items()}
    insert(connection, "runs", row | {"form": "video", "pack": False, "subtitles": False, "max_pixels": None} | other)
    for position, s in enumerate(asked):
        write_request(connection, run_id, snapshot_id, position, s, "queued" if s is asked[-1] else "done")


def write_request(connection: Connection, run_id: int, snapshot_id: int, position: int, s: Sample, status: str) -> None:
    zeros = dict.fromkeys(("attempt", "strikes", "retries", "available_at", "published"), 0)
    request_id = run_id * 1000 + position
    where = {"id": request_id, "run_id": run_id, "position": position, "video": escaped(s.video), "status": status}
    insert(connection, "requests", where | zeros | {"key": f"sample:{s.id}", "alone": False, "created_at": 1.0})
    link = {"request_id": request_id, "position": 0, "sample_id": snapshot_id * 1000 + position}
    insert(connection, "request_samples", link)


def questions(count: int = 6) -> list[Sample]:
    """Questions as a table gives them, with cells that a database could lose something of."""
    return samples(count, AWKWARD)


def ask(folder: Path, asked: Sequence[Sample], **values: Any) -> Order:
    return order(folder / "data", asked, **({"in_order": False} | values))


def as_read_by_0_1(asked: Sequence[Sample]) -> list[Sample]:
    """0.1.0 made numbers of a table's cells."""
    return [replace(s, row=dict(s.row) | {"index": int(s.id)}) for s in asked]


@pytest.mark.parametrize("revision", ["0001", "0002", "0003"])
def test_the_same_order_finds_the_run_of_0_1_0_and_asks_nothing_again(
    empty: Database, tmp_path: Path, revision: str
) -> None:
    asked = questions()
    schema.upgrade(empty, revision)
    content = empty.write(write_snapshot, 1, as_read_by_0_1(asked))
    empty.write(write_run, 7, content, asked)
    schema.upgrade(empty)
    done = enqueue(empty, ask(tmp_path, asked))
    assert (done.run.name, done.created, done.added) == ("run-7", False, 0)
    with empty.read() as connection:
        found = rows.counts(connection, 7)
    assert (found.done, found.queued, found.total) == (5, 1, 6)


def test_a_run_of_another_order_is_not_taken_for_it(empty: Database, tmp_path: Path) -> None:
    asked = questions()
    schema.upgrade(empty, "0002")
    content = empty.write(write_snapshot, 1, asked)
    empty.write(write_run, 7, content, asked)
    schema.upgrade(empty)
    for other in ({"max_pixels": 64}, {"model": "fake:b"}, {"max_attempts": 5}):
        assert enqueue(empty, ask(tmp_path, asked, **other)).created == ("max_attempts" not in other)
    changed = [replace(asked[0], question="Other?"), *asked[1:]]
    assert enqueue(empty, ask(tmp_path, changed)).created


def test_a_trial_of_0_1_0_goes_on_with_the_requests_that_it_has_and_grows_from_them(
    empty: Database, tmp_path: Path
) -> None:
    """0.1.0 asked in the benchmark's order; today videos are shuffled, by a digest that is another too."""
    asked = questions(40)
    schema.upgrade(empty, "0002")
    content = empty.write(write_snapshot, 1, asked)
    empty.write(write_run, 7, content, asked[:10])
    schema.upgrade(empty)
    assert enqueue(empty, ask(tmp_path, asked, limit=10)).added == 0
    assert enqueue(empty, ask(tmp_path, asked, limit=15)).added == 5
    assert enqueue(empty, ask(tmp_path, asked)).added == 25


def test_two_runs_that_are_one_by_now_are_both_kept_and_the_later_one_goes_on(empty: Database, tmp_path: Path) -> None:
    """As where one snapshot came from code that gave seconds as whole numbers: a database does not tell 3 from 3.0."""
    asked = questions()
    schema.upgrade(empty, "0002")
    for number in (1, 2):
        content = empty.write(write_snapshot, number, asked, f"digest {number}")
        empty.write(partial(write_run, snapshot_id=number), number, content, asked)
    schema.upgrade(empty)
    done = enqueue(empty, ask(tmp_path, asked))
    assert (done.run.name, done.created, done.added) == ("run-2", False, 0)
    with empty.read() as connection:
        assert [(r.name, r.snapshot_id) for r in rows.list_runs(connection)] == [("run-2", 2), ("run-1", 1)]
        copies = connection.execute(text("SELECT key, copy FROM runs ORDER BY id")).all()
    assert len({key for key, _ in copies}) == 1 and [copy for _, copy in copies] == [0, 1]
    more = enqueue(empty, ask(tmp_path, asked), new=True)
    assert more.created and more.added == 6, "of the questions of the first snapshot"


def test_a_snapshot_that_was_never_stored_whole_is_stored_by_the_same_order(empty: Database, tmp_path: Path) -> None:
    asked = questions()
    schema.upgrade(empty, "0002")
    empty.write(write_snapshot, 1, asked[:4], "cut off")
    empty.write(lambda c: c.execute(text("UPDATE snapshots SET num_samples = 6")))
    schema.upgrade(empty)
    done = enqueue(empty, ask(tmp_path, asked))
    assert done.created and done.added == 6
    assert enqueue(empty, ask(tmp_path, asked)).created is False


def test_a_run_of_today_is_found_again_after_its_schema_went_back_and_forth(database: Database, tmp_path: Path) -> None:
    asked = [replace(s, start=0, end=2) for s in questions()]
    first = enqueue(database, ask(tmp_path, asked, max_pixels=64))
    schema.downgrade(database, "0003")
    schema.upgrade(database)
    again = enqueue(database, ask(tmp_path, asked, max_pixels=64))
    assert (again.created, again.run.run_id, again.added) == (False, first.run.run_id, 0)


def test_a_run_about_several_clips_is_found_again_after_its_keys_were_made_anew(
    database: Database, tmp_path: Path
) -> None:
    clips = (ClipRef(video="v0.mp4", start=1.0, end=2.5), ClipRef(video="v1.mp4"))
    asked = [Sample(id="0", question="Which?", clips=clips, sounds=(Sound(clip=1),)), *questions(2)[1:]]
    first = enqueue(database, ask(tmp_path, asked, allow_missing=True))
    schema.downgrade(database, "0006")
    schema.upgrade(database)
    again = enqueue(database, ask(tmp_path, asked, allow_missing=True))
    assert (again.run.run_id, again.created, again.added) == (first.run.run_id, False, 0)
