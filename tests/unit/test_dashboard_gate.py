"""The gate before the dashboard: what it lets through, and what it says to the rest."""

import asyncio
import time
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlencode

import pytest

from dashboard import access
from dashboard.access import DAY_S, Gate, cookie_name, is_signed, signed

NOW = 1_800_000_000.0
PASSWORD = "Sesam öffne dich"


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "WRONG_PAUSE_S", 0.0)


def ask(
    method: str = "GET",
    path: str = "/",
    *,
    kind: str = "http",
    query: str = "",
    cookie: str = "",
    form: bytes = b"",
    scheme: str = "http",
    password: str = PASSWORD,
) -> dict[str, Any]:
    """What a request gets: status, headers, body, and whether the application saw it."""
    said: list[MutableMapping[str, Any]] = []
    found: dict[str, Any] = {"seen": False}

    async def app(*_: Any) -> None:
        found["seen"] = True

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": form, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        said.append(message)

    scope = {
        "type": kind,
        "method": method,
        "path": path,
        "scheme": scheme,
        "query_string": query.encode(),
        "headers": [(b"cookie", cookie.encode("latin-1"))] if cookie else [],
    }
    asyncio.run(Gate(app, password)(scope, receive, send))
    for message in said:
        found |= message
    found["headers"] = {k.decode(): v.decode() for k, v in found.get("headers", [])}
    return found


def with_password(given: str, **more: Any) -> dict[str, Any]:
    return ask("POST", form=urlencode({"password": given}).encode(), **more)


def fresh_cookie() -> str:
    return f"{cookie_name()}={signed(time.time())}"


@pytest.mark.parametrize("path", ["/", "/run", "/samples", "/static/js/index.js", "/media/abc.mp4", "/_stcore/stream"])
def test_without_the_cookie_nothing_but_the_form_is_served(path: str) -> None:
    got = ask(path=path)
    assert not got["seen"]
    assert got["status"] == 401
    assert b'type="password"' in got["body"]
    assert got["headers"]["cache-control"] == "no-store"


def test_a_websocket_without_the_cookie_is_closed() -> None:
    got = ask(path="/_stcore/stream", kind="websocket")
    assert not got["seen"]
    assert got["type"] == "websocket.close"


@pytest.mark.parametrize(("kind", "path"), [("lifespan", "/"), ("http", "/_stcore/health")])
def test_whether_it_lives_is_told_to_all(kind: str, path: str) -> None:
    assert ask(path=path, kind=kind)["seen"]


def test_without_a_password_there_is_no_gate() -> None:
    assert ask(password="")["seen"]


def test_the_password_gives_the_cookie_and_the_page_that_was_asked_for() -> None:
    got = with_password(PASSWORD, path="/samples", query="run=a%26b&sample=7")
    assert (got["status"], got["headers"]["location"]) == (303, "/samples?run=a%26b&sample=7")
    cookie, *rules = got["headers"]["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Lax", "Path=/", f"Max-Age={DAY_S}"} <= set(rules)
    assert "Secure" not in rules
    assert ask(cookie=cookie)["seen"]
    assert ask(path="/_stcore/stream", kind="websocket", cookie=f"other=1; {cookie}")["seen"]


def test_over_https_the_cookie_stays_there() -> None:
    assert "Secure" in with_password(PASSWORD, scheme="https")["headers"]["set-cookie"]


@pytest.mark.parametrize("given", ["", "wrong", PASSWORD + " ", PASSWORD[:-1], "x" * 100_000])
def test_another_password_gives_the_form_again(given: str) -> None:
    got = with_password(given)
    assert (got["status"], got["seen"]) == (401, False)
    assert b"not the password" in got["body"]
    assert "set-cookie" not in got["headers"]


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("//evil.example/x", "/evil.example/x"),
        ("/\\evil.example", "/%5Cevil.example"),
        ("/a\r\nX: y", "/a%0D%0AX%3A%20y"),
    ],
)
def test_no_address_leads_to_another_host_or_into_the_headers(path: str, location: str) -> None:
    assert with_password(PASSWORD, path=path)["headers"]["location"] == location


def test_a_signature_is_for_a_day_and_for_what_it_signs() -> None:
    cookie = signed(NOW)
    assert is_signed(cookie, NOW)
    assert is_signed(cookie, NOW + DAY_S - 1)
    assert not is_signed(cookie, NOW + DAY_S + 1)
    until, _, signature = cookie.partition(".")
    for forged in (
        f"{int(until) + 1}.{signature}",
        f"{until}.{signature[:-1]}0x",
        until,
        f".{signature}",
        "",
        None,
        "é.é",
    ):
        assert not is_signed(forged, NOW)


def test_a_process_that_is_started_anew_knows_no_older_signature() -> None:
    cookie = signed(NOW)
    access._secret.cache_clear()
    assert not is_signed(cookie, NOW)


@pytest.mark.parametrize("cookie", ["", "=", "a=b; ;;", 'x="', "\xff=\xfe"])
def test_a_cookie_that_is_none_of_ours_is_no_cookie(cookie: str) -> None:
    assert not ask(cookie=cookie)["seen"]
    assert ask(cookie=fresh_cookie())["seen"]
