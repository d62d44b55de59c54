"""The file of endpoints, and the models that run there: names, limits, and what cannot be meant."""

import subprocess
import sys
from pathlib import Path

import pytest

from videval.errors import ModelUnavailable, UnknownName, UsageError
from videval.models.catalog import load_key, model_spec
from videval.models.endpoints import endpoint_of, endpoints, key_of
from videval.plain import plain, restored
from videval.settings import Settings
from videval.types import ModelSpec

LAB = """
[endpoints.lab]
base_url = "http://gpu1:8000/v1"
model = "Qwen/Qwen3-VL-8B-Instruct"
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without endpoints, and an environment without OpenAI's variables."""
    monkeypatch.setenv("VIDEVAL_HOME", str(tmp_path))
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "VIDEVAL_ENDPOINTS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def write(home: Path, text: str) -> None:
    (home / "endpoints.toml").write_text(text)


def refused(home: Path, text: str) -> tuple[str, str]:
    """What is said of a file, and the line that mends it."""
    write(home, text)
    with pytest.raises(UsageError) as caught:
        endpoints()
    return str(caught.value), caught.value.hint


@pytest.mark.parametrize(
    ("line", "said", "right"),
    [
        ('modell = "x"', "unknown key 'modell'", 'model = "x"'),
        ("timeout_s = '5'", "timeout_s must be a number", ""),
        ("timeout_s = 0", "timeout_s is 0", "timeout_s = 60"),
        ('transport = "carrier pigeon"', "transport must be 'frames' or 'video'", ""),
        ('transport = "video"\nserver = "openai"', "openai takes no video", 'server = "vllm"'),
        ("limits = { in_flight = -3 }", "in_flight is -3", "in_flight = 60"),
        ("limits = { in_fligth = 3 }", "limits: unknown key 'in_fligth'", "in_flight = 3"),
        ("limits = 3", "limits must be a table", ""),
        ("prices = { prompt = -1, new = 2 }", "prompt is -1", "0 or more"),
        ("prices = { prompt = 1 }", "new is missing", "new ="),
        ("quality = 400", "quality 400", "1 to 100"),
        ('frame_mark = "{when}"', "cannot be filled in", "{n}"),
        ('api_key = "sk-very-secret"', "no api_key is read from a file", "key_env"),
        ('key_env = "sk-very-secret"', "is no variable's name", "key_env"),
    ],
)
def test_an_entry_that_cannot_be_meant_is_refused_with_what_is_right(
    home: Path, line: str, said: str, right: str
) -> None:
    message, hint = refused(home, LAB + line)
    assert "[endpoints.lab]" in message and said in message and right in hint
    assert "very-secret" not in message + hint


