"""What an error of Redis means and what mends it: one table, by the word that Redis begins an error with, else by what
was said. What is not in the table is told in Redis's own words."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import redis
from kombu.exceptions import KombuError

from videval.errors import BrokerRefuses, BrokerUnavailable
from workers.address import ESCAPES, NO_CLUSTER

__all__ = ["TROUBLE", "explain"]

TROUBLE = (redis.RedisError, KombuError, OSError, UnicodeError)
"""What Redis, Celery's way to it and the network raise; a host name that is none is a UnicodeError."""

LONGEST = 160
"""Characters of what Redis said that are passed on."""
IN_A_PIPELINE = re.compile(r"^Command # \d+ \(.*\) of pipeline caused error: ")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """A kind of failure: Redis's words for it at the beginning, words inside, the line that mends it, and whether it
    may pass by itself."""

    codes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    says: str = "is there, and refuses"
    hint: str
    passes: bool = False


REASONS = (
    Reason(
        codes=("NOAUTH",),
        words=("Authentication required", "HELLO must be called"),
        says="wants a password",
        hint=f"VIDEVAL_BROKER_URL=redis://:PASSWORD@HOST:6379/0; {ESCAPES}",
    ),
    Reason(
        codes=("WRONGPASS",),
        words=("invalid password", "invalid username-password", "without any password configured", "'auth' command"),
        says="does not take this user and password",
        hint=f"put the right ones into VIDEVAL_BROKER_URL; {ESCAPES}",
    ),
    Reason(
        codes=("NOPERM",),
        words=("No permissions to access a channel", "access the channel", "channels used as arguments"),
        says="does not let this user do what a worker does",
        hint="the user needs &*, ~* and +@all: redis-cli ACL SETUSER NAME '&*' '~*' +@all",
    ),
    Reason(
        codes=("OOM",),
        words=("used memory > 'maxmemory'",),
        says="is full",
        hint="free memory there or raise its maxmemory; it is waited for, and nothing is lost",
        passes=True,
    ),
    Reason(
        codes=("MOVED", "ASK", "CROSSSLOT", "CLUSTERDOWN"),
        words=("cluster mode", "cluster support"),
        says="is a Redis Cluster, which is not supported",
        hint=NO_CLUSTER,
    ),
    Reason(
        codes=("READONLY",),
        words=("read only replica", "read only slave"),
        says="is a replica",
        hint="VIDEVAL_BROKER_URL must lead to the master",
        passes=True,
    ),
    Reason(
        codes=("LOADING", "BUSY", "MASTERDOWN", "TRYAGAIN", "NOREPLICAS", "FAILOVER", "UNBLOCKED"),
        words=("loading the dataset",),
        says="is not ready",
        hint="it is waited for; nothing is lost",
        passes=True,
    ),
    Reason(
        codes=("MISCONF",),
        says="takes no writes, since it cannot save to its disk",
        hint="free some space there, or redis-cli CONFIG SET stop-writes-on-bgsave-error no",
        passes=True,
    ),
    Reason(
        codes=("DENIED",),
        words=("protected mode",),
        hint="set a password there (requirepass), or bind it to this network",
    ),
    Reason(
        words=("max number of clients", "Too many connections"),
        hint="raise its maxclients (about four for each worker)",
        passes=True,
    ),
    Reason(
        words=("DB index", "invalid DB"), hint="the number at the end of VIDEVAL_BROKER_URL must be below `databases`"
    ),
    Reason(
        words=("unknown command", "unknown subcommand"),
        says="knows too few commands",
        hint="videval needs a real Redis or Valkey of 6.0 or newer, no Sentinel and no proxy",
    ),
    Reason(
        words=("certificate", "CERTIFICATE", "hostname mismatch", "doesn't match", "No such file or directory: 'ssl"),
        says="shows a certificate that is not trusted, or wants one",
        hint="?ssl_ca_certs=FILE at the end of VIDEVAL_BROKER_URL (and ssl_certfile, ssl_keyfile if it asks for them)",
    ),
    Reason(
        words=("SSL", "_ssl", "TLS", "record layer", "wrong version number"),
        says="does not speak TLS as it was spoken to",
        hint="rediss:// is for a Redis with TLS, redis:// for one without",
    ),
    Reason(
        words=("Protocol Error", "Protocol error", "Invalid response"),
        says="is no Redis",
        hint="VIDEVAL_BROKER_URL must lead to a Redis",
    ),
    Reason(
        words=("closed by server", "reset by peer", "Connection closed"),
        says="closes the connection",
        hint="is it one with TLS? Then write rediss://; else see its log",
        passes=True,
    ),
)


def explain(error: BaseException, where: str) -> BrokerUnavailable:
    """An error of Redis, or of the way to it, as people are told of it."""
    chain = list(_causes(error))
    for cause in chain:
        code, said = _words(cause)
        for reason in REASONS:
            if code in reason.codes or any(word in said for word in reason.words):
                kind = BrokerUnavailable if reason.passes else BrokerRefuses
                return kind(f"Redis at {where} {reason.says}: {_in_full(code, said)}", hint=reason.hint)
    code, said = _words(chain[-1])
    if isinstance(chain[-1], OSError) or not code:
        message = f"no Redis answers at {where}: {said}"
        return BrokerUnavailable(message, hint="start it, or unset VIDEVAL_BROKER_URL for an embedded one")
    return BrokerUnavailable(f"Redis at {where} refuses: {_in_full(code, said)}", hint="see its log")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from, the first cause last."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _words(error: BaseException) -> tuple[str, str]:
    """The word that Redis began with, if it was Redis who spoke, and the rest in one line."""
    said = IN_A_PIPELINE.sub("", " ".join(str(error).split()))[:LONGEST] or type(error).__name__
    code = getattr(error, "status_code", None) or ""
    first = said.partition(" ")[0]
    if not code and first.isupper() and first.isalpha():
        code, said = first, said.partition(" ")[2]
    return code, said


def _in_full(code: str, said: str) -> str:
    return f"{code} {said}".strip()
