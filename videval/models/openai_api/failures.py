"""What an endpoint's error means: whose it is, whether waiting mends it, and the line that does.

A key never stands in what is said: a server may send it back.
"""

import json
import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from videval.errors import ApiFailure, ApiRefused, ContextExceeded, RunHalted, VidevalError

__all__ = [
    "ANEW",
    "CHAT",
    "MODELS",
    "RESTART",
    "Asked",
    "Filtered",
    "Throttled",
    "connection_failure",
    "excerpt",
    "retry_after",
    "status_failure",
]

SHOWN = 200
"""Characters of what a server sent that are told."""
SHORTEST_KEY = 8
RESUME = "videval resume RUN"
ANEW = "then enqueue again, as a new run; this one: videval cancel RUN"
CHAT, MODELS = "/chat/completions", "/models"
"""Calls of the API."""
RESTART = "where workers stay up, start them again"
"""A worker reads keys once, when it first asks."""
LATE = "nothing came within its time"
LARGE = 500_000
"""Bytes of a body that may be why a server hangs up before it has it."""
LONGEST_ERROR = 2**16
"""Bytes of an error's body that are looked at."""
LONGEST_PAUSE = 600.0
"""Seconds; a server that asks for more is asked again after that."""
_CONTEXT = re.compile(
    r"context_length_exceeded|context.{0,20}length|context.{0,20}window|max_model_len|maximum model length"
    r"|input is too long|prompt is too long|too many (input )?tokens|input token count|range of input length"
    r"|longer than the model",
    re.IGNORECASE,
)
_FILTER = re.compile(
    r"content_filter|content_policy|data_inspection_failed|ResponsibleAIPolicy|content management policy"
    r"|prohibited_content|flagged as potentially violating|input was flagged",
    re.IGNORECASE,
)
_SPENT = re.compile(r"insufficient_quota|billing|exceeded your current quota|insufficient.{0,10}(balance|credit)", re.I)
_SETTINGS: Mapping[re.Pattern[str], str] = {
    re.compile(r"unsupported_(parameter|value)|unknown_parameter|unrecognized request argument", re.IGNORECASE): (
        'omit = ["FIELD"] in the endpoint\'s entry, then enqueue again'
    ),
    re.compile(r"trust.request.mm.kwargs"): f"start vLLM with --trust-request-mm-kwargs, then {RESUME}",
    re.compile(r"allowed.local.media.path"): f"start vLLM with --allowed-local-media-path FOLDER, then {RESUME}",
}
"""What a server says in a 400 that no request of the run is spared -> the line that mends it."""
_AT_MOST = re.compile(r"at most \d+ (image|video)", re.IGNORECASE)
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL")
"""What OpenSSL calls an answer that is no TLS."""
_MODEL = re.compile(r"model", re.IGNORECASE)
HELD_BACK = (400, 403, 422, 451)
"""Statuses by which a content filter answers."""
PASSING = (408, 409, 425)
"""Statuses below 500 that are tried again."""


class Throttled(Exception):
    """429: there are too many; `retry_after` seconds, if the endpoint says how many."""

    def __init__(self, retry_after: float | None) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


class Filtered(Exception):
    """The endpoint holds the prompt back: that is an answer of its kind."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What was asked where; `key` is only to be left out of what is said, `is_only`: there is no other address."""

    endpoint: str
    url: str
    model: str
    key_env: str = ""
    key: str = field(default="", repr=False)
    is_only: bool = True

    @property
    def entry(self) -> str:
        """Where it is set."""
        return f"[endpoints.{self.endpoint}]"

    def keyless(self, text: str) -> str:
        """The text without the key; one that is too short to be one may be anybody's word."""
        return text.replace(self.key, "***") if len(self.key) >= SHORTEST_KEY else text

    def safe(self, text: str) -> str:
        """The text without the key, in one line, cut."""
        return excerpt(self.keyless(text))


def excerpt(text: str) -> str:
    """The beginning of what came, in one line."""
    line = " ".join(text[: 10 * SHOWN].split())
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}..."


def status_failure(
    status: int, body: bytes, headers: Mapping[str, str], asked: Asked, *, call: str = CHAT
) -> VidevalError | Throttled | Filtered:
    """What a status that is not 2xx means; `call`: of the API, below its base."""
    about = _told(body, asked)
    said, where = excerpt(about.message) or "nothing", f"{asked.endpoint} ({asked.url})"
    if status == 429 and not about.has(_SPENT):
        return Throttled(retry_after(headers))
    if status in HELD_BACK and about.has(_FILTER):
        return Filtered(said)
    if status in (404, 405):
        return _absent(status, about, said, where, asked, call)
    failure: VidevalError | None = _halted(status, about, said, where, asked)
    failure = failure or _passing(status, said, where) or _refused(status, about, said, where)
    if isinstance(failure, ApiFailure):
        failure.status = status
    return failure


def _passing(status: int, said: str, where: str) -> ApiFailure | None:
    """What another try may mend."""
    is_passing = status >= 500 or status in PASSING
    return ApiFailure(f"{where} answered {status}: {said}", hint="see the server's own log") if is_passing else None


def _refused(status: int, about: "_Told", said: str, where: str) -> VidevalError:
    """What this request would meet again."""
    if about.has(_CONTEXT):
        return ContextExceeded(f"{where}: {said}", hint="fewer frames, fewer pixels, or a lower --max-new-tokens")
    if status == 413:
        right = 'fewer frames, smaller ones (--max-pixels), or image = "jpeg"; max_body_mb says it at enqueue'
        return ApiRefused(f"{where} takes no body of that size: {said}", hint=right)
    right = 'fewer frames, more of the server (--limit-mm-per-prompt), or transport = "video"'
    right = right if about.has(_AT_MOST) else "see the endpoint's entry: server, omit"
    return ApiRefused(f"{where} refuses the request ({status}): {said}", hint=right)