@pytest.mark.parametrize(
    ("url", "said", "right"),
    [
        ('"gpu1:8000/v1"', "no http address", "http://"),
        ('"ftp://gpu1/v1"', "no http address", "http://"),
        ('"http://gpu1:99999/v1"', "ort", "http://"),
        ('"http://gpu1:8000/v1/chat/completions"', "one call of the API", '"http://gpu1:8000/v1"'),
        ('"http://gpu1:8000/v1?key=5"', "has a ? or #", "http://"),
        ('"http://me:secret@gpu1:8000/v1"', "has a password in it", "key_env"),
        ("8000", "must be a text", "http://"),
        ("[]", "base_url is missing", "http://"),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused(home: Path, url: str, said: str, right: str) -> None:
    message, hint = refused(home, f'[endpoints.lab]\nmodel = "m"\nbase_url = {url}\n')
    assert said in message and right in hint and "secret" not in message + hint


@pytest.mark.parametrize("text", ["endpoints = 3", "[endpoint.lab]", "[endpoints.openai]", "[endpoints.'a b']", "= 3"])
def test_a_file_that_is_no_table_of_endpoints_is_refused(home: Path, text: str) -> None:
    refused(home, text)


def test_without_a_file_there_are_no_endpoints_and_the_error_says_how_to_write_one(home: Path) -> None:
    assert endpoints() == {}
    with pytest.raises(UnknownName) as caught:
        model_spec("endpoint:lab")
    assert "[endpoints.lab]" in caught.value.hint and str(home) in caught.value.hint


def test_a_name_that_comes_close_is_offered(home: Path) -> None:
    write(home, LAB)
    with pytest.raises(UnknownName) as caught:
        model_spec("endpoint:lap")
    assert "lab" in caught.value.hint


def test_the_file_may_lie_elsewhere(tmp_path: Path) -> None:
    write(tmp_path, LAB)
    elsewhere = (tmp_path / "endpoints.toml").rename(tmp_path / "mine.toml")
    assert set(endpoints(Settings(home=tmp_path / "none", endpoints=elsewhere))) == {"lab"}


def test_an_endpoint_is_a_model_with_the_limits_of_its_entry(home: Path) -> None:
    more = 'transport = "video"\nimages = false\nlimits = { max_frames = 64, context = 8192 }\nextra = { top_a = 1 }'
    write(home, LAB + more)
    spec = model_spec("endpoint:lab")
    assert (spec.name, spec.adapter, spec.checkpoint) == ("endpoint:lab", "openai_api", "Qwen/Qwen3-VL-8B-Instruct")
    assert (spec.form, spec.clips, spec.images, spec.max_frames, spec.context) == ("video", 1, False, 64, 8192)
    assert not spec.needs_device and spec.remote is not None and spec.remote.extra == {"top_a": 1}
    assert restored(ModelSpec, plain(spec)) == spec


def test_frames_as_images_are_limited_by_the_images_of_a_body(home: Path) -> None:
    write(home, LAB + "limits = { max_frames = 64, max_images = 20 }")
    assert model_spec("endpoint:lab").max_frames == 20


def test_a_model_that_takes_no_images_cannot_be_sent_frames_as_images(home: Path) -> None:
    write(home, LAB + "images = false")
    with pytest.raises(UsageError, match="takes no images"):
        model_spec("endpoint:lab")


def test_the_load_key_has_what_answers_depend_on_and_nothing_else(home: Path) -> None:
    def key(more: str) -> str:
        write(home, LAB + more)
        return load_key(model_spec("endpoint:lab"), "auto")

    plainly = key("")
    for same in ('key_env = "LAB_KEY"', "timeout_s = 5", "limits = { in_flight = 3 }", "prices = {prompt=1, new=2}"):
        assert key(same) == plainly
    for other in ('transport = "video"', 'image = "jpeg"', "extra = { a = 1 }", 'frame_mark = "{n}: "'):
        assert key(other) != plainly
    assert plainly.startswith("openai_api:Qwen/Qwen3-VL-8B-Instruct@:auto:x1:endpoint=lab+")


def test_openai_needs_no_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = model_spec("openai:gpt-x")
    assert (spec.checkpoint, spec.form) == ("gpt-x", "frames")
    assert endpoint_of(spec).base_urls == ("https://api.openai.com/v1",)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://proxy:9/v1/")
    assert endpoint_of(model_spec("openai:gpt-x")).base_urls == ("http://proxy:9/v1",)
    assert load_key(model_spec("openai:gpt-x"), "auto") != load_key(spec, "auto")


def test_a_run_is_never_answered_from_another_address_than_it_was_made_for(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = model_spec("openai:gpt-x")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://proxy:9/v1")
    with pytest.raises(ModelUnavailable) as caught:
        endpoint_of(spec)
    assert "OPENAI_BASE_URL=https://api.openai.com/v1" in caught.value.hint


def test_a_run_keeps_the_way_of_asking_that_it_was_made_with(home: Path) -> None:
    write(home, LAB + 'transport = "video"')
    spec = model_spec("endpoint:lab")
    write(home, LAB.replace("Qwen3", "Qwen9").replace("gpu1", "gpu2"))
    found = endpoint_of(spec)
    assert (found.model, found.transport) == ("Qwen/Qwen3-VL-8B-Instruct", "video")
    assert found.base_urls == ("http://gpu2:8000/v1",)


def test_a_key_is_read_when_it_is_used_and_stands_in_no_record(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home, LAB + 'key_env = "LAB_KEY"')
    monkeypatch.setenv("LAB_KEY", "sk-very-secret")
    found = endpoint_of("endpoint:lab")
    assert key_of(found) == "sk-very-secret"
    assert "very-secret" not in repr(found) + repr(model_spec("endpoint:lab"))
    monkeypatch.delenv("LAB_KEY")
    with pytest.raises(ModelUnavailable) as caught:
        key_of(found)
    assert "LAB_KEY is not set" in str(caught.value) and "export LAB_KEY" in caught.value.hint


@pytest.mark.parametrize("key", ["sk-very secret", "sk-very\nsecret", "sk-verÿ-secret"])
def test_a_key_that_cannot_be_sent_is_said_without_it(home: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    write(home, LAB + 'key_env = "LAB_KEY"')
    monkeypatch.setenv("LAB_KEY", key)
    with pytest.raises(ModelUnavailable) as caught:
        key_of(endpoint_of("endpoint:lab"))
    assert "LAB_KEY" in str(caught.value) and "sk-" not in str(caught.value)


def test_an_endpoint_without_a_key_needs_none(home: Path) -> None:
    write(home, LAB)
    assert key_of(endpoint_of("endpoint:lab")) == ""


def test_naming_a_model_at_an_endpoint_imports_no_client(home: Path) -> None:
    write(home, LAB)
    code = (
        "import sys, videval.orders; from videval.models.catalog import model_spec;"
        "model_spec('endpoint:lab'); model_spec('openai:gpt-x'); sys.exit('openai' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_price_counts_cached_tokens_as_the_table_says(home: Path) -> None:
    write(home, LAB + "prices = { prompt = 2.0, cached = 0.5, new = 8.0 }")
    prices = endpoint_of("endpoint:lab").prices
    assert prices is not None
    assert prices.cost(prompt=1_000_000, cached=500_000, new=250_000) == pytest.approx(1.0 + 0.25 + 2.0)
    write(home, LAB + "prices = { prompt = 2.0, new = 8.0 }")
    prices = endpoint_of("endpoint:lab").prices
    assert prices is not None and prices.cost(prompt=1_000_000, cached=500_000, new=0) == pytest.approx(2.0)
