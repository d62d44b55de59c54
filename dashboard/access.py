"""Who may look: everybody on this machine, elsewhere whoever knows the password.

The server (`dashboard/server.py`) stands a gate before everything that it serves: without a signed cookie there is the
form for the password at whatever address was asked for, and nothing else. A page looks at the cookie once more, so
that `streamlit run dashboard/app.py`, which has no gate, asks for the password too.
"""

import asyncio
import hmac
import ipaddress
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, quote

import streamlit as st

from videval.settings import Settings

__all__ = ["Gate", "admit", "cookie_name", "is_loopback", "is_signed", "signed"]

DAY_S = 86400
WRONG_PAUSE_S = 1.0
LONGEST_FORM = 4096
OPEN_PATH = "/_stcore/health"
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

FORM = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>videval</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>:root{{color-scheme:light dark}}body{{font:16px/1.5 system-ui,sans-serif;margin:20vh auto;max-width:22rem;
padding:0 1rem}}input,button{{font:inherit;width:100%;box-sizing:border-box;padding:.5rem;margin:.3rem 0}}
</style></head><body><main><h1>videval</h1><p role="alert">{said}</p><form method="post">
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" autofocus required>
<button>Show the dashboard</button></form></main></body></html>"""


def is_loopback(address: str | None) -> bool:
    """Whether only this machine can reach a server on this address; None is every address."""
    if not address:
        return False
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False


@cache
def _secret() -> bytes:
    """What this process signs with: a dashboard that is started anew asks for the password again."""
    return secrets.token_bytes(32)


def _signature(until: str) -> str:
    return hmac.new(_secret(), until.encode(), "sha256").hexdigest()


def signed(now: float) -> str:
    """What a cookie holds: until when (seconds since the epoch) its owner may look, signed."""
    until = str(int(now) + DAY_S)
    return f"{until}.{_signature(until)}"


def is_signed(cookie: object, now: float) -> bool:
    """Whether this process signed this cookie (whatever stands there), and for a time that is not over."""
    until, _, signature = cookie.partition(".") if isinstance(cookie, str) else ("", "", "")
    is_ours = hmac.compare_digest(signature.encode(), _signature(until).encode())
    return is_ours and now < int(until)


def cookie_name() -> str:
    """A browser sends a host's cookies to each of its ports: dashboards side by side must not share one."""
    return f"videval-session-{st.get_option('server.port')}"


class Gate:
    """Stands before the whole server and lets those through who have the cookie or bring the password."""

    def __init__(self, app: App, password: str) -> None:
        self._app = app
        self._password = password

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        open_to_all = scope["type"] == "lifespan" or scope.get("path") == OPEN_PATH
        if not self._password or open_to_all or is_signed(_cookie(scope), time.time()):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        elif scope["method"] == "POST":
            await self._try(scope, receive, send)
        else:
            await _answer(send, 401, FORM.format(said=""))

    async def _try(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The right password gives the cookie, and the page that was asked for."""
        given = parse_qs(await _body(receive)).get("password", [""])[0]
        if not _is_password(given, self._password):
            await asyncio.sleep(WRONG_PAUSE_S)
            await _answer(send, 401, FORM.format(said="That is not the password."))
            return
        secure = "; Secure" if scope["scheme"] == "https" else ""
        rules = f"Max-Age={DAY_S}; Path=/; HttpOnly; SameSite=Lax{secure}"
        query = scope["query_string"].decode("latin-1")
        location = "/" + quote(scope["path"].lstrip("/")) + (f"?{query}" if query else "")  # "//" is another host
        headers = {"location": location, "set-cookie": f"{cookie_name()}={signed(time.time())}; {rules}"}
        await _answer(send, 303, "", headers)


def _cookie(scope: Scope) -> str | None:
    """The session's cookie of a request."""
    for name, value in scope["headers"]:
        if name == b"cookie":
            try:
                found = SimpleCookie(value.decode("latin-1")).get(cookie_name())
            except CookieError:
                return None
            return found.value if found else None
    return None


async def _body(receive: Receive) -> str:
    """The form of a request, as far as it is of a sensible length."""
    body, more = b"", True
    while more and len(body) <= LONGEST_FORM:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body[:LONGEST_FORM].decode("utf-8", "replace")


async def _answer(send: Send, status: int, page: str, more: MutableMapping[str, str] | None = None) -> None:
    content = page.encode()
    headers = {
        "content-type": "text/html; charset=utf-8",
        "content-length": str(len(content)),
        "cache-control": "no-store",
        **(more or {}),
    }
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": content})


def _is_password(given: str, password: str) -> bool:
    return hmac.compare_digest(given.encode(), password.encode())


def admit(settings: Settings) -> bool:
    """Whether to show the page; else says what is missing, or asks for the password."""
    password = settings.dashboard_password.get_secret_value()
    address = st.get_option("server.address")
    if not password and not is_loopback(address):
        st.error("This dashboard listens to other machines and has no password, so it shows nothing.")
        st.text("Either listen on this machine only, or set a password:")
        st.code("videval dashboard\nexport VIDEVAL_DASHBOARD_PASSWORD=...", language="bash")
        return False
    if not password or st.session_state.get("admitted"):
        return True
    if is_signed(st.context.cookies.get(cookie_name()), time.time()):
        return True
    return _ask(password)


def _ask(password: str) -> bool:
    with st.form("login", width=420):
        st.subheader("videval")
        given = st.text_input("Password", type="password")
        if not st.form_submit_button("Show the dashboard", type="primary"):
            return False
    if _is_password(given, password):
        st.session_state["admitted"] = True
        st.rerun()
    time.sleep(WRONG_PAUSE_S)
    st.error("That is not the password.")
    return False