def _halted(status: int, about: "_Told", said: str, where: str, asked: Asked) -> RunHalted | None:
    """What no request of the run would be spared."""
    if status in (401, 403, 407):
        right = f"export {asked.key_env}=..." if asked.key_env else f'key_env = "VARIABLE" in {asked.entry}'
        return RunHalted(
            f"{where} does not accept the key ({status}): {said}", hint=f"{right}, {RESTART}, then {RESUME}"
        )
    if status == 402 or (status == 429 and about.has(_SPENT)):
        return RunHalted(f"{where} wants to be paid ({status}): {said}", hint=f"pay, then {RESUME}")
    right = next((mend for words, mend in _SETTINGS.items() if about.has(words)), "")
    return RunHalted(f"{where}: {said}", hint=right) if right and status in (400, 422) else None


def _absent(status: int, about: "_Told", said: str, where: str, asked: Asked, call: str) -> RunHalted:
    """A model that the server does not have, or an address where no API is. With another model it is another run."""
    if about.has(_MODEL) and call == CHAT:
        right = f'model = "as the server calls it" in {asked.entry}, {ANEW}'
        return RunHalted(f"{where} has no model {asked.model}: {said}", hint=right)
    right = "base_url up to /v1" if "/v1" in asked.url else f'base_url = "{asked.url}/v1"'
    return RunHalted(f"{asked.url}{call} is not there ({status}): {said}", hint=right)


def connection_failure(error: BaseException, asked: Asked, *, sent: int | None = None) -> VidevalError:
    """What a connection that did not come about, or broke, means; all causes of it are looked at.

    `sent`: the bytes of a body that it did not take as a whole.
    """
    causes = list(_causes(error))
    said = asked.safe(_plainly(causes) or type(error).__name__)
    where = f"{asked.endpoint} ({asked.url})"
    tls = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    if tls is not None and asked.is_only and (halted := _misconfigured(tls, said, where, asked)):
        return halted
    is_reset = any(isinstance(cause, BrokenPipeError | ConnectionResetError) for cause in causes)
    hung_up = is_reset or "disconnected" in said.lower()
    right = "does it run, and can it be reached from here?"
    if asked.url.startswith("http:") and hung_up:
        right = "does it speak https?"
    elif tls is not None and said == LATE:
        right = f'does it speak plain http? base_url = "{asked.url.replace("https:", "http:", 1)}"'
    if sent is not None and sent >= LARGE and is_reset:
        said += f" while a body of {sent / 1e6:.1f} MB was sent"
        right = f"does it take bodies of that size? max_body_mb in {asked.entry} says it at enqueue"
    return ApiFailure(f"{where} cannot be asked: {said}", hint=right)


def _plainly(causes: Sequence[BaseException]) -> str:
    """What went wrong, without what libraries say of themselves."""
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return "connection refused"
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return LATE
    return ": ".join(dict.fromkeys(text for text in (str(cause) for cause in causes[-2:]) if text))


def _misconfigured(tls: ssl.SSLError, said: str, where: str, asked: Asked) -> RunHalted | None:
    """What TLS will say again each time."""
    if isinstance(tls, ssl.SSLCertVerificationError):
        right = f'ca_file = "/path/of/its/authority.pem" in {asked.entry}'
        return RunHalted(f"the certificate of {where} is not trusted: {said}", hint=right)
    if tls.reason in _NO_TLS:
        right = f'base_url = "{asked.url.replace("https:", "http:", 1)}"'
        return RunHalted(f"{where} speaks no TLS: {said}", hint=right)
    return None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the endpoint asks to wait; None if it does not say, or not in a way that can be meant."""
    milliseconds = _number(headers.get("retry-after-ms", ""))
    said = headers.get("retry-after", "")
    seconds = milliseconds / 1000 if milliseconds is not None else _number(said)
    if seconds is None and said:
        seconds = _until(said, headers.get("date", ""))
    return None if seconds is None or seconds < 0 else min(seconds, LONGEST_PAUSE)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value == value else None


def _until(said: str, date: str) -> float | None:
    """Seconds until a date, by the server's own clock where it says what that is."""
    try:
        now = parsedate_to_datetime(date) if date else datetime.now(UTC)
        return (parsedate_to_datetime(said) - now).total_seconds()
    except (ValueError, TypeError):
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Told:
    """What an error's body says: its codes, and its words in full."""

    codes: str = ""
    message: str = ""

    def has(self, words: re.Pattern[str]) -> bool:
        """Whether these words are in it."""
        return words.search(f"{self.codes} {self.message}") is not None


def _told(body: bytes, asked: Asked) -> _Told:
    text = asked.keyless(body[:LONGEST_ERROR].decode(errors="replace"))
    try:
        whole: Any = json.loads(text)
    except (ValueError, RecursionError):
        return _Told(message=text)
    found = whole[0] if isinstance(whole, list) and whole else whole
    error = found.get("error", found) if isinstance(found, Mapping) else found
    if not isinstance(error, Mapping):
        return _Told(message=str(error))
    inner = error.get("innererror")
    codes = [error.get("code"), error.get("type"), inner.get("code") if isinstance(inner, Mapping) else None]
    message = error.get("message") or error.get("detail") or error.get("msg") or text
    return _Told(codes=" ".join(str(code) for code in codes if code), message=str(message))


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
