"""What an error of the database means and what mends it: one table, by the server's code where there is one, else by
what was said.

PostgreSQL's codes are SQLSTATEs (a beginning of one stands for its class), SQLite's are the names of its result
codes. What fails before a connection is there has no code. What is not in the table is told in the server's own words.
"""

import re
from dataclasses import dataclass

from sqlalchemy import URL
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InternalError, NotSupportedError, ProgrammingError

from videval.db.address import ESCAPES, shown
from videval.errors import DatabaseUnavailable, StatementRefused, VidevalError

__all__ = ["READ_ONLY", "code", "explain", "is_outage"]

READ_ONLY = "25006"
LONGEST = 400
"""Characters of what the server said that are passed on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """A kind of failure: its codes, the words that tell it where there is no code, and the line that mends it."""

    codes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    hint: str


REASONS = (
    Reason(
        codes=("28P01", "28000"),
        words=("password authentication failed", "no password supplied", "authentication failed", "SASL"),
        hint=f"VIDEVAL_DATABASE_URL must have the right user and password; {ESCAPES}",
    ),
    Reason(words=("no pg_hba.conf entry",), hint="allow this host, user and database in the server's pg_hba.conf"),
    Reason(
        words=(
            "does not support SSL",
            "SSL error",
            "SSL required",
            "SSL connection is required",
            "certificate",
            "sslmode",
        ),
        hint="?sslmode=require|verify-full|disable and ?sslrootcert=FILE at the end of VIDEVAL_DATABASE_URL say how "
        "the connection is encrypted",
    ),
    Reason(
        codes=("53300",),
        words=("too many c", "connection slots are reserved", "no more connections allowed"),
        hint="raise the server's max_connections (up to four for each worker), or put pgbouncer before it",
    ),
    Reason(codes=("3D000",), words=('database "',), hint="createdb NAME, or another name in VIDEVAL_DATABASE_URL"),
    Reason(words=('role "',), hint="create that role, or name another one in VIDEVAL_DATABASE_URL"),
    Reason(
        words=("unsupported startup parameter",),
        hint="PGOPTIONS, and ?options= in VIDEVAL_DATABASE_URL, do not pass through pgbouncer: leave them out",
    ),
    Reason(
        codes=(READ_ONLY,),
        words=("read-only", "not in hot standby", "is in hot standby"),
        hint="VIDEVAL_DATABASE_URL must lead to the primary (with several hosts: target_session_attrs=read-write)",
    ),
    Reason(
        codes=("53100", "SQLITE_FULL"),
        words=("No space left",),
        hint="the disk is full: free some space there; the run goes on",
    ),
    Reason(codes=("53200", "SQLITE_NOMEM"), hint="the server has too little memory"),
    Reason(codes=("57014",), hint="raise statement_timeout of this role, or see what keeps the server busy"),
    Reason(codes=("22P05", "22021"), hint="the database must have ENCODING 'UTF8'"),
    Reason(codes=("3F000",), hint="the role's search_path must begin with a schema that exists and that it may use"),
    Reason(
        codes=("42P01", "42703"), words=("no such table", "no such column", "has no column"), hint="videval db upgrade"
    ),
    Reason(
        codes=("SQLITE_NOTADB", "SQLITE_CORRUPT"),
        hint="put a backup in its place, or move it away and begin anew: mv FILE FILE.broken",
    ),
    Reason(
        codes=("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN", "SQLITE_AUTH"),
        hint="the file and its folder must be yours to write: VIDEVAL_HOME must be a writable folder on a local disk",
    ),
    Reason(
        codes=("SQLITE_BUSY", "SQLITE_LOCKED"),
        hint="another process holds it; if that does not pass, VIDEVAL_HOME must be a folder on a local disk",
    ),
    Reason(
        codes=("SQLITE_PROTOCOL", "SQLITE_IOERR", "SQLITE_NOLFS"),
        hint="is the disk whole and not full? VIDEVAL_HOME must be a writable folder on a local disk, not one of a "
        "network file system",
    ),
)
SERVER_STATES = frozenset({READ_ONLY, "25P03", "25P04", "XX000", "XX001", "XX002"})
"""Of the errors that drivers call internal, those that say how the server is and not what was asked of it: a standby
that takes no writes, a transaction that it ended for its length, a failure inside."""
MISTAKES = (DataError, IntegrityError, NotSupportedError, ProgrammingError)
GRANTS = {
    "schema": "GRANT CREATE ON SCHEMA {name} TO {user}   (and USAGE, if it lacks that)",
    "table": "GRANT ALL ON ALL TABLES IN SCHEMA public TO {user}",
    "sequence": "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {user}",
    "database": "GRANT CONNECT ON DATABASE {name} TO {user}",
}


def code(error: DBAPIError) -> str:
    """PostgreSQL's SQLSTATE or SQLite's name of an error; empty where there is none."""
    found = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "sqlite_errorname", None)
    return str(found or "")


def is_outage(error: DBAPIError) -> bool:
    """Whether it may pass without a hand on the program: the connection or the server, not what was asked of it."""
    if error.connection_invalidated or _reason(error) is not None or code(error) == "42501":
        return True
    if isinstance(error, InternalError):
        return code(error) in SERVER_STATES
    return not isinstance(error, MISTAKES)


def explain(error: DBAPIError, url: URL) -> VidevalError:
    """The error as people are told of it: DatabaseUnavailable, or StatementRefused if it is what was asked."""
    message = f"database {shown(url)}: {_said(error)}"
    if not is_outage(error):
        hint = "a mistake in videval, or tables that were changed by hand: report it, with what `videval -v` logs"
        return StatementRefused(message, hint=hint)
    if code(error) == "42501":
        return DatabaseUnavailable(message, hint=_grant(_said(error), url.username))
    reason = _reason(error)
    hint = reason.hint if reason else "is the server up? VIDEVAL_DATABASE_URL says where it is looked for"
    return DatabaseUnavailable(message, hint=hint)


def _reason(error: DBAPIError) -> Reason | None:
    state, text = code(error), str(error.orig)
    if state and state != "SQLITE_ERROR":
        return next((r for r in REASONS if state.startswith(r.codes)), None)
    return next((r for r in REASONS if any(word in text for word in r.words)), None)


def _said(error: DBAPIError) -> str:
    """What the server said, in one line; never the statement and its values."""
    diagnosis = getattr(error.orig, "diag", None)
    text = getattr(diagnosis, "message_primary", None) or str(error.orig)
    return " ".join(text.split())[:LONGEST]


def _grant(said: str, user: str | None) -> str:
    """The line that gives the role what it lacks."""
    user = user or "THE_ROLE"
    denied = re.search(r"permission denied for (\w+) (\S+)", said)
    if denied and denied[1] in GRANTS:
        return f"{GRANTS[denied[1]].format(name=denied[2], user=user)}"
    if "owner" in said:
        return "run `videval db upgrade` as the role that owns the tables"
    return f"the role needs more rights: GRANT CREATE ON SCHEMA public TO {user}"
