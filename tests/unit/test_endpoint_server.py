"""The Server of an endpoint against a server at its worst: what is answered, failed, refused, and never sent again."""

import asyncio
import itertools
import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.endpoints import ENDED, Driven, Heard, clip_at, endpoint_at
from tests.servers import free_port, wait_for
from tests.standin import Plan, StandIn, stand_in
from videval.errors import (
    ApiFailure,
    ContextExceeded,
    EnvironmentProblem,
    ModelUnavailable,
    RunHalted,
    VidevalError,
)
from videval.models.catalog import load_model, model_spec
from videval.models.endpoint_file import Limits, Prices
from videval.models.openai_api import media
from videval.models.openai_api.addresses import Address, Addresses
from videval.models.openai_api.server import ApiServer
from videval.protocols import OpenGate, Permit, Server
from videval.types import Allowance, Clip, GenerationSettings, Prompt, Stage
from videval.video.clips import load_frames


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with stand_in(tmp_path_factory.mktemp("stand-in")) as running:
        yield running


@pytest.fixture
def driven(standin: StandIn) -> Iterator[Driven]:
    with Driven(endpoint_at(standin.url, timeout_s=30)) as made:
        yield made


class Noted(OpenGate):
    """An open gate that notes what it hears."""

    PAUSE = 0.01

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []
        self.heard: list[tuple[str, object]] = []
        self.whys: list[tuple[str, bool]] = []

    async def enter(self, tokens: int, *, cost: float = 0.0, allowance: Allowance | None = None) -> Permit:
        self.asked.append(tokens)
        return await super().enter(tokens, cost=cost, allowance=allowance)

    def done(self, *, tokens: int | None = None, cost: float | None = None) -> None:
        self.heard.append(("done", tokens))

    def throttled(self, retry_after: float | None = None) -> None:
        self.heard.append(("throttled", retry_after))
        super().throttled(retry_after)

    def failed(self, status: int | None = None, *, why: str = "", is_sent: bool = True) -> None:
        self.heard.append(("failed", status))
        self.whys.append((why, is_sent))

    def refused(self) -> None:
        self.heard.append(("refused", None))

    def dropped(self) -> None:
        self.heard.append(("dropped", None))


def gated(driven: Driven) -> Noted:
    gate = Noted()
    driven.server.gate = gate
    return gate


def test_a_question_about_a_clip_is_answered_with_what_it_cost(standin: StandIn, tmp_path: Path) -> None:
    with Driven(endpoint_at(standin.url, prices=Prices(prompt=1.0, new=2.0))) as driven:
        heard = driven.ask("What is shown?", clip_at(tmp_path / "a.npy"))
        answer = heard.answer
    assert answer.generation.text in "ABCD" and answer.generation.prompt_tokens == 3 + 3 * 16
    assert answer.generation.cost == pytest.approx((51 + 2) / 1e6)
    assert heard.stages == [Stage.PREPARE, Stage.WAIT, Stage.GENERATE]
    assert answer.generate_s > 0 and answer.prepare_s > 0 and answer.wait_s >= 0


def test_all_frames_of_a_long_clip_arrive_as_one_video(standin: StandIn, tmp_path: Path) -> None:
    with Driven(endpoint_at(standin.url, transport="video")) as driven:
        answer = driven.ask("What is shown?", clip_at(tmp_path / "a.npy", 40)).answer
    assert answer.generation.prompt_tokens == 3 + 40 * 16


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ("500", ApiFailure, "answered 500"),
        ("503", ApiFailure, "answered 503"),
        ("half-body", ApiFailure, "cannot be asked"),
        ("half-json", ApiFailure, "half a JSON"),
        ("empty", ApiFailure, "without choices"),
        ("html", ApiFailure, "text/html, not JSON"),
        ("reset", ApiFailure, "cannot be asked"),
        ("401", RunHalted, "does not accept the key"),
        ("404", RunHalted, "has no model"),
        ("context", ContextExceeded, "maximum context length"),
    ],
)
def test_each_fault_is_a_failure_of_its_own_kind(
    driven: Driven, fault: str, kind: type[VidevalError], said: str
) -> None:
    error = driven.ask(f"[[{fault}]] {fault}?").error
    assert type(error) is kind and said in str(error) and error.hint


@pytest.mark.parametrize("fault", ["large 1", "trickle 0.2", "stall 0.2"])
def test_a_slow_or_large_answer_is_an_answer(driven: Driven, fault: str) -> None:
    assert driven.ask(f"[[{fault}]] {fault}?").answer.generation.text


@pytest.mark.parametrize(
    ("fault", "why"),
    [("filter", "content_filter"), ("filter-400", "content_filter"), ("refusal", "refusal: I cannot help with that.")],
)
def test_a_refusal_is_an_answer_without_text_that_says_why(driven: Driven, fault: str, why: str) -> None:
    generation = driven.ask(f"[[{fault}]] {fault}?").answer.generation
    assert (generation.refused, generation.text) == (why, "")


