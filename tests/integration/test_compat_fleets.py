"""A call that waits for workers: what it prints, and when it waits no longer."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from tests.questions import answer, make_run, request_ids, take
from videval.compat import fleets
from videval.db import workers
from videval.db.records import RunInfo
from videval.db.runs import get_run
from videval.db.session import Database
from videval.errors import ModelUnavailable
from videval.settings import Settings
from workers.device import parse_devices
from workers.fleet import Fleet
from workers.refusals import OFTEN


@pytest.fixture
def run(database: Database, tmp_path: Path) -> RunInfo:
    run_id = make_run(database, tmp_path / "data", 3)
    with database.read() as connection:
        return get_run(connection, run_id)


def test_only_answers_that_come_during_the_call_are_printed_each_once(
    database: Database, run: RunInfo, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, third = request_ids(database, run.run_id)
    answer(database, take(database, first), "before")
    printed = fleets._Printed(database, run)
    answer(database, take(database, second), "one")
    printed.tell()
    answer(database, take(database, third), "two\nlines")
    printed.tell()
    printed.tell()
    assert capsys.readouterr().out == "one\ntwo\nlines\n"


def test_a_model_that_no_worker_can_load_ends_the_wait(
    database: Database, settings: Settings, run: RunInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Fleet(settings=settings.model_copy(update={"home": tmp_path}), devices=parse_devices("cpu", gpus=[]))
    watch = fleets._Watch(settings, database, run, fleet)
    for n in range(2 * OFTEN - 1):
        refuses = (run.load_key,) if n % 2 else ()
        seat = workers.SeatInfo(id="w", device="cpu:0", load_key=None, served_s=0.0, refuses=refuses)
        monkeypatch.setattr(workers, "seats", lambda *_, silent_s, seat=seat: [seat])
        watch._look()
    refusing = replace(seat, refuses=(run.load_key,))
    monkeypatch.setattr(workers, "seats", lambda *_, silent_s: [refusing])
    with pytest.raises(ModelUnavailable, match="fake cannot be loaded"):
        watch._look()


def test_workers_are_told_nothing_of_torchruns_world(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, str] = {}

    class Process:
        def __init__(self, command: list[str], *, env: dict[str, str], **more: object) -> None:
            given.update(env)

        def poll(self) -> None:
            """It lives."""

    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "TORCHELASTIC_RUN_ID", "CELERY_BROKER_URL"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setattr("workers.fleet.subprocess.Popen", Process)
    fleet = Fleet(settings=settings.model_copy(update={"home": tmp_path}), devices=parse_devices("cpu", gpus=[]))
    fleet.tick()
    assert given["VIDEVAL_DEVICES"] == "cpu:0" and "PATH" in given
    assert not [name for name in given if name.startswith(("RANK", "WORLD", "LOCAL_", "MASTER", "TORCHEL", "CELERY_"))]
    assert cast("object", fleet.seats[0].process) is not None
