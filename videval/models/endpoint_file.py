"""The file of endpoints, and an endpoint's entry: each key known, each value of its type. Nothing here connects.

The file is `endpoints.toml` in VIDEVAL_HOME, or VIDEVAL_ENDPOINTS::

    [endpoints.lab]
    base_url = "http://gpu1:8000/v1"            # or several, of the same model: ["http://gpu1:8000/v1", ...]
    model = "Qwen/Qwen3-VL-8B-Instruct"
    key_env = "LAB_KEY"                         # the variable that has the key; left out: no key
    transport = "video"
    limits = { requests_per_minute = 600, in_flight = 64, max_frames = 768 }
    prices = { prompt = 0.2, cached = 0.05, new = 0.8, currency = "USD" }
"""

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from videval.errors import UsageError
from videval.models.dialects import dialect_of, transport_of
from videval.typed import record, refuse_unknown
from videval.types import Remote

__all__ = ["OPENAI", "PIXELS_PER_TOKEN", "Endpoint", "Limits", "Prices", "address", "read_endpoints"]

OPENAI = "openai"
"""The endpoint that needs no entry."""
MILLION = 1_000_000
PIXELS_PER_TOKEN = 28 * 28
"""A patch of 14 pixels, two by two merged, is a token of Qwen2.5-VL (its processor's patch_size and merge_size); of a
model that nobody has counted yet this is the guess."""
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRETS = ("key", "api_key", "token", "password", "secret")
_CALLS = ("/chat/completions", "/completions", "/responses", "/models")
_RIGHT = 'base_url = "http://HOST:PORT/v1"'


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What an endpoint takes; None: no limit is known. The first three are of the whole fleet together.

    `max_body_mb`: 10^6 bytes of one body; `max_frames`: of a clip, `max_images`: of one body; `context`: tokens of
    prompt and answer.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    in_flight: int | None = None
    max_body_mb: float | None = None
    max_frames: int | None = None
    max_images: int | None = None
    context: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Prices:
    """What a million tokens cost; `cached` ones of the prompt cost as the others where it is None."""

    prompt: float
    new: float
    cached: float | None = None
    currency: str = "USD"

    def cost(self, *, prompt: int, new: int, cached: int = 0) -> float:
        """What a response costs: `prompt` tokens, of which `cached`, and `new` ones."""
        of_cached = self.prompt if self.cached is None else self.cached
        return ((prompt - cached) * self.prompt + cached * of_cached + new * self.new) / MILLION


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """An endpoint's entry; `remote` is what answers depend on, all else may change in the middle of a run.

    `key_env`: the variable that has the key (empty: it needs none); `images`: whether its model can be shown a
    question's own images; `timeout_s`: of one request; `ca_file`: certificates to trust in place of the
    machine's.
    """

    name: str
    model: str
    base_urls: tuple[str, ...]
    remote: Remote
    key_env: str = ""
    images: bool = True
    timeout_s: float = 600.0
    ca_file: str = ""
    limits: Limits = field(default_factory=Limits)
    prices: Prices | None = None

    @property
    def transport(self) -> str:
        """How frames travel."""
        return self.remote.transport


_OWN = tuple(f.name for f in fields(Endpoint) if f.name not in ("name", "remote", "base_urls"))
_ASKED = tuple(f.name for f in fields(Remote) if f.name not in ("endpoint", "base_url"))


def read_endpoints(path: Path) -> Mapping[str, Endpoint]:
    """The entries of the file by name; none if there is no file. UsageError for what cannot be read or meant."""
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", hint="VIDEVAL_ENDPOINTS names the file of endpoints") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    refuse_unknown(read, ("endpoints",), str(path))
    tables = read.get("endpoints", {})
    if not isinstance(tables, Mapping):
        raise UsageError(f"{path}: endpoints must be tables, not {tables!r}", hint="[endpoints.lab]")
    return {name: _endpoint(f"{path.name}: [endpoints.{name}]", name, table) for name, table in tables.items()}


