"""No more messages lie in a queue than its window holds, and nobody who waits for one waits in vain."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.questions import answer, identity, key_of, make_run, request_ids
from tests.servers import settings_for
from videval.db import claims, queue, runs
from videval.db.identity import database_id
from videval.db.schema import ensure_schema
from videval.db.session import Database, open_database
from videval.settings import Settings
from videval.types import RunState
from workers import broker, publish
from workers.bell import queue_length, queue_name
from workers.claiming import Clips
from workers.publish import publish_due, publish_run

WINDOW, LOW = 8, 3


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    made = settings_for(tmp_path)
    with broker.using(made):
        yield made


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = open_database(settings)
    ensure_schema(opened)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "WINDOW", WINDOW)
    monkeypatch.setattr(publish, "CHUNK", 3)


def waiting(settings: Settings, database: Database) -> int:
    return queue_length(settings, queue_name(database_id(database), key_of()))


def hear(settings: Settings, database: Database) -> int | None:
    """The request that the next message names, most urgent first; None if there is none."""
    name = queue_name(database_id(database), key_of())
    with broker.broker_client(settings) as client:
        for step in ("\x06\x160", "\x06\x163", "\x06\x166", "\x06\x169"):
            if (message := client.rpop(name + (step if step[-1] != "0" else ""))) is not None:
                return int(json.loads(message)["headers"]["argsrepr"].strip("(),"))
    return None


def refill(settings: Settings, database: Database) -> int:
    """What the reconcile loop does about messages."""
    return publish_due(settings, database, {key_of(): LOW})


def work(settings: Settings, database: Database, bell: int, *, most: int = 1, clips: Clips | None = None) -> list[int]:
    """What a worker does that hears a bell: it answers whose turn it is, with siblings; returns which."""
    has = (clips or Clips()).by_run()
    take = partial(claims.take, lease=60.0, load_key=key_of(), dtype="float32", after=0, most=most, clips=has)
    taken = database.write(take, bell, identity())
    if clips and taken:
        clips.note(has, taken, most)
    for claim in taken:
        answer(database, claim)
    return [claim.request_id for claim in taken]


def test_a_large_run_is_rung_for_as_far_as_the_window_goes(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    run_id = make_run(database, tmp_path / "data", 20)
    assert list(publish_run(settings, database, run_id)) == [3, 6, 8] and waiting(settings, database) == WINDOW
    assert list(publish_run(settings, database, run_id)) == [], "it is full"
    assert refill(settings, database) == 0


def test_a_small_run_is_rung_for_as_a_whole(settings: Settings, database: Database, tmp_path: Path) -> None:
    assert list(publish_run(settings, database, make_run(database, tmp_path / "data", 5))) == [3, 5]


@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.parametrize("heard", [1, 5, WINDOW])
def test_no_worker_starves_while_something_waits(
    settings: Settings, database: Database, tmp_path: Path, heard: int, most: int
) -> None:
    """However many messages are heard between two reconciliations, and however many requests one of them takes."""
    run_id = make_run(database, tmp_path / "data", 60)
    list(publish_run(settings, database, run_id))
    done: list[int] = []
    while len(done) < 60:
        assert 0 < waiting(settings, database) <= WINDOW, f"{len(done)} are answered"
        for _ in range(heard):
            if (bell := hear(settings, database)) is not None:
                done += work(settings, database, bell, most=most)
        refill(settings, database)
    assert sorted(done) == request_ids(database, run_id), "each once"


def test_requests_are_taken_in_the_order_of_the_run_whatever_is_rung_for(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    run_id = make_run(database, tmp_path / "data", 30)
    list(publish_run(settings, database, run_id))
    done, clips = list[int](), Clips()
    while (bell := hear(settings, database)) is not None:
        done += work(settings, database, bell, clips=clips)
        refill(settings, database)
    assert done == request_ids(database, run_id)


def test_an_urgent_run_behind_a_full_window_is_served_by_the_messages_that_are_there(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    list(publish_run(settings, database, make_run(database, tmp_path / "data", 20)))
    urgent = make_run(database, tmp_path / "data", 4, priority=2, max_pixels=64)
    assert list(publish_run(settings, database, urgent)) == []
    bells = [bell for _ in range(4) if (bell := hear(settings, database)) is not None]
    assert [request for bell in bells for request in work(settings, database, bell)] == request_ids(database, urgent)


def test_what_is_paused_in_a_full_window_keeps_nobody_waiting(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    paused = make_run(database, tmp_path / "data", 20)
    list(publish_run(settings, database, paused))
    database.write(runs.set_state, paused, RunState.PAUSED)
    other = make_run(database, tmp_path / "data", 12, max_pixels=64)
    done, clips = list[int](), Clips()
    while len(done) < 12:
        bell = hear(settings, database)
        assert bell is not None
        done += work(settings, database, bell, clips=clips)
        refill(settings, database)
    assert done == request_ids(database, other)


def test_an_emptied_redis_is_filled_to_the_window_at_once(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    list(publish_run(settings, database, make_run(database, tmp_path / "data", 20)))
    with broker.broker_client(settings) as client:
        client.flushall()
    assert refill(settings, database) == WINDOW == waiting(settings, database)


def test_of_what_nobody_rang_for_the_most_urgent_runs_come_first(database: Database, tmp_path: Path) -> None:
    normal = make_run(database, tmp_path / "data", 3)
    urgent = make_run(database, tmp_path / "data", 2, priority=1, max_pixels=64)
    wanted = request_ids(database, urgent) + request_ids(database, normal)
    with database.read() as connection:
        for limit in (1, 2, 4, 9):
            found = queue.never_rung(connection, key_of(), limit=limit)
            assert [ring.request_id for ring in found] == wanted[:limit]
    database.write(queue.mark_published, wanted[:3])
    with database.read() as connection:
        assert [r.request_id for r in queue.never_rung(connection, key_of(), limit=9)] == wanted[3:]
