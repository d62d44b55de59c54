"""What changes a run, only when the dashboard was started with --allow-actions: each opens the database for itself."""

from collections.abc import Callable

import streamlit as st

from dashboard.backend import backend
from dashboard.words import plain
from videval.changes import Changed, cancel, pause, resume
from videval.db import plans
from videval.db.records import RunInfo
from videval.db.session import Database, open_database
from videval.errors import BrokerUnavailable, ErrorKind, UsageError, VidevalError
from videval.orders import Asked, make_order
from videval.runs import enqueue
from videval.settings import Settings
from videval.types import RunState
from workers.broker import using
from workers.publish import publish_run

__all__ = ["buttons", "enqueue_form", "is_allowed", "place", "retry"]


def is_allowed() -> bool:
    """Whether this dashboard may change anything."""
    return backend().settings.dashboard_allow_actions


def _changed(change: Callable[[Database], str], ring_for: int | None = None) -> str:
    """Do it in a writable database of its own, ring for the run, and have all pages read anew."""
    if not is_allowed():
        raise UsageError("this dashboard only looks", hint="videval dashboard --allow-actions")
    settings = backend().settings
    database = open_database(settings)
    try:
        said = change(database)
        if ring_for is not None:
            said += _rung(settings, database, ring_for)
        return said
    finally:
        database.close()
        backend().store.forget()


def _rung(settings: Settings, database: Database, run_id: int) -> str:
    try:
        with using(settings):
            for _ in publish_run(settings, database, run_id):
                pass
    except BrokerUnavailable:
        return "; the broker is away, any worker sends the messages when it is back"
    return ""


def retry(run: RunInfo, kinds: tuple[str, ...] = (), indexes: tuple[str, ...] = ()) -> str:
    """Put failed requests back in the queue; returns what was done."""

    def change(database: Database) -> str:
        wanted = [ErrorKind(k) for k in kinds]
        count = database.write(lambda c: plans.retry(c, run.run_id, kinds=wanted, indexes=indexes))
        return f"{count} request(s) will be tried again"

    return _changed(change, run.run_id)


def _change(run: RunInfo, change: Callable[[Database, RunInfo], Changed]) -> str:
    made: list[Changed] = []

    def apply(database: Database) -> str:
        made.append(change(database, run))
        return made[0].said

    said = _changed(apply)
    return said + (_changed(lambda _: "", run.run_id) if made[0].goes_on else "")


def place(asked: Asked) -> str:
    """Enqueue what is asked for and ring for it; returns what was done."""
    made: list[RunInfo] = []

    def change(database: Database) -> str:
        made.append(enqueue(database, make_order(asked, backend().settings)).run)
        return f"enqueued {made[0].name}"

    said = _changed(change)
    return said + _changed(lambda _: "", made[0].run_id)


def attempt(action: Callable[[], str]) -> None:
    """Do it and say what came of it."""
    try:
        st.toast(plain(action()), icon=":material/check:")
    except VidevalError as error:
        st.toast(plain(f"{error} {error.hint}"), icon=":material/error:")
    except OSError as error:
        st.toast(plain(error), icon=":material/error:")


def buttons(run: RunInfo, *, waiting: int, failed: int) -> None:
    """Pause or resume, cancel, retry: what makes sense for this run."""
    if not is_allowed():
        return
    with st.container(horizontal=True):
        if run.state == RunState.PAUSED:
            _button("Resume", ":material/play_arrow:", lambda: _change(run, resume))
        elif waiting and run.state == RunState.ACTIVE:
            _button("Pause", ":material/pause:", lambda: _change(run, pause))
        if failed:
            _button(f"Retry {failed:,} failed", ":material/refresh:", lambda: retry(run))
        if waiting and run.state in (RunState.ACTIVE, RunState.PAUSED):
            with st.popover("Cancel …", icon=":material/close:"):
                st.text(f"{waiting:,} request(s) will not be answered. Answers stay.")
                _button("Cancel this run", ":material/close:", lambda: _change(run, cancel))


def _button(label: str, icon: str, action: Callable[[], str]) -> None:
    st.button(label, icon=icon, on_click=lambda: attempt(action), key=f"action-{label.split(' ')[0]}")


def enqueue_form() -> None:
    """Ask for a benchmark and a model, and make the run."""
    if not is_allowed():
        return
    with st.expander("Enqueue a run", icon=":material/add:"), st.form("enqueue", border=False):
        what = st.text_input("Variant or file of questions", placeholder="MVBench_8frame or /data/questions.tsv")
        model = st.text_input("Model", placeholder="Video-LLaVA-7B")
        limit = st.number_input("Only so many requests (0: all)", min_value=0, value=0, step=10)
        priority = st.number_input("Priority (higher is sooner)", min_value=-3, max_value=3, value=0)
        if st.form_submit_button("Enqueue", type="primary") and what and model:
            asked = Asked(what=what.strip(), model=model.strip(), limit=int(limit) or None, priority=int(priority))
            attempt(lambda: place(asked))
