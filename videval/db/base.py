"""What all tables share: how text is stored to the character, and how constraints are named."""

import json
from collections.abc import Callable
from typing import Any

from sqlalchemy import JSON, Dialect, MetaData, Text, TypeDecorator
from sqlalchemy.orm import DeclarativeBase

__all__ = ["Base", "ExactText"]

_ESCAPED = "\ufdd0"


class ExactText(TypeDecorator[str]):
    """Text to the character on every database: NUL and lone surrogates, which SQL text cannot hold, are escaped."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Escape a text that no database takes as JSON behind a marker."""
        return _escaped(value)

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], str | None]:
        """The same without a call in between: of large runs, millions of texts are read and written."""
        return _escaped

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[str | None], str | None]:
        """Give back what was said."""
        return _said


def _escaped(value: str | None) -> str | None:
    if value is None or (value.isprintable() and not value.startswith(_ESCAPED)):
        return value
    unsafe = "\x00" in value or value.startswith(_ESCAPED) or any("\ud800" <= c <= "\udfff" for c in value)
    return _ESCAPED + json.dumps(value) if unsafe else value


def _said(value: str | None) -> str | None:
    if value is None or not value.startswith(_ESCAPED):
        return value
    return str(json.loads(value[1:]))


class Base(DeclarativeBase):
    """Names every constraint, so that a migration can drop it."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {str: ExactText, dict[str, Any]: JSON, list[str]: JSON, list[Any]: JSON}  # noqa: RUF012
