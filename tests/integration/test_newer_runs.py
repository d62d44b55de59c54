"""A run that a newer videval made, with what this one does not know: left alone with a clear word, by every part."""

import json
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.cli import caller
from tests.one_worker import FakeConsumer
from tests.questions import answer, identity, key_of, make_run, request_ids, row_of
from tests.servers import settings_for
from videval.db import queue, requests, runs, schema, stats, workers
from videval.db.records import Claim
from videval.db.session import Connection, Database, open_database
from videval.errors import NewerRun
from workers.device import can_serve
from workers.dispatch import Dispatch
from workers.worker import Worker

RUN = "questions-4frame--fake--1"
LATER: list[tuple[str, str, object]] = [
    ("generation", "num_beams", 5),
    ("sampling", "anchor", "scene"),
    ("sampling", "times", "both"),
    ("sampling", "policy", "scenes"),
    ("spec", "devices", 4),
    ("spec", "form", "sound"),
]
"""Column, field, value: what a later videval may write."""


def make_newer(
    database: Database, run_id: int, column: str = "generation", name: str = "num_beams", value: object = 5
) -> None:
    """Write into a run what this videval does not know."""

    def change(connection: Connection) -> None:
        stored = connection.execute(text(f"SELECT {column} FROM runs WHERE id = {run_id}")).scalar_one()
        known = json.loads(stored) if isinstance(stored, str) else stored
        said = json.dumps(known | {name: value})
        connection.execute(text(f"UPDATE runs SET {column} = :said WHERE id = {run_id}"), {"said": said})

    database.write(change)


@pytest.fixture
def two(database: Database, tmp_path: Path) -> tuple[int, int]:
    """A newer run of four requests and a run of three, of one model; the newer one's turn comes first."""
    newer, known = (make_run(database, tmp_path / "data", n, max_pixels=n, priority=n) for n in (4, 3))
    make_newer(database, newer)
    return newer, known


def hear(database: Database, bell: int) -> Claim | None:
    """What a worker takes that hears this bell."""
    taking = partial(requests.take, lease=60.0, load_key=key_of(), dtype="float32", after=0, most=1)
    return next(iter(database.write(taking, bell, identity())), None)


@pytest.mark.parametrize(("column", "name", "value"), LATER)
def test_what_this_videval_does_not_know_is_named_with_the_run_and_the_remedy(
    database: Database, tmp_path: Path, column: str, name: str, value: object
) -> None:
    run_id = make_run(database, tmp_path / "data", 1)
    make_newer(database, run_id, column, name, value)
    with (
        database.read() as connection,
        pytest.raises(NewerRun, match=rf"questions-4frame--fake--1 .* {column}\.{name}") as raised,
    ):
        stats.config_of_run(connection, run_id)
    assert "upgrade" in raised.value.hint


def test_a_worker_takes_the_requests_of_the_other_runs_of_its_model_in_their_order(
    database: Database, two: tuple[int, int]
) -> None:
    newer, known = two
    bells = [*request_ids(database, newer), *request_ids(database, known)]
    claims = [hear(database, bell) for bell in bells]
    taken = [claim.request_id for claim in claims if claim is not None]
    assert taken == request_ids(database, known)
    assert claims[0] is None, "how it came to know"


def test_what_it_cannot_read_stays_waiting_without_a_strike_a_dtype_or_an_attempt_for_newer_workers(
    database: Database, two: tuple[int, int]
) -> None:
    newer, _ = two
    bells = request_ids(database, newer)
    for bell in bells:
        hear(database, bell)
    rows = [row_of(database, request_id) for request_id in bells]
    assert {(row.status, row.strikes, row.published_at) for row in rows} == {("queued", 0, None)}
    with database.read() as connection:
        assert connection.execute(text(f"SELECT dtype FROM runs WHERE id = {newer}")).scalar_one() is None
        assert connection.execute(text("SELECT count(*) FROM attempts")).scalar_one() == 3, "the other run's"


def test_the_bell_of_a_newer_run_goes_back_to_those_who_can_hear_it(database: Database, two: tuple[int, int]) -> None:
    newer, _ = two
    bells = request_ids(database, newer)
    database.write(queue.mark_published, bells)
    hear(database, bells[0])
    assert database.write(queue.unring_for_others, bells[1], key_of(), "float32")
    assert row_of(database, bells[1]).published_at is None


def test_work_names_the_newer_runs_of_a_key_and_still_rings_for_them(database: Database, two: tuple[int, int]) -> None:
    with database.read() as connection:
        (work,) = queue.work(connection)
    assert (work.waiting, len(work.dtypes), work.spec.adapter) == (7, 1, "fake")
    assert ["generation.num_beams" in str(error) for error in work.newer] == [True]
    assert can_serve(work, "cpu:0")


def test_a_model_whose_runs_are_all_newer_is_named_and_served_by_nobody_here(
    database: Database, tmp_path: Path
) -> None:
    make_newer(database, make_run(database, tmp_path / "data", 2))
    with database.read() as connection:
        (work,) = queue.work(connection)
    assert (work.spec.name, work.dtypes, work.waiting) == ("fake", (), 2)
    assert not can_serve(work, "cpu:0")


def test_dispatch_passes_a_newer_run_over_says_so_and_lets_the_others_know(
    worker: Worker, database: Database, tmp_path: Path
) -> None:
    make_newer(database, make_run(database, tmp_path / "data", 2, model="fake:later"))
    make_run(database, tmp_path / "data", 2)
    dispatch = Dispatch(worker, FakeConsumer())
    for _ in range(2):
        dispatch.step()
    assert worker.engine.loaded is not None and worker.engine.loaded.load_key == key_of()
    assert "newer videval" in (worker.message or "") and "upgrade" in (worker.message or "")
    with database.read() as connection:
        (seat,) = workers.seats(connection, silent_s=60.0)
    assert seat.refuses == (key_of("fake:later"),)


def test_the_word_is_taken_back_when_the_newer_run_is_over(worker: Worker, database: Database, tmp_path: Path) -> None:
    run_id = make_run(database, tmp_path / "data", 2, model="fake:later")
    make_newer(database, run_id)
    dispatch = Dispatch(worker, FakeConsumer())
    dispatch.step()
    assert worker.message is not None
    database.write(runs.cancel, run_id)
    dispatch.step()
    assert worker.message is None


def test_commands_show_a_newer_run_with_what_they_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_for(tmp_path)
    with closing(open_database(settings)) as database:
        schema.ensure_schema(database)
        run_id = make_run(database, tmp_path / "data", 2)
        for bell in request_ids(database, run_id):
            claim = hear(database, bell)
            assert claim is not None and answer(database, claim)
        for column, name, value in LATER:
            make_newer(database, run_id, column, name, value)
    monkeypatch.chdir(tmp_path)
    videval = caller(settings.home_path, monkeypatch, capsys)
    for command in ("status", "score", "card", "errors", "report", "export", "merge", "list runs"):
        said = videval(*command.split(), *([] if command == "list runs" else [RUN]))
        assert said.code == 0, (command, said.err)
        assert "Traceback" not in said.out + said.err
        if command in ("status", "list runs"):
            assert RUN in said.out