def test_too_many_requests_cost_the_request_nothing(driven: Driven) -> None:
    gate = gated(driven)
    heard = driven.ask("[[429-after 0.02 x2]] [[429 x1]] throttled?")
    assert heard.answer.generation.text
    assert [what for what, _ in gate.heard] == ["throttled", "throttled", "throttled", "done"]
    assert gate.heard[0] == ("throttled", 0.02) and gate.heard[2] == ("throttled", None)
    assert heard.stages[-2:] == [Stage.WAIT, Stage.GENERATE]


def test_the_gate_hears_how_each_request_went(driven: Driven) -> None:
    gate = gated(driven)
    for text in ("fine?", "[[500]] a?", "[[reset]] b?", "[[context]] c?", "[[filter-400]] d?"):
        driven.ask(text).outcome.exception(60)
    assert gate.heard == [("done", 2), ("failed", 500), ("failed", None), ("refused", None), ("refused", None)]


def test_the_gate_hears_why_it_failed_and_whether_anything_was_sent(driven: Driven, standin: StandIn) -> None:
    gate = gated(driven)
    assert "reset" in str(driven.ask("[[reset]] a?").error)
    with Driven(endpoint_at(f"http://127.0.0.1:{free_port()}/v1")) as nobody:
        theirs = gated(nobody)
        failed = nobody.ask("b?").error
    (why, is_sent), (other, other_sent) = *gate.whys, *theirs.whys
    assert (why.startswith("lab (http://"), is_sent) == (True, True)
    assert (other, other_sent) == (str(failed), False)


def test_tokens_are_reserved_as_the_endpoint_counted_them_before(driven: Driven, tmp_path: Path) -> None:
    gate, clip = gated(driven), clip_at(tmp_path / "a.npy", 4, size=(64, 64))
    assert driven.ask("one?", clip).answer.generation.prompt_tokens == 1 + 4 * 16
    driven.ask("two?", clip).outcome.result(60)
    assert gate.asked[1] >= 1 + 4 * 16 and gate.asked[1] > gate.asked[0]


def test_a_success_is_never_sent_again(standin: StandIn, driven: Driven) -> None:
    before = len(standin.arrivals())
    heard = [driven.ask(f"[[429 x1]] once {n}?") for n in range(8)]
    assert all(one.answer.generation.text for one in heard)
    assert len(standin.arrivals()) - before == 16 and not standin.sent_again()


def test_an_answer_that_does_not_come_in_time_is_given_up(standin: StandIn) -> None:
    with Driven(endpoint_at(standin.url, timeout_s=0.3)) as driven:
        silent = driven.ask("[[stall 30]] silent?").error
        slow = driven.ask("[[trickle 30]] slow?").error
    for error in (silent, slow):
        assert isinstance(error, ApiFailure) and "no whole answer within 0.3 s" in str(error)


class Shut(OpenGate):
    """A gate that lets nobody through."""

    async def enter(self, tokens: int, *, cost: float = 0.0, allowance: Allowance | None = None) -> Permit:
        raise RunHalted("the run may cost no more", hint="--max-cost")


def test_a_gate_that_halts_the_run_is_heard_by_the_caller(driven: Driven) -> None:
    driven.server.gate = Shut()
    assert isinstance(driven.ask("asked?").error, RunHalted)


def test_no_more_than_its_slots_are_in_flight(standin: StandIn) -> None:
    with Driven(endpoint_at(standin.url, limits=Limits(in_flight=2))) as driven:
        assert driven.server.slots == 2
        heard = [driven.ask(f"[[stall 0.1]] slot {n}?") for n in range(5)]
        assert all(one.answer for one in heard)
    steps = [{Stage.PREPARE: 1, ENDED: -1}.get(what, 0) for _, what in driven.log]
    assert max(itertools.accumulate(steps)) == 2


def test_one_that_is_alone_shares_its_time_with_nobody(driven: Driven) -> None:
    heard = [driven.ask("[[stall 0.1]] first?"), driven.ask("alone?", alone=True), driven.ask("last?")]
    assert all(one.answer for one in heard)
    assert driven.log.index((1, ENDED)) < driven.log.index((2, Stage.PREPARE))
    assert driven.log.index((2, ENDED)) < driven.log.index((3, Stage.PREPARE))


def test_what_is_forgotten_before_it_is_sent_makes_room_and_what_is_under_way_is_answered(standin: StandIn) -> None:
    with Driven(endpoint_at(standin.url, limits=Limits(in_flight=1))) as driven:
        first, waiting, last = driven.ask("[[stall 1]] under way?"), driven.ask("waiting?"), driven.ask("last?")
        wait_for("the first to be sent", lambda: first.stages[-1:] == [Stage.GENERATE])
        assert driven.forget(2) and not driven.forget(1) and not driven.forget(99)
        assert first.answer and last.answer and not waiting.stages


