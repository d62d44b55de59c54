"""An engine whose model runs at an endpoint: what it waits for, and what becomes of that when it drains."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import redis

from tests.servers import TcpRedis, settings_for, wait_for
from tests.standin import StandIn, stand_in
from videval.errors import Released, RunHalted
from videval.models.catalog import model_spec
from videval.models.endpoints import endpoint_of
from videval.types import Allowance, Answer, GenerationSettings, Prompt, Stage, Text
from workers.device import parse_devices
from workers.endpoint_gate.keys import Keys
from workers.engine import Engine

ENTRY = '[endpoints.lab]\nbase_url = "{url}"\nmodel = "stand-in"\n'


class Seat:
    """An engine on an api seat, its endpoint and the Redis of its budget."""

    def __init__(self, folder: Path, server: StandIn) -> None:
        self.server, self.redis, self.stages = server, TcpRedis(), list[Stage]()
        settings = settings_for(folder, broker_url=self.redis.url, generate_deadline=60)
        self.engine = Engine(settings, parse_devices("api", gpus=[])[0])
        self.engine.load(model_spec("endpoint:lab"), "k", "auto")
        self._pool = ThreadPoolExecutor(4)

    def ask(self, text: str, allowance: Allowance | None = None) -> Future[Answer]:
        prompt = Prompt(parts=(Text(text=text),))
        return self._pool.submit(
            self.engine.ask,
            prompt,
            GenerationSettings(),
            alone=False,
            together="",
            load_key="k",
            on_stage=self.stages.append,
            allowance=allowance,
        )

    def shut(self) -> None:
        """As a 429 would, for a day."""
        with redis.Redis.from_url(self.redis.url) as client:
            second, _ = client.time()
            client.hset(Keys(endpoint_of("endpoint:lab")).state, "closed_until", str(second + 86400))

    def open(self) -> None:
        with redis.Redis.from_url(self.redis.url) as client:
            client.hdel(Keys(endpoint_of("endpoint:lab")).state, "closed_until")

    def wait_until_it_waits(self) -> None:
        wait_for("its turn", lambda: self.stages[-1:] == [Stage.WAIT])

    def close(self) -> None:
        self.engine.close()
        self.redis.kill()
        self._pool.shutdown()


@pytest.fixture
def seat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Seat]:
    with stand_in(tmp_path) as server:
        (tmp_path / "endpoints.toml").write_text(ENTRY.format(url=server.url))
        monkeypatch.setenv("VIDEVAL_ENDPOINTS", str(tmp_path / "endpoints.toml"))
        made = Seat(tmp_path, server)
        yield made
        made.close()


def test_who_waits_for_the_budget_is_not_taken_to_hang(seat: Seat) -> None:
    seat.shut()
    asked = seat.ask("What?")
    seat.wait_until_it_waits()
    mailbox = seat.engine._keeper.mailbox if seat.engine._keeper else None
    assert mailbox is not None
    first = mailbox.deadline() or 0.0
    wait_for("two signs of life", lambda: (mailbox.deadline() or 0.0) > first + 1.5)
    seat.open()
    assert asked.result(60).generation.text
    assert seat.engine.loads == 1


def test_a_worker_that_drains_gives_back_at_once_what_waits_for_the_budget(seat: Seat) -> None:
    seat.shut()
    asked = seat.ask("What?")
    seat.wait_until_it_waits()
    seat.engine.drain()
    with pytest.raises(Released):
        asked.result(60)
    assert not seat.server.arrivals()


def test_a_429_costs_a_request_nothing(seat: Seat) -> None:
    assert seat.ask("[[429-after 0.1 x2]] What?").result(60).generation.text
    assert [a.outcome for a in seat.server.arrivals()][:2] == ["429", "429"]


def test_a_run_s_allowance_reaches_the_gate(seat: Seat) -> None:
    with pytest.raises(RunHalted, match="--max-tokens-total 10: 0 tokens are used"):
        seat.ask("What?", Allowance(run="r", key="r", max_tokens=10)).result(60)
    assert not seat.server.arrivals()


def test_nothing_is_sent_while_redis_is_away(seat: Seat) -> None:
    seat.redis.kill()
    asked = seat.ask("What?")
    seat.wait_until_it_waits()
    assert not seat.server.arrivals()
    seat.redis.start()
    assert asked.result(60).generation.text


def test_an_engine_that_ends_right_after_an_answer_tells_the_fleet_that_it_is_over(seat: Seat) -> None:
    asked = seat.ask("[[stall 1]] What?")
    wait_for("it to be sent", lambda: seat.stages[-1:] == [Stage.GENERATE])
    with redis.Redis.from_url(seat.redis.url) as client:
        client.client_pause(1500)  # so that what is said of the answer takes its time
        asked.result(60)
        seat.engine.close()
        keys = Keys(endpoint_of("endpoint:lab"))
        assert (client.zcard(keys.leases), client.hget(keys.state, "done")) == (0, b"1")
