"""VIDEVAL_DATABASE_URL: what forms are taken, and how it is shown without its password."""

import re

from sqlalchemy import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from videval.errors import DatabaseUnavailable

__all__ = ["ESCAPES", "database_address", "shown"]

RIGHT_FORM = "postgresql+psycopg://USER:PASSWORD@host/videval"
ESCAPES = "in a password @ is written %40, : %3A, / %2F, # %23, ? %3F, % %25"
DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg", "sqlite+pysqlite": "sqlite"}
SECRETS = ("password", "sslpassword")


def database_address(text: str) -> URL:
    """The URL that SQLAlchemy is given; DatabaseUnavailable, without any part of the password, if it is none of ours.

    `postgres://` and `postgresql://` mean `postgresql+psycopg://`.
    """
    try:
        url = make_url(text.strip())
    except SQLAlchemyError as error:
        raise DatabaseUnavailable("VIDEVAL_DATABASE_URL is not a database URL", hint=RIGHT_FORM) from error
    except ValueError:
        raise _no_port(text.strip()) from None
    url = url.set(drivername=DRIVERS.get(url.drivername, url.drivername))
    if url.drivername == "sqlite":
        return _in_a_file(url)
    if url.drivername != "postgresql+psycopg":
        is_postgresql = url.drivername.startswith(("postgres", "cockroach"))
        hint = RIGHT_FORM if is_postgresql else "use postgresql+psycopg:// or sqlite:///"
        raise DatabaseUnavailable(f"VIDEVAL_DATABASE_URL: {url.drivername} is not supported", hint=hint)
    if "@" in (url.host or ""):
        raise DatabaseUnavailable("VIDEVAL_DATABASE_URL has more than one @ before its host", hint=ESCAPES)
    return url


def shown(url: URL) -> str:
    """The URL for messages: no password, wherever it stands."""
    hidden = {name: "***" for name in SECRETS if name in url.query}
    return url.update_query_dict(hidden).render_as_string(hide_password=True)


def _in_a_file(url: URL) -> URL:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise DatabaseUnavailable(
            "VIDEVAL_DATABASE_URL: a SQLite database is a file that workers share", hint="sqlite:////absolute/path.db"
        )
    return url


def _no_port(text: str) -> DatabaseUnavailable:
    """Something else than a number stands where the port should: several hosts, or a character of a password."""
    place = re.fullmatch(r"[^/]*//(?:[^@]*@)?(?P<hosts>[\w.:,\[\]-]+)/?(?P<name>[^?/@]*)(?:\?.*)?", text)
    if place is None or "," not in place["hosts"]:
        return DatabaseUnavailable("VIDEVAL_DATABASE_URL has no number where its port should be", hint=ESCAPES)
    hosts = "&".join(f"host={host}" for host in place["hosts"].split(","))
    name = place["name"] or "videval"
    return DatabaseUnavailable(
        "VIDEVAL_DATABASE_URL names several hosts in a form that is not understood",
        hint=f"postgresql+psycopg://USER:PASSWORD@/{name}?{hosts}&target_session_attrs=read-write",
    )