def test_what_waits_at_the_gate_is_forgotten_at_once(driven: Driven) -> None:
    gate = gated(driven)
    gate.throttled(3600)
    heard = driven.ask("What?")
    wait_for("the gate", lambda: heard.stages[-1:] == [Stage.WAIT])
    assert driven.forget(1) and not heard.outcome.done()


def test_a_clip_is_encoded_once_for_all_its_questions(
    driven: Driven, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []

    def noted(clip: Clip) -> npt.NDArray[np.uint8]:
        loads.append(clip.path)
        return load_frames(clip)

    monkeypatch.setattr(media, "load_frames", noted)
    clip, other = clip_at(tmp_path / "a.npy"), clip_at(tmp_path / "b.npy", seed=1)
    heard = [driven.ask(f"{n}?", one) for n in range(6) for one in (clip, other)]
    assert all(one.answer for one in heard)
    assert sorted(loads) == [clip.path, other.path]


def test_what_is_kept_of_clips_is_bounded(tmp_path: Path) -> None:
    async def kept() -> list[str]:
        encoder = media.Encoder(endpoint_at("http://x").remote, exact=True, memory=20_000)
        for number in range(5):
            clip = clip_at(tmp_path / f"{number}.npy", seed=number)
            await encoder.media(Prompt(parts=(), clips=(clip,)))
        encoder.close()
        return [Path(key).stem for key in encoder.made]

    assert asyncio.run(kept()) == ["3", "4"]


def test_a_clip_that_is_gone_is_this_machines_problem_and_is_tried_again(driven: Driven, tmp_path: Path) -> None:
    clip = clip_at(tmp_path / "a.npy")
    Path(clip.path).unlink()
    assert isinstance(driven.ask("gone?", clip).error, EnvironmentProblem)
    clip_at(tmp_path / "a.npy")
    assert driven.ask("back?", clip).answer


def test_what_the_endpoint_takes_is_checked_before_it_is_sent(standin: StandIn, tmp_path: Path) -> None:
    before = len(standin.arrivals())
    with Driven(endpoint_at(standin.url, limits=Limits(max_images=2))) as driven:
        assert "3 images" in str(driven.ask("many?", clip_at(tmp_path / "a.npy")).error)
    assert len(standin.arrivals()) == before


def test_a_server_that_breaks_off_a_large_body_is_asked_about_it(tmp_path: Path) -> None:
    with stand_in(tmp_path, Plan(max_body=2000)) as small, Driven(endpoint_at(small.url)) as driven:
        error = driven.ask("large?", clip_at(tmp_path / "a.npy", 8, size=(640, 480))).error
    assert isinstance(error, ApiFailure) and "max_body_mb" in error.hint


# addresses


def test_a_clips_questions_stay_at_one_address_and_others_go_to_the_least_loaded(tmp_path: Path) -> None:
    with (
        stand_in(tmp_path, Plan(latency=0.05)) as one,
        stand_in(tmp_path, Plan(latency=0.05)) as two,
        Driven(endpoint_at(one.url, two.url)) as driven,
    ):
        heard = [driven.ask(f"clip {clip} question {n}?", together=clip) for n in range(3) for clip in "abcd"]
        assert all(asked.answer for asked in heard)
        assert len(one.arrivals()) == len(two.arrivals()) == 6


def test_an_address_that_fails_is_left_out_and_its_questions_go_to_another(standin: StandIn) -> None:
    with Driven(endpoint_at("http://127.0.0.1:9/v1", standin.url)) as driven:
        heard = [driven.ask(f"either {n}?") for n in range(6)]
        assert all(asked.answer for asked in heard)
        dead = driven.server._addresses.every[0]
        assert dead.out_until > time.monotonic()


class Still(Address):
    """An address that nobody asks."""

    def __init__(self, running: int = 0) -> None:
        self.running, self.out_until, self._failures = running, 0.0, 0


def test_an_address_that_was_left_out_is_tried_again_after_a_while() -> None:
    now = [time.monotonic()]
    busy, idle = Still(running=3), Still()
    addresses = Addresses([busy, idle], clock=lambda: now[0])
    assert addresses.choose("") is idle
    idle.broke()
    assert addresses.choose("") is busy
    now[0] += 2
    assert addresses.choose("") is idle
    idle.broke()
    now[0] = idle.out_until - 0.5
    assert addresses.choose("") is busy


def test_a_clip_stays_where_it_was_sent_to_when_its_address_failed() -> None:
    now = [time.monotonic()]
    one, two = Still(), Still(running=1)
    addresses = Addresses([one, two], clock=lambda: now[0])
    assert addresses.choose("clip") is one
    one.broke()
    assert addresses.choose("clip") is two
    now[0] += 100
    assert addresses.choose("clip") is two


def test_without_an_address_that_works_the_one_that_is_back_first_is_asked() -> None:
    one, two = Still(), Still()
    for address in (one, one, two):
        address.broke()
    assert Addresses([one, two]).choose("") is two


# TLS


def test_a_certificate_that_is_not_trusted_halts_the_run_and_its_authority_mends_it(tmp_path: Path) -> None:
    with stand_in(tmp_path, tls=True) as secure:
        with Driven(endpoint_at(secure.url)) as driven:
            error = driven.ask("trusted?").error
            assert isinstance(error, RunHalted) and "ca_file" in error.hint
        with Driven(endpoint_at(secure.url, ca_file=str(tmp_path / "cert.pem"))) as driven:
            second = driven.ask("trusted?").outcome.exception(60)
        assert second is None or "IP address mismatch" in str(second)
        with Driven(endpoint_at(secure.url.replace("https", "http"))) as driven:
            plain = driven.ask("http?").error
        assert isinstance(plain, ApiFailure) and "does it speak https?" in plain.hint


class Plain(socketserver.BaseRequestHandler):
    """A plain HTTP server, which does not understand what TLS says."""

    def handle(self) -> None:
        self.request.recv(2**16)
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def test_https_to_a_plain_address_halts_the_run() -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), Plain) as plain:
        thread = threading.Thread(target=plain.serve_forever)
        thread.start()
        address = f"127.0.0.1:{plain.server_address[1]}/v1"
        with Driven(endpoint_at(f"https://{address}")) as driven:
            error = driven.ask("https?").error
        plain.shutdown()
        thread.join(30)
    assert isinstance(error, RunHalted) and f'base_url = "http://{address}"' in error.hint


