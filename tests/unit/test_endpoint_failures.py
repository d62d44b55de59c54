"""What an endpoint's errors mean: whose they are, whether waiting mends them, and that no key is told."""

import itertools
import json
import ssl
from dataclasses import replace
from typing import Any

import pytest

from videval.errors import ApiFailure, ApiRefused, ContextExceeded, RunHalted, VidevalError
from videval.models.endpoint_file import Prices
from videval.models.openai_api.answers import read_answer
from videval.models.openai_api.failures import (
    Asked,
    Filtered,
    Throttled,
    connection_failure,
    retry_after,
    status_failure,
)

KEY = "sk-very-secret-0123456789"
ASKED = Asked(endpoint="lab", url="http://gpu1:8000/v1", model="m", key_env="LAB_KEY", key=KEY)


def failure(status: int, body: Any, asked: Asked = ASKED) -> VidevalError | Throttled | Filtered:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return status_failure(status, raw, {}, asked)


def openai_error(message: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "code": code}}


CONTEXT = [
    openai_error("This model's maximum context length is 4096 tokens.", "context_length_exceeded"),
    {"object": "error", "message": "The decoder prompt (length 9000) is longer than the maximum model length of 4096."},
    {"error": {"message": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."}},
    {"code": "InvalidParameter", "message": "Range of input length should be [1, 30720]"},
    {"detail": "The input (9000 tokens) is longer than the model's context length (4096 tokens)."},
]
FILTERED = [
    openai_error("The response was filtered by Azure OpenAI's content management policy.", "content_filter"),
    openai_error("Your chosen model requires moderation and your input was flagged for violence."),
    {"error": {"code": "data_inspection_failed", "message": "Input data may contain inappropriate content."}},
]


@pytest.mark.parametrize("body", CONTEXT)
def test_a_prompt_that_is_too_long_is_known_in_every_servers_words(body: Any) -> None:
    assert isinstance(failure(400, body), ContextExceeded)


@pytest.mark.parametrize("body", FILTERED)
def test_a_prompt_that_is_held_back_is_no_failure(body: Any) -> None:
    assert isinstance(failure(400, body), Filtered) and isinstance(failure(403, body), Filtered)


@pytest.mark.parametrize(
    ("status", "body", "said", "right"),
    [
        (
            401,
            openai_error(f"Incorrect API key provided: {KEY}.", "invalid_api_key"),
            "does not accept the key",
            "export",
        ),
        (403, b"<h1>Forbidden</h1>", "does not accept the key", "export LAB_KEY"),
        (402, openai_error("Payment required"), "wants to be paid", "resume"),
        (429, openai_error("You exceeded your current quota", "insufficient_quota"), "wants to be paid", "resume"),
        (404, openai_error("The model `m` does not exist.", "model_not_found"), "has no model m", "videval cancel RUN"),
        (404, {"detail": "Not Found"}, "chat/completions is not there", "base_url"),
        (404, b"<!doctype html><h1>404</h1>", "chat/completions is not there", "base_url"),
        (400, openai_error("Unsupported value: 'temperature'", "unsupported_value"), "temperature", "omit"),
        (400, openai_error("not below `--allowed-local-media-path`"), "below", "--allowed-local-media-path"),
        (400, openai_error("x" * 900 + " --trust-request-mm-kwargs"), "xxx", "--trust-request-mm-kwargs"),
    ],
)
def test_what_all_requests_would_meet_halts_the_run(status: int, body: Any, said: str, right: str) -> None:
    found = failure(status, body)
    assert isinstance(found, RunHalted) and said in str(found) and right in found.hint


def test_an_address_without_a_path_is_offered_with_one() -> None:
    found = failure(404, {"detail": "Not Found"}, Asked(endpoint="lab", url="http://gpu1:8000", model="m"))
    assert isinstance(found, RunHalted) and 'base_url = "http://gpu1:8000/v1"' in found.hint


@pytest.mark.parametrize("status", [408, 409, 500, 502, 503, 504, 529])
def test_a_server_in_trouble_is_asked_again(status: int) -> None:
    found = failure(status, b"<h1>Bad Gateway</h1>")
    assert isinstance(found, ApiFailure) and not found.permanent and found.status == status
    assert "Bad Gateway" in str(found)


def test_a_request_that_is_not_taken_is_not_sent_again() -> None:
    found = failure(400, openai_error("At most 2 image(s) may be provided in one prompt."))
    assert isinstance(found, ApiRefused) and found.permanent and "At most 2 image(s)" in str(found)
    assert "--limit-mm-per-prompt" in found.hint
    large = failure(413, b"<h1>Request Entity Too Large</h1>")
    assert isinstance(large, ApiRefused) and "max_body_mb" in large.hint


def test_too_many_requests_are_no_failure_but_a_pause() -> None:
    found = status_failure(429, b"{}", {"retry-after": "3"}, ASKED)
    assert isinstance(found, Throttled) and found.retry_after == 3


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "99999999"}, 600.0),
        ({"retry-after": "-4"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:10 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 10.0),
    ],
)
def test_how_long_to_wait_is_understood_as_the_server_means_it(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 500])
@pytest.mark.parametrize("form", ["error", "message", "text"])
def test_a_key_that_comes_back_is_never_told(status: int, form: str) -> None:
    said = f"your key {KEY} is bad " + "x" * 500 + KEY
    body = {"error": openai_error(said, KEY), "message": {"message": said, "code": KEY}, "text": said.encode()}[form]
    found = failure(status, body)
    assert isinstance(found, VidevalError)
    assert "very-secret" not in str(found) + found.hint + repr(found.__notes__) and len(str(found)) < 500


