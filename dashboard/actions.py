"""What changes a run, only when the dashboard was started with --allow-actions: each opens the database for itself."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import streamlit as st

from dashboard.backend import backend
from dashboard.words import plain
from videval.db.records import RunInfo
from videval.db.session import Database, open_database
from videval.errors import UsageError, VidevalError
from videval.options import Asked
from videval.orders import make_order
from videval.settings import Settings
from videval.types import RunState
from workers import desk
from workers.desk import Done, Rung

__all__ = ["attempt", "buttons", "change", "is_allowed", "place", "retry"]

MOST_REMARKS = 3
Verb = Callable[[Settings, Database, RunInfo], Done]


def is_allowed() -> bool:
    """Whether this dashboard may change anything."""
    return backend().settings.dashboard_allow_actions


@contextmanager
def _writable() -> Iterator[tuple[Settings, Database]]:
    """A database of its own that may be written; afterwards all pages are read anew. UsageError if that is not
    allowed."""
    if not is_allowed():
        raise UsageError("this dashboard only looks", hint="videval dashboard --allow-actions")
    settings = backend().settings
    database = open_database(settings)
    try:
        yield settings, database
    finally:
        database.close()
        backend().store.forget()


def change(verb: Verb, run: RunInfo) -> str:
    """Pause, resume, cancel or retry a run by the desk's verb; returns what was done."""
    with _writable() as (settings, database):
        done = verb(settings, database, run)
    return _with_bell(done.said, done.rung)


def retry(run: RunInfo, kinds: tuple[str, ...] = (), indexes: tuple[str, ...] = ()) -> str:
    """Put failed requests back in the queue; returns what was done."""
    return change(partial(desk.retry, kinds=kinds, indexes=indexes), run)


def place(asked: Asked) -> str:
    """Enqueue what is asked for and ring for it; returns what was done."""
    with _writable() as (settings, database):
        placed = desk.enqueue(settings, database, make_order(asked, settings), new=asked.new)
    more = len(placed.remarks) - MOST_REMARKS
    remarks = [*placed.remarks[:MOST_REMARKS], *([f"and {more} more remarks, on its run card"] if more > 0 else [])]
    return _with_bell(". ".join([placed.said, *remarks]), placed.rung)


def _with_bell(said: str, rung: Rung) -> str:
    return f"{said}; {rung.said}" if rung.away else said


def attempt(action: Callable[[], str]) -> None:
    """Do it and say what came of it."""
    try:
        st.toast(plain(action()), icon=":material/check:")
    except VidevalError as error:
        st.toast(plain(f"{error} → {error.hint}" if error.hint else error), icon=":material/error:")
    except OSError as error:
        st.toast(plain(error), icon=":material/error:")


def buttons(run: RunInfo, *, waiting: int, failed: int) -> None:
    """Pause or resume, cancel, retry: what makes sense for this run."""
    if not is_allowed():
        return
    with st.container(horizontal=True):
        if run.state == RunState.PAUSED:
            _button("Resume", ":material/play_arrow:", lambda: change(desk.resume, run))
        elif waiting and run.state == RunState.ACTIVE:
            _button("Pause", ":material/pause:", lambda: change(desk.pause, run))
        if failed:
            _button(f"Retry {failed:,} failed", ":material/refresh:", lambda: retry(run))
        if waiting and run.state in (RunState.ACTIVE, RunState.PAUSED):
            with st.popover("Cancel …", icon=":material/close:"):
                st.text(f"{waiting:,} request(s) will not be answered. Answers stay.")
                _button("Cancel this run", ":material/close:", lambda: change(desk.cancel, run))


def _button(label: str, icon: str, action: Callable[[], str]) -> None:
    st.button(label, icon=icon, on_click=lambda: attempt(action), key=f"action-{label.split(' ')[0]}")
