"""VIDEVAL_BROKER_URL: what forms are taken, and how it is shown without its password."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit

from videval.errors import BrokerRefuses
from videval.settings import Settings

__all__ = ["ESCAPES", "BrokerAddress", "broker_address"]

ESCAPES = "in a password # is written %23, / %2F, @ %40, % %25, ? %3F, : %3A, [ %5B"
RIGHT_FORM = "redis://:PASSWORD@HOST:6379/0, rediss:// for TLS, redis+socket:///PATH for a unix socket"
SCHEMES = ("redis", "rediss", "redis+socket", "unix")
CERTIFICATES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
NO_CLUSTER = "videval needs one Redis (or Valkey) that is no cluster: its messages need no more"


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokerAddress:
    """Where the broker is, as Celery and as redis-py want it; `shown` is for people and has no password in it."""

    celery: str = field(repr=False)
    client: str = field(repr=False)
    shown: str


def broker_address(settings: Settings) -> BrokerAddress:
    """The broker of these settings; BrokerRefuses, without any part of the password, if the URL is none of ours."""
    if settings.is_embedded_broker:
        path = str(settings.broker_socket)
        return BrokerAddress(celery=f"redis+socket://{path}", client=f"unix://{quote(path)}", shown=path)
    text = settings.broker.strip()
    scheme, divider, rest = text.partition("://")
    scheme = scheme.lower()
    if not divider:
        raise _refused("has no scheme", "begin it with redis://, as in redis://HOST:6379/0")
    if scheme not in SCHEMES:
        raise _unknown_scheme(scheme)
    if re.search(r"%(?![0-9A-Fa-f]{2})", rest.rpartition("@")[0]):
        raise _refused("has a % that begins no %XX", ESCAPES)
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        port = parts.port
    except ValueError:
        raise _no_port(rest) from None
    if parts.fragment or "@" in parts.path + parts.query:
        raise _refused("is cut short by a character of its password", ESCAPES)
    return _on_socket(parts) if scheme in ("redis+socket", "unix") else _over_tcp(parts, port)


def _refused(what: str, hint: str) -> BrokerRefuses:
    return BrokerRefuses(f"VIDEVAL_BROKER_URL {what}", hint=hint)


def _unknown_scheme(scheme: str) -> BrokerRefuses:
    if "sentinel" in scheme:
        return _refused("names a Sentinel, which is not supported", "name the master itself: redis://HOST:6379/0")
    if "cluster" in scheme:
        return _refused("names a Redis Cluster, which is not supported", NO_CLUSTER)
    return _refused("is not that of a Redis", RIGHT_FORM)


def _no_port(rest: str) -> BrokerRefuses:
    if re.search(r"[,;]", rest.rpartition("@")[2]):
        return _refused("names several servers", f"name one: {RIGHT_FORM}")
    return _refused("has no number where its port should be", ESCAPES)


def _over_tcp(parts: SplitResult, port: int | None) -> BrokerAddress:
    host, database = parts.hostname or "", parts.path.strip("/")
    if re.search(r"[,;]", host + parts.path):
        raise _no_port(host + parts.path)
    if not host:
        raise _refused("names no host", RIGHT_FORM)
    if database and not database.isdecimal():
        raise _refused("must end in the number of a database, as in /0", RIGHT_FORM)
    asked = dict(parse_qsl(parts.query, keep_blank_values=True))
    _only(asked, [name for name in asked if name.startswith("ssl_") and parts.scheme == "rediss"])
    if "ssl_cert_reqs" in asked:
        asked["ssl_cert_reqs"] = asked["ssl_cert_reqs"].lower().removeprefix("cert_")
    elif parts.scheme == "rediss":
        asked["ssl_cert_reqs"] = "required"
    if asked.get("ssl_cert_reqs", "none") not in ("required", "optional", "none"):
        raise _refused("has an unknown ssl_cert_reqs", "?ssl_cert_reqs=required, optional or none")
    for name in CERTIFICATES:
        if name in asked and not Path(asked[name]).is_file():
            raise _refused(f"has ?{name}=, and there is no such file here", f"{name}=/PATH/OF/FILE.pem")
    url = parts._replace(query=urlencode(asked)).geturl()
    place = f"[{host}]" if ":" in host else host
    return BrokerAddress(celery=url, client=url, shown=f"{parts.scheme}://{place}:{port or 6379}/{database or 0}")


def _on_socket(parts: SplitResult) -> BrokerAddress:
    asked = dict(parse_qsl(parts.query, keep_blank_values=True))
    _only(asked, ["db", "virtual_host"])
    database = asked.get("db", asked.get("virtual_host", "0"))
    if parts.hostname or not parts.path.strip("/"):
        raise _refused("names no socket", "redis+socket:///PATH, with three slashes")
    if not database.isdecimal():
        raise _refused("must have the number of a database after ?virtual_host=", "redis+socket:///PATH?virtual_host=0")
    place = f"{parts.netloc}{parts.path}"
    return BrokerAddress(
        celery=f"redis+socket://{place}?virtual_host={database}",
        client=f"unix://{place}?db={database}",
        shown=f"{parts.path} (database {database})",
    )


def _only(asked: dict[str, str], known: list[str]) -> None:
    if unknown := sorted(set(asked) - set(known)):
        raise _refused(f"has ?{unknown[0]}=, which is not understood there", RIGHT_FORM)
