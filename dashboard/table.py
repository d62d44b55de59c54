"""A table whose rows open as a whole, by a click or by Enter, and whose numbers are never cut.

Streamlit's own grid opens a row by a checkbox only, fixes widths before the numbers are there, and is a picture.
This one is plain HTML, made by `static/table.js`; each first cell is a link, so a row can be opened in a new tab too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from dashboard.words import NOTHING, count, measured, percent

__all__ = ["STATIC", "Figure", "Row", "link", "metric", "share", "table"]

STATIC = Path(__file__).parent / "static"


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A number with its words; `value` is what it is sorted by, `share` (0..1) draws a bar before it."""

    text: str
    value: float | None
    share: float | None = None


Value = str | int | Figure | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A line of a table; `id` is what opening it returns, `href` where it leads (empty: it does not open)."""

    cells: Mapping[str, Value]
    id: str = ""
    href: str = ""


def share(value: float | None, digits: int = 1, *, bar: bool = False) -> Figure:
    """A share as per cent; a dash for None."""
    return Figure(text=percent(value, digits), value=value, share=value if bar else None)


def metric(value: float | None, top: float | None) -> Figure:
    """What a metric gives, as a share or a rating; a dash for None."""
    return Figure(text=measured(value, top), value=value)


def link(page: str, **query: str) -> str:
    """The address of a page, as seen from any other."""
    return f"{page}?{urlencode({k: v for k, v in query.items() if v})}"


def _cell(value: Value) -> Figure:
    if isinstance(value, Figure):
        return value
    if isinstance(value, int):
        return Figure(text=count(value), value=value)
    return Figure(text=value or NOTHING, value=None)


@cache
def _component() -> Callable[..., Any]:
    html = '<div class="box" tabindex="-1"></div>'
    css, js = ((STATIC / name).read_text("utf-8") for name in ("table.css", "table.js"))
    made: Callable[..., Any] = st.components.v2.component("videval.table", html=html, css=css, js=js)
    return made


def table(rows: Sequence[Row], *, name: str, key: str, height: int | None = None, current: str = "") -> str | None:
    """Show rows of the same columns; returns the id of the row that was just opened.

    `name` is for those who cannot see it, `height` the most pixels before it scrolls, `current` the row to mark.
    """
    titles = list(rows[0].cells) if rows else []
    cells = [[_cell(row.cells[title]) for title in titles] for row in rows]
    right = [any(line[i].value is not None for line in cells) for i in range(len(titles))]
    data = {
        "name": name,
        "columns": [{"title": t, "right": r} for t, r in zip(titles, right, strict=True)],
        "rows": [
            {"id": row.id, "href": row.href, "cells": [asdict(c) for c in line]}
            for row, line in zip(rows, cells, strict=True)
        ],
        "named": bool(right) and not right[0],
        "height": height,
        "current": current or None,
    }
    opened = _component()(key=key, data=data, on_open_change=_nothing).open
    return str(opened) if opened else None


def _nothing() -> None:
    """A trigger needs a callback; what was opened is returned."""
