"""The heartbeat: renews leases, says what is lost, and has a worker leave when it must."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select, update

from tests.one_worker import FakeConsumer, end, new_worker, quick, ready
from tests.questions import database_time, row_of
from tests.servers import wait_for
from videval.db.health import endpoint_health
from videval.db.session import Database, db_now, open_database
from videval.db.tables import RequestRow, WorkerRow
from videval.errors import DatabaseUnavailable
from videval.models.catalog import model_spec
from videval.settings import Settings
from workers.heartbeat import Heartbeat
from workers.worker import Worker


@pytest.fixture
def heartbeat(worker: Worker) -> Heartbeat:
    return Heartbeat(worker, FakeConsumer())


def test_a_heartbeat_renews_leases_and_says_what_is_lost(
    worker: Worker, heartbeat: Heartbeat, database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ids = ready(worker, database, tmp_path, {i: {"latency_ms": 2500} for i in range(2)}, count=2)
    with ThreadPoolExecutor(2) as pool:
        for request_id in ids:
            pool.submit(worker.answer, request_id)
        wait_for("both in work", lambda: len(worker.held()) == 2, 30)
        short = update(RequestRow).where(RequestRow.id == ids[0]).values(lease_expires_at=db_now() + 1)
        database.write(lambda c: c.execute(short))
        database.write(lambda c: c.execute(update(RequestRow).where(RequestRow.id == ids[1]).values(status="queued")))
        heartbeat.step()
        with database.read() as connection:
            now = database_time(connection)
        assert row_of(database, ids[0]).lease_expires_at > now + 30
    assert f"request {ids[1]}, attempt 1: lost its lease" in caplog.text


def test_an_idle_worker_says_so_in_one_statement(
    worker: Worker, heartbeat: Heartbeat, database: Database, statements: list[str]
) -> None:
    heartbeat.step()
    assert len(statements) == 1
    with database.read() as connection:
        assert connection.execute(select(WorkerRow.state)).scalar_one() == "starting"


def test_a_lease_lasts_at_least_three_heartbeats(worker: Worker) -> None:
    worker.settings = worker.settings.model_copy(update={"lease": 6.0, "heartbeat": 10.0})
    assert Heartbeat(worker, FakeConsumer()).pause == 2.0


def test_a_worker_at_an_endpoint_says_how_that_is(
    worker: Worker, heartbeat: Heartbeat, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = '[endpoints.lab]\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "m"\nlimits = { requests_per_minute = 60 }\n'
    (tmp_path / "endpoints.toml").write_text(entry)
    monkeypatch.setenv("VIDEVAL_ENDPOINTS", str(tmp_path / "endpoints.toml"))
    worker.settings = worker.settings.model_copy(update={"endpoints": tmp_path / "endpoints.toml"})
    quick(worker).load(model_spec("endpoint:lab"), "k", "auto")
    heartbeat.step()
    worker.ledger.write(lambda c: None)  # what was put in line before it is written by then
    with database.read() as connection:
        (found,) = endpoint_health(connection)
    assert (found.name, found.state) == ("lab", "away"), "no broker was started"
    assert found.message.startswith("nothing is sent: ") and found.figures == {"limits": {"requests_minute": 60}}


@pytest.fixture
def restless(database: Database, settings: Settings, request: pytest.FixtureRequest) -> Iterator[Worker]:
    changed = settings.model_copy(update=request.param)
    made = new_worker(open_database(changed), changed)
    yield made
    end(made)


@pytest.mark.parametrize("restless", [{"max_rss_gb": 0.001}], indirect=True)
def test_a_worker_that_grew_too_large_says_so_and_drains_to_be_replaced(restless: Worker) -> None:
    Heartbeat(restless, consumer := FakeConsumer()).step()
    assert consumer.is_shut_down and "more than --max-rss" in str(restless.message)


@pytest.mark.parametrize("restless", [{"tied_to": 1}], indirect=True)
def test_a_worker_whose_command_is_gone_drains(restless: Worker) -> None:
    Heartbeat(restless, consumer := FakeConsumer()).step()
    assert consumer.is_shut_down


@pytest.mark.parametrize("restless", [{"tied_to": 1, "max_rss_gb": 0.001}], indirect=True)
def test_a_worker_that_drains_already_is_not_told_to_again(restless: Worker) -> None:
    restless.drain()
    Heartbeat(restless, consumer := FakeConsumer()).step()
    assert not consumer.is_shut_down


@pytest.mark.parametrize("restless", [{"tied_to": 1}], indirect=True)
def test_a_worker_whose_command_is_gone_drains_although_the_database_is_gone_too(
    restless: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*args: object, **more: object) -> None:
        raise DatabaseUnavailable("its folder was removed")

    monkeypatch.setattr(restless.database, "write", write)
    heartbeat = Heartbeat(restless, consumer := FakeConsumer())
    with pytest.raises(DatabaseUnavailable):
        heartbeat.step()
    assert consumer.is_shut_down