def caused(*errors: BaseException) -> BaseException:
    """Errors of which each is the cause of the one before."""
    for error, cause in itertools.pairwise(errors):
        error.__cause__ = cause
    return errors[0]


def test_a_refused_connection_is_asked_again_and_says_where() -> None:
    found = connection_failure(caused(RuntimeError("Connection error."), ConnectionRefusedError(111, "refused")), ASKED)
    assert isinstance(found, ApiFailure) and "gpu1:8000" in str(found) and "refused" in str(found)


def tls(kind: type[ssl.SSLError], reason: str) -> ssl.SSLError:
    error = kind(1, f"[SSL: {reason}]")
    error.reason = reason
    return error


def test_tls_that_can_never_work_halts_the_run_with_what_to_write() -> None:
    https = Asked(endpoint="lab", url="https://gpu1:8000/v1", model="m")
    untrusted = connection_failure(
        caused(RuntimeError(), tls(ssl.SSLCertVerificationError, "CERTIFICATE_VERIFY")), https
    )
    assert isinstance(untrusted, RunHalted) and "ca_file" in untrusted.hint
    none = connection_failure(caused(RuntimeError(), tls(ssl.SSLError, "WRONG_VERSION_NUMBER")), https)
    assert isinstance(none, RunHalted) and 'base_url = "http://gpu1:8000/v1"' in none.hint


def test_tls_that_broke_off_is_asked_again() -> None:
    https = Asked(endpoint="lab", url="https://gpu1:8000/v1", model="m")
    assert isinstance(connection_failure(tls(ssl.SSLError, "UNEXPECTED_EOF_WHILE_READING"), https), ApiFailure)


def test_one_of_several_addresses_never_halts_the_run_by_its_tls() -> None:
    one = Asked(endpoint="lab", url="https://gpu1:8000/v1", model="m", is_only=False)
    assert isinstance(connection_failure(tls(ssl.SSLError, "WRONG_VERSION_NUMBER"), one), ApiFailure)


def test_http_to_an_https_address_is_asked_about() -> None:
    found = connection_failure(RuntimeError("Server disconnected without sending a response."), ASKED)
    assert "does it speak https?" in getattr(found, "hint", "")


# what is in an answer


def answer(message: dict[str, Any] | None = None, reason: str = "stop", usage: Any = None, **more: Any) -> str:
    choice = {"index": 0, "message": {"role": "assistant", "content": "A"} | (message or {}), "finish_reason": reason}
    return json.dumps({"choices": [choice], "usage": usage} | more)


JSON = "application/json; charset=utf-8"


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        ("<!doctype html><h1>Sign in</h1>", "text/html", "text/html, not JSON: <!doctype html><h1>Sign in"),
        (answer()[:20], JSON, "half a JSON"),
        ("", JSON, "half a JSON: nothing"),
        ("[]", JSON, "no object"),
        ('{"choices": []}', JSON, "without choices"),
        ('{"choices": [null]}', JSON, "without choices"),
        ('{"choices": [{"message": "A"}]}', JSON, "without choices"),
        ('{"choices": {"0": {}}}', JSON, "without choices"),
        ('{"error": {"message": "overloaded"}}', JSON, "overloaded"),
        ("[" * 100_000, JSON, "half a JSON"),
        ("\ufffd\x00", "application/octet-stream", "octet-stream, not JSON"),
    ],
)
def test_what_is_no_answer_is_a_failure_that_shows_what_came(content: str, kind: str, said: str) -> None:
    with pytest.raises(ApiFailure) as caught:
        read_answer(content, kind, None)
    assert said in str(caught.value) and not caught.value.permanent and len(str(caught.value)) < 400


