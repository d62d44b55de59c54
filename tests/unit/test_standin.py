"""The stand-in for a server at its worst: that it is as bad as it says, so that what is tested with it is tested."""

import http.client
import json
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import wait_for
from tests.standin import FAULTS, ROOT, Plan, StandIn, most_within, stand_in

PATIENCE = 30.0
BROKEN = {
    "reset": ConnectionResetError,
    "half-body": http.client.IncompleteRead,
    "stopped-stream": http.client.IncompleteRead,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with stand_in(tmp_path_factory.mktemp("stand-in")) as running:
        yield running


def said(server: StandIn, text: str, **more: Any) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body that it says to one question."""
    body = {"model": "stand-in", "messages": [{"role": "user", "content": text}]} | more
    request = urllib.request.Request(f"{server.url}/chat/completions", json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def text_of(body: bytes) -> str:
    text: str = json.loads(body)["choices"][0]["message"]["content"]
    return text


def test_a_question_without_a_mark_is_answered_the_same_each_time(server: StandIn) -> None:
    first, again = said(server, "What is shown?"), said(server, "What is shown?")
    assert (first[0], text_of(first[2])) == (200, text_of(again[2]))
    assert json.loads(first[2])["usage"]["prompt_tokens"] == 3


@pytest.mark.parametrize(("fault", "status"), [("429", 429), ("500", 500), ("503", 503), ("401", 401), ("404", 404)])
def test_a_mark_asks_for_a_status(server: StandIn, fault: str, status: int) -> None:
    assert said(server, f"[[{fault}]] {fault}?")[0] == status


def test_a_429_says_when_to_come_again_where_that_is_asked_for(server: StandIn) -> None:
    assert said(server, "[[429-after 7]]")[1]["Retry-After"] == "7.0"
    assert "Retry-After" not in said(server, "[[429]]")[1]


@pytest.mark.parametrize("fault", BROKEN)
def test_an_answer_breaks_off(server: StandIn, fault: str) -> None:
    with pytest.raises((BROKEN[fault], urllib.error.URLError)):
        said(server, f"[[{fault}]] {fault}?")
    wait_for("its log", lambda: server.arrivals()[-1].outcome == fault)


def test_half_a_json_is_a_whole_body(server: StandIn) -> None:
    with pytest.raises(json.JSONDecodeError):
        json.loads(said(server, "[[half-json]]")[2])


def test_other_bodies_are_wrong_in_their_own_ways(server: StandIn) -> None:
    assert json.loads(said(server, "[[empty]]")[2])["choices"] == []
    assert said(server, "[[html]]")[1]["Content-Type"] == "text/html"
    assert json.loads(said(server, "[[filter]]")[2])["choices"][0]["finish_reason"] == "content_filter"
    assert json.loads(said(server, "[[filter-400]]")[2])["error"]["code"] == "content_filter"
    assert json.loads(said(server, "[[context]]")[2])["error"]["code"] == "context_length_exceeded"
    assert json.loads(said(server, "[[refusal]]")[2])["choices"][0]["message"]["refusal"]


def test_slow_and_large_answers_come_whole(server: StandIn) -> None:
    assert len(text_of(said(server, "[[large 1]]")[2])) == 2**20
    assert text_of(said(server, "[[trickle 0.1]]")[2])
    assert text_of(said(server, "[[stall 0.1]]")[2])


def test_a_mark_is_used_up_after_its_tries(server: StandIn) -> None:
    text = "[[500 x2]] [[503 x1]] tried again?"
    assert [said(server, text)[0] for _ in range(4)] == [500, 500, 503, 200]


def test_what_is_sent_again_after_an_answer_is_seen(tmp_path: Path) -> None:
    with stand_in(tmp_path) as server:
        said(server, "[[500 x1]] once")
        said(server, "[[500 x1]] once")
        assert not server.sent_again()
        said(server, "[[500 x1]] once")
        assert [again.tries for again in server.sent_again()] == [3]
        wait_for("its log", lambda: server.outcomes() == {"ok": 2, "500": 1})
        assert most_within(PATIENCE, server.arrivals()) == 3


def test_chances_are_drawn_the_same_for_the_same_seed(tmp_path: Path) -> None:
    plan = Plan(seed=3, first={"500": 0.5}, later={})
    drawn = []
    for _ in range(2):
        with stand_in(tmp_path, plan) as server:
            drawn.append([said(server, f"question {number}")[0] for number in range(12)])
    assert drawn[0] == drawn[1] and set(drawn[0]) == {200, 500}


def test_a_stream_ends_with_its_usage(server: StandIn) -> None:
    *_, usage, done, _ = said(server, "streamed", stream=True)[2].decode().split("\n\n")
    assert json.loads(usage.removeprefix("data: "))["usage"]["completion_tokens"] == 1 and done == "data: [DONE]"


def test_only_what_it_takes_is_answered(tmp_path: Path) -> None:
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}] * 2}]
    with stand_in(tmp_path, Plan(max_images=1, max_body=2000, context=40)) as server:
        assert said(server, "", messages=image)[0] == 400
        assert said(server, "x " * 30)[0] == 400
        assert said(server, "x" * 3000)[0] == 413
        assert said(server, "", model="nobody")[0] == 404


def test_a_video_is_cut_to_32_frames_unless_the_flag_is_set(tmp_path: Path) -> None:
    url = "data:video/jpeg;base64," + ",".join(["AA=="] * 40)
    video = [{"role": "user", "content": [{"type": "video_url", "video_url": {"url": url}}]}]
    told = {"media_io_kwargs": {"video": {"num_frames": -1}}}
    tokens = []
    for heeds in (False, True):
        with stand_in(tmp_path, Plan(media_kwargs=heeds)) as server:
            tokens.append(json.loads(said(server, "", messages=video, **told)[2])["usage"]["prompt_tokens"])
    assert tokens == [32 * 16, 40 * 16]


def test_nobody_vouches_for_its_certificate(tmp_path: Path) -> None:
    with stand_in(tmp_path, tls=True) as server, pytest.raises(urllib.error.URLError) as error:
        said(server, "who are you?")
    assert isinstance(error.value.reason, ssl.SSLCertVerificationError)


def test_it_ends_with_its_owner(tmp_path: Path) -> None:
    owner = (
        "import os, pathlib, sys; from tests.standin import stand_in\n"
        "with stand_in(pathlib.Path(sys.argv[1])) as server:\n"
        "    print(server.process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", owner, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    pid = Path("/proc", done.stdout.strip())
    wait_for("its end", lambda: not pid.exists() or "\nState:\tZ" in (pid / "status").read_text())


def test_every_fault_has_a_meaning() -> None:
    assert set(BROKEN) < set(FAULTS)