def test_certificates_that_are_not_there_are_said_when_the_model_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="has no certificates"):
        Driven(endpoint_at("https://x/v1", ca_file=str(tmp_path / "none.pem")))


# keys


def test_a_key_reaches_the_endpoint_and_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    key = "sk-very-secret-0123456789"
    monkeypatch.setenv("LAB_KEY", key)
    caplog.set_level("DEBUG")
    with stand_in(tmp_path, Plan(key=key)) as keyed:
        with Driven(endpoint_at(keyed.url, key_env="LAB_KEY")) as driven:
            right = driven.ask("right?").answer
            failed = driven.ask("[[500]] failed?").error
        monkeypatch.setenv("LAB_KEY", f"wrong-{key}")
        with Driven(endpoint_at(keyed.url, key_env="LAB_KEY")) as driven:
            wrong = driven.ask("wrong?").error
        log = keyed.log.read_text()
    assert isinstance(wrong, RunHalted) and "export LAB_KEY" in wrong.hint
    told = [repr(right), str(failed), str(wrong), wrong.hint, repr(wrong.__cause__), caplog.text, log]
    assert not any("very-secret" in text for text in told)


def test_the_organisation_of_openai_is_told_to_openai_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-mine")
    address = Address("http://x/v1", endpoint_at("http://x/v1"), "")
    assert "org-mine" not in repr(address._client.default_headers)


# loading


def test_a_model_at_an_endpoint_is_loaded_as_a_server_without_a_word_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "endpoints.toml").write_text(
        '[endpoints.lab]\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "m"\ntransport = "video"\nkey_env = "LAB_KEY"\n'
        "limits = { in_flight = 5 }\ntimeout_s = 5000\n"
    )
    monkeypatch.setenv("VIDEVAL_HOME", str(tmp_path))
    spec = model_spec("endpoint:lab")
    with pytest.raises(ModelUnavailable, match="LAB_KEY is not set"):
        load_model(spec, devices=[])
    monkeypatch.setenv("LAB_KEY", "sk-very-secret")
    server = load_model(spec, devices=[])
    assert isinstance(server, ApiServer) and isinstance(server, Server) and server.slots == 5
    about = server.describe()
    assert about["endpoint"] == "lab" and "one video" in about["transport"] and about["frames"] == "png, lossless"
    assert "very-secret" not in repr(about)
    assert server._endpoint.timeout_s < 900
    close_unused(server)


def close_unused(server: ApiServer) -> None:
    """End a server that nobody drives."""
    server.close()
    thread = threading.Thread(target=server.run)
    thread.start()
    thread.join(30)


def test_settings_reach_the_endpoint(standin: StandIn, driven: Driven) -> None:
    heard: Heard = driven.ask("long?", settings=GenerationSettings(max_new_tokens=10**6))
    assert isinstance(heard.error, ContextExceeded)
