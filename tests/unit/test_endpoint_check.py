"""`videval endpoint check`: what it says of an endpoint that is well, and of each that is not, with what mends it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli import Said, caller
from tests.standin import Plan, StandIn, stand_in

KEY = "sk-very-secret"
Finding = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """What was found, the exit code, and all that was said."""

    code: int
    findings: dict[str, Finding]
    said: str

    def bad(self) -> dict[str, str]:
        """What is wrong, with what mends it."""
        return {what: f["says"] + " -> " + f["mend"] for what, f in self.findings.items() if not f["ok"]}


Check = Callable[..., Checked]


@pytest.fixture
def videval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """The command line, which reads the endpoints of this test."""
    monkeypatch.setenv("VIDEVAL_ENDPOINTS", str(tmp_path / "endpoints.toml"))
    return caller(tmp_path, monkeypatch, capsys)


@pytest.fixture
def check(tmp_path: Path, videval: Callable[..., Said]) -> Check:
    """Checks an endpoint at an address."""

    def look(url: str, entry: str = "", name: str = "lab") -> Checked:
        said = f'[endpoints.lab]\nbase_url = "{url}"\nmodel = "stand-in"\ntimeout_s = 20\n{entry}\n'
        (tmp_path / "endpoints.toml").write_text(said)
        shown = videval("endpoint", "check", name, "--json")
        found = json.loads(shown.out)
        assert found["ok"] is (shown.code == 0) and found["endpoint"] in (name, "lab")
        return Checked(code=shown.code, findings={f["what"]: f for f in found["findings"]}, said=shown.out + shown.err)

    return look


@contextmanager
def server(tmp_path: Path, **plan: Any) -> Iterator[StandIn]:
    with stand_in(tmp_path, Plan(**plan)) as found:
        yield found


def always(fault: str) -> dict[str, Any]:
    """The plan of a server that does nothing else."""
    return {"first": {fault: 1.0}, "later": {fault: 1.0}}


def test_an_endpoint_that_is_well_passes_with_two_questions_and_one_body_that_nobody_answers(
    tmp_path: Path, check: Check
) -> None:
    with server(tmp_path) as well:
        found = check(well.url, "prices = { prompt = 1.0, new = 2.0 }")
        outcomes = [arrival.outcome for arrival in well.arrivals()]
    assert found.code == 0 and not found.bad()
    assert outcomes == ["ok", "ok", "404"]
    assert list(found.findings) == [
        "entry", "key", "address", "model", "question", "frames", "usage", "body", "price"
    ]  # fmt: skip
    assert "16 frames cost" in found.findings["frames"]["says"]
    assert "all of them arrive" in found.findings["frames"]["says"]
    assert "1,000 like it 0." in found.findings["price"]["says"]


def test_the_terminal_has_a_line_for_each_finding_and_what_mends_it(
    tmp_path: Path, videval: Callable[..., Said], check: Check
) -> None:
    with server(tmp_path, models=("other",)) as wrong:
        check(wrong.url)
        shown = videval("endpoint", "check", "endpoint:lab")
    assert shown.code == 3
    assert any(line.startswith("ok   address") for line in shown.lines)
    assert "BAD  model" in shown.out and '-> model = "other" in [endpoints.lab]' in shown.out


def test_a_server_that_cuts_to_32_frames_in_silence_is_found_with_the_flag_that_it_lacks(
    tmp_path: Path, check: Check
) -> None:
    with server(tmp_path, media_kwargs=False) as cutting, server(tmp_path) as heeding:
        cut, whole = (check(one.url, 'transport = "video"') for one in (cutting, heeding))
    assert cut.code == 3 and "the server drops frames" in cut.bad()["frames"]
    assert "--trust-request-mm-kwargs" in cut.bad()["frames"]
    assert whole.code == 0 and "all of them arrive" in whole.findings["frames"]["says"]


@pytest.mark.parametrize(
    ("plan", "entry", "what", "says"),
    [
        ({"models": ("stand-out",)}, "", "model", 'has no stand-in; it has stand-out -> model = "stand-out"'),
        ({"key": KEY}, "", "address", '(401): Incorrect API key provided. -> key_env = "VARIABLE"'),
        ({"max_images": 4}, "", "question", "-> limits = { max_images = 4 } in [endpoints.lab]: 4 are taken"),
        ({"max_images": 0}, "", "question", "-> it takes no image at all: does this model see?"),
        ({"context": 100}, "", "question", "maximum context length is 100 tokens"),
        ({"max_body": 3_000_000}, "limits = { max_body_mb = 10 }", "body", "not -> limits = { max_body_mb = 1 }"),
        (always("html"), "", "question", "text/html, not JSON: <!doctype html>"),
        (always("half-json"), "", "question", "half a JSON"),
        (always("empty"), "", "question", "an answer without choices"),
        (always("filter"), "", "question", "it answered nothing: content_filter"),
        (always("500"), "", "question", "answered 500"),
        (always("429-after 0.05"), "", "question", "too many requests (429) -> try again later"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else None,
)  # fmt: skip
def test_what_is_wrong_is_said_with_what_mends_it(
    tmp_path: Path, check: Check, plan: dict[str, Any], entry: str, what: str, says: str
) -> None:
    with server(tmp_path, **plan) as bad:
        found = check(bad.url, entry)
    assert found.code == 3 and says in found.bad()[what], found.findings


@pytest.mark.parametrize("transport", ["inline", "file", "gemini"])
def test_a_server_that_samples_by_itself_is_asked_once_and_its_scores_are_said_to_be_its_own(
    tmp_path: Path, check: Check, transport: str
) -> None:
    with server(tmp_path) as well:
        found = check(well.url, f'transport = "{transport}"')
        assert [arrival.outcome for arrival in well.arrivals()] == ["ok", "404"]
    assert found.code == 0 and "the server chooses them" in found.findings["frames"]["says"]


def test_one_frame_at_a_time_and_few_frames_are_looked_at_as_far_as_they_go(tmp_path: Path, check: Check) -> None:
    with server(tmp_path, media_kwargs=False) as well:
        one = check(well.url, "limits = { max_frames = 1 }")
        few = check(well.url, 'transport = "video"\nlimits = { max_frames = 20 }')
    assert one.findings["frames"]["says"] == "one is shown at a time: none can be missing"
    assert "20 frames cost" in few.findings["frames"]["says"] and few.code == 0


def test_a_model_of_openai_needs_no_entry(
    tmp_path: Path, check: Check, videval: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with server(tmp_path, key=KEY) as well:
        monkeypatch.setenv("OPENAI_BASE_URL", well.url)
        shown = videval("endpoint", "check", "openai:stand-in")
    assert shown.code == 0 and "OPENAI_API_KEY is set" in shown.out and KEY not in shown.out + shown.err


def test_a_smaller_body_than_the_entry_knows_of_is_a_note(tmp_path: Path, check: Check) -> None:
    with server(tmp_path, max_body=3_000_000) as small:
        found = check(small.url)
    assert found.code == 0
    assert found.findings["body"]["mend"].startswith("limits = { max_body_mb = 1 } in [endpoints.lab]")


@pytest.mark.parametrize("path", ["", "/api", "/v2"])
def test_a_base_url_that_does_not_end_in_v1_is_found(tmp_path: Path, check: Check, path: str) -> None:
    with server(tmp_path) as well:
        url = well.url.removesuffix("/v1") + path
        found = check(url)
    assert found.code == 3 and f"{url}/chat/completions is not there (404)" in found.bad()["question"]
    assert f'-> base_url = "{url}/v1"' in found.bad()["question"]


def test_nobody_at_the_address_and_a_key_that_is_not_set_end_the_check(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LAB_KEY", raising=False)
    gone = check("http://127.0.0.1:9/v1")
    assert gone.code == 3 and list(gone.findings) == ["entry", "key", "address"]
    assert "does it run, and can it be reached from here?" in gone.bad()["address"]
    keyless = check("http://127.0.0.1:9/v1", 'key_env = "LAB_KEY"')
    assert list(keyless.findings) == ["entry", "key"]
    assert "LAB_KEY is not set -> export LAB_KEY=..." in keyless.bad()["key"]


def test_http_for_https_and_a_certificate_that_nobody_signed_are_said_so(tmp_path: Path, check: Check) -> None:
    with stand_in(tmp_path, tls=True) as safe:
        plain = check(safe.url.replace("https", "http"))
        untrusted = check(safe.url)
    assert "does it speak https?" in plain.bad()["address"]
    assert "is not trusted" in untrusted.bad()["address"] and "ca_file" in untrusted.bad()["address"]


def test_no_key_is_ever_shown(
    tmp_path: Path, check: Check, videval: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_KEY", KEY)
    with server(tmp_path, key=KEY) as well, server(tmp_path, key="another") as refusing:
        entry = 'key_env = "LAB_KEY"'
        found, refused = check(well.url, entry), check(refusing.url, entry)
        listed = [videval("list", "endpoints").out, videval("list", "endpoints", "--json").out]
    assert found.code == 0 and found.findings["key"]["says"] == "LAB_KEY is set"
    assert "export LAB_KEY=..." in refused.bad()["address"] and "resume" not in refused.bad()["address"]
    assert not [text for text in (found.said, refused.said, *listed) if KEY in text]


def test_an_unknown_endpoint_is_a_usage_error(tmp_path: Path, videval: Callable[..., Said]) -> None:
    none_yet = videval("endpoint", "check", "lab")
    assert none_yet.code == 2 and "[endpoints.lab] with base_url" in none_yet.err
    (tmp_path / "endpoints.toml").write_text('[endpoints.lab]\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "m"\n')
    assert "did you mean lab?" in videval("endpoint", "check", "lob").err


def test_endpoints_are_listed_with_whether_their_key_is_there(
    tmp_path: Path, videval: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no endpoints in" in videval("list", "endpoints").out
    monkeypatch.delenv("LAB_KEY", raising=False)
    (tmp_path / "endpoints.toml").write_text(
        '[endpoints.lab]\nbase_url = "http://gpu1:8000/v1"\nmodel = "m"\nkey_env = "LAB_KEY"\n'
        "prices = { prompt = 1.0, new = 2.0 }\n"
    )
    shown = videval("list", "endpoints")
    assert "LAB_KEY is not set" in shown.out and "1 + 2 USD" in shown.out
    (found,) = json.loads(videval("list", "endpoints", "--json").out)
    assert (found["name"], found["has_key"], found["base_urls"]) == ("lab", False, ["http://gpu1:8000/v1"])