def _endpoint(where: str, name: str, table: Any) -> Endpoint:
    if not _NAME.fullmatch(name) or name == OPENAI:
        raise UsageError(f"{where}: {name!r} cannot be an endpoint's name", hint="letters, digits, . _ -, as lab-a100")
    if not isinstance(table, Mapping):
        raise UsageError(f"{where} must be a table, not {table!r}", hint=f"[endpoints.{name}]")
    if secret := next((key for key in _SECRETS if key in table), None):
        raise UsageError(f"{where}: no {secret} is read from a file", hint='key_env = "VARIABLE", which has the key')
    refuse_unknown(table, ("base_url", *_OWN, *_ASKED), where)
    own = {key: value for key, value in table.items() if key in _OWN}
    asked = {key: value for key, value in table.items() if key in _ASKED}
    found = record(
        Endpoint, {**own, "name": name, "remote": {"endpoint": name}, "base_urls": _urls(table, where)}, where
    )
    found = replace(found, remote=record(Remote, {**asked, "endpoint": name}, where))
    _check(found, where)
    return found


def _check(found: Endpoint, where: str) -> None:
    """Refuse values that no endpoint can have."""
    remote, server = found.remote, found.remote.server
    if not found.model.strip():
        raise UsageError(f"{where}: model is empty", hint='model = "as the server calls it"')
    if found.key_env and not _VARIABLE.fullmatch(found.key_env):
        raise UsageError(f"{where}: key_env {_hidden(found.key_env)} is no variable's name", hint='key_env = "LAB_KEY"')
    takes = transport_of(remote).servers
    if server and server not in takes:
        right = f'transport = "frames", or server = "{takes[0]}"'
        raise UsageError(f"{where}: {server} takes no {remote.transport}", hint=right)
    if not 1 <= remote.quality <= 100:
        raise UsageError(f"{where}: quality {remote.quality}", hint="1 to 100, of JPEG; png is lossless")
    if remote.prefix == "continue" and not dialect_of(remote).continues:
        raise UsageError(f"{where}: this server cannot go on with an answer", hint='prefix = "question"')
    _check_mark(remote.frame_mark, where)
    _check_numbers(found, where)


def _hidden(text: str) -> str:
    """The beginning of what may be a key by mistake."""
    return repr(f"{text[:3]}...")


def _check_mark(mark: str, where: str) -> None:
    try:
        mark.format(n=1, time=0.5)
    except (KeyError, ValueError, IndexError, AttributeError, TypeError) as error:
        right = 'frame_mark = "Frame {n} at {time:.1f} s: "'
        raise UsageError(f"{where}: frame_mark {mark!r} cannot be filled in: {error}", hint=right) from error


def _check_numbers(found: Endpoint, where: str) -> None:
    limits = {f.name: getattr(found.limits, f.name) for f in fields(Limits)}
    for name, value in {**limits, "timeout_s": found.timeout_s}.items():
        if value is not None and not 0 < value < math.inf:
            raise UsageError(f"{where}: {name} is {value}", hint=f"{name} = 60, or leave it out")
    for name in ("prompt", "new", "cached"):
        if found.prices and not 0 <= (getattr(found.prices, name) or 0) < math.inf:
            raise UsageError(f"{where}: prices: {name} is {getattr(found.prices, name)}", hint=f"{name} = 0 or more")


def _urls(table: Mapping[str, Any], where: str) -> list[str]:
    said = table.get("base_url")
    urls = said if isinstance(said, list) else [said]
    if not urls or said is None:
        raise UsageError(f"{where}: base_url is missing", hint=_RIGHT)
    return list(dict.fromkeys(address(url, f"{where}: base_url") for url in urls))


def address(url: Any, where: str) -> str:
    """An address as it is used, without a slash at its end. UsageError for one that cannot be meant."""
    if not isinstance(url, str):
        raise UsageError(f"{where} must be a text, not {url!r}", hint=_RIGHT)
    parts = _split(url, where)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{where} {_shown(url)} is no http address", hint=_RIGHT)
    if parts.username or parts.password:
        raise UsageError(f"{where} has a password in it", hint='key_env = "VARIABLE", which has the key')
    if parts.query or parts.fragment:
        raise UsageError(f"{where} {_shown(url)} has a ? or # in it", hint="up to the path, as http://HOST:PORT/v1")
    trimmed = url.rstrip("/")
    for call in _CALLS:
        if trimmed.endswith(call):
            right = trimmed.removesuffix(call)
            raise UsageError(
                f"{where} {_shown(url)} is one call of the API, not its base", hint=f'base_url = "{right}"'
            )
    return trimmed


def _split(url: str, where: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise UsageError(f"{where} {_shown(url)}: {error}", hint=_RIGHT) from error
    return parts


def _shown(url: str) -> str:
    """An address as it may be said: without what may be a password or a key."""
    return repr(re.sub(r"[^/]*@|[?#].*", "***", url))