def test_an_answer_counts_as_one_whatever_its_content_type() -> None:
    assert read_answer(answer(), "text/plain", None).text == "A"


def test_tokens_and_cost_are_read_where_the_server_says_them() -> None:
    usage = {
        "prompt_tokens": 1000,
        "completion_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 600},
        "completion_tokens_details": {"reasoning_tokens": 40},
    }
    got = read_answer(answer(usage=usage), JSON, Prices(prompt=1.0, cached=0.1, new=10.0))
    assert (got.prompt_tokens, got.new_tokens, got.cached_tokens, got.reasoning_tokens) == (1000, 50, 600, 40)
    assert got.cost == pytest.approx((400 * 1.0 + 600 * 0.1 + 50 * 10.0) / 1e6)


@pytest.mark.parametrize("usage", [None, [], {"prompt_tokens": "9"}, {"prompt_tokens": True}, {"prompt_tokens": -1}])
def test_usage_that_cannot_be_meant_is_not_known(usage: Any) -> None:
    got = read_answer(answer(usage=usage), JSON, Prices(prompt=1.0, new=1.0))
    assert got.prompt_tokens is None and got.cost is None


def test_a_number_of_cached_tokens_that_cannot_be_makes_no_negative_cost() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": 99}}
    got = read_answer(answer(usage=usage), JSON, Prices(prompt=1.0, cached=0.0, new=1.0))
    assert got.cost == 0


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thinking_is_kept_apart_as_the_server_parts_it(field: str) -> None:
    got = read_answer(answer({field: "Let me see.", "content": "\n\nB"}), JSON, None)
    assert (got.thinking, got.text) == ("Let me see.", "B")


@pytest.mark.parametrize("text", ["<think>Let me see.</think>\n\nB", "Let me see.\n</think>\n\nB"])
def test_thinking_is_kept_apart_by_its_marks_where_the_server_does_not(text: str) -> None:
    got = read_answer(answer({"content": text}), JSON, None)
    assert (got.thinking, got.text) == ("Let me see.", "B")


def test_thinking_that_was_cut_off_is_no_answer() -> None:
    for message in ({"content": "<think>Let me"}, {"content": None, "reasoning_content": "Let me"}):
        assert read_answer(answer(message, "length"), JSON, None).cut_thinking


def test_what_ended_at_its_longest_is_truncated() -> None:
    assert read_answer(answer(reason="length"), JSON, None).truncated
    assert not read_answer(answer(), JSON, None).truncated


def test_what_was_held_back_is_refused_and_has_no_text() -> None:
    filtered = read_answer(answer({"content": "The"}, "content_filter"), JSON, None)
    assert (filtered.refused, filtered.text) == ("content_filter", "")
    refusal = read_answer(answer({"content": None, "refusal": "I cannot help with that."}), JSON, None)
    assert (refusal.refused, refusal.text) == ("refusal: I cannot help with that.", "")


def test_content_in_parts_is_one_text() -> None:
    parts = [{"type": "text", "text": "A"}, {"type": "text", "text": "."}]
    assert read_answer(answer({"content": parts}), JSON, None).text == "A."
    assert read_answer(answer({"content": None}), JSON, None).text == ""


def test_a_small_body_is_not_why_a_server_hangs_up() -> None:
    reset = ConnectionResetError("Connection reset by peer")
    assert "does it speak https?" in connection_failure(reset, ASKED, sent=2_000).hint
    assert "max_body_mb" in connection_failure(reset, ASKED, sent=20_000_000).hint


def test_a_list_of_models_that_is_not_there_says_nothing_of_a_model() -> None:
    body = openai_error("/models was not found: is the model server up?")
    found = status_failure(404, json.dumps(body).encode(), {}, ASKED, call="/models")
    assert "/models is not there (404)" in str(found) and "has no model" not in str(found)


@pytest.mark.parametrize(
    ("url", "cause", "said", "right"),
    [
        ("http://gpu1:8000/v1", ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 9)"), "refused", "run"),
        (
            "https://gpu1:8000/v1",
            tls(ssl.SSLWantReadError, "(read) (_ssl.c:1006)"),
            "within its time",
            '"http://gpu1:8000',
        ),
    ],
)
def test_a_connection_is_told_of_in_plain_words(url: str, cause: OSError, said: str, right: str) -> None:
    error = caused(RuntimeError("x"), TimeoutError("Cancelled via cancel scope 7f24"), cause)
    found = connection_failure(error, replace(ASKED, url=url))
    assert isinstance(found, VidevalError)
    assert said in str(found) and right in found.hint
    assert not any(raw in str(found) for raw in ("cancel scope", "_ssl.c", "call failed"))
