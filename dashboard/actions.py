"""What changes a run, only when the dashboard was started with --allow-actions: each opens the database for itself."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from dashboard.backend import backend
from dashboard.words import plain
from videval.benchmarks.base import Benchmark
from videval.benchmarks.catalog import benchmark as find_benchmark
from videval.benchmarks.catalog import parse_variant
from videval.benchmarks.data import locate
from videval.benchmarks.table import TableBenchmark, table_variant
from videval.db import runs as rows
from videval.db.records import RunInfo
from videval.db.session import Database, open_database
from videval.errors import BrokerUnavailable, DataMissing, ErrorKind, UsageError, VidevalError
from videval.models.catalog import model_spec
from videval.runs import Order, enqueue
from videval.settings import Settings
from videval.types import ModelSpec, RunState, Variant
from workers.broker import using
from workers.publish import publish_run

__all__ = ["Wish", "buttons", "enqueue_form", "is_allowed", "place", "retry"]

TABLES = (".tsv", ".csv", ".jsonl")


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What is to be enqueued: a variant or a file of questions, a model, the first so many requests (0: all)."""

    what: str
    model: str
    limit: int = 0
    frames: int = 8
    priority: int = 0


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
            for _ in publish_run(database, run_id):
                pass
    except BrokerUnavailable:
        return "; the broker is away, any worker sends the messages when it is back"
    return ""


def retry(run: RunInfo, kinds: tuple[str, ...] = (), indexes: tuple[str, ...] = ()) -> str:
    """Put failed requests back in the queue; returns what was done."""

    def change(database: Database) -> str:
        wanted = [ErrorKind(k) for k in kinds]
        count = database.write(lambda c: rows.retry(c, run.run_id, kinds=wanted, indexes=indexes))
        return f"{count} request(s) will be tried again"

    return _changed(change, run.run_id)


def _set(run: RunInfo, state: RunState) -> str:
    def change(database: Database) -> str:
        if state == RunState.CANCELLED:
            count = database.write(lambda c: rows.cancel(c, run.run_id))
            return f"cancelled; {count} request(s) will not be answered"
        database.write(lambda c: rows.set_state(c, run.run_id, state))
        return "paused; what is being generated is finished" if state == RunState.PAUSED else "goes on"

    return _changed(change, run.run_id if state == RunState.ACTIVE else None)


def _order(wish: Wish, settings: Settings) -> Order:
    spec = model_spec(wish.model)
    bench, variant, root = _table(wish, spec) if wish.what.endswith(TABLES) else _published(wish, settings)
    return Order(
        benchmark=bench,
        variant=variant,
        samples=bench.load(root, variant),
        root=root,
        spec=spec,
        dtype=spec.dtype,
        generation=spec.generation,
        max_attempts=settings.max_attempts,
        priority=wish.priority,
        limit=wish.limit or None,
        allow_symlinks=settings.allow_symlinks,
    )


def _table(wish: Wish, spec: ModelSpec) -> tuple[Benchmark, Variant, Path]:
    file = Path(wish.what).expanduser()
    if not file.is_file():
        raise UsageError(f"{file} is not a file on this machine")
    frames = spec.frame_counts[0] if spec.frame_counts else wish.frames
    return TableBenchmark(file), table_variant(file, num_frames=frames), file.parent


def _published(wish: Wish, settings: Settings) -> tuple[Benchmark, Variant, Path]:
    variant = parse_variant(wish.what)
    bench = find_benchmark(variant.benchmark)
    root = locate(bench, settings)
    if root is None:
        raise DataMissing(f"the data of {bench.name} is not on this machine", hint=f"videval prepare {bench.name}")
    return bench, variant, root


def place(wish: Wish) -> str:
    """Enqueue what is wished and ring for it; returns what was done."""
    made: list[RunInfo] = []

    def change(database: Database) -> str:
        made.append(enqueue(database, _order(wish, backend().settings)).run)
        return f"enqueued {made[0].name}"

    said = _changed(change)
    return said + _changed(lambda _: "", made[0].run_id)


def attempt(action: Callable[[], str]) -> None:
    """Do it and say what came of it."""
    try:
        st.toast(plain(action()), icon=":material/check:")
    except VidevalError as error:
        st.toast(plain(f"{error} {error.hint}"), icon=":material/error:")


def buttons(run: RunInfo, *, waiting: int, failed: int) -> None:
    """Pause or resume, cancel, retry: what makes sense for this run."""
    if not is_allowed():
        return
    with st.container(horizontal=True):
        if run.state == RunState.PAUSED:
            _button("Resume", ":material/play_arrow:", lambda: _set(run, RunState.ACTIVE))
        elif waiting and run.state == RunState.ACTIVE:
            _button("Pause", ":material/pause:", lambda: _set(run, RunState.PAUSED))
        if failed:
            _button(f"Retry {failed:,} failed", ":material/refresh:", lambda: retry(run))
        if waiting and run.state in (RunState.ACTIVE, RunState.PAUSED):
            with st.popover("Cancel …", icon=":material/close:"):
                st.text(f"{waiting:,} request(s) will not be answered. Answers stay.")
                _button("Cancel this run", ":material/close:", lambda: _set(run, RunState.CANCELLED))


def _button(label: str, icon: str, action: Callable[[], str]) -> None:
    st.button(label, icon=icon, on_click=lambda: attempt(action), key=f"action-{label.split(' ')[0]}")


def enqueue_form() -> None:
    """Ask for a benchmark and a model, and make the run."""
    if not is_allowed():
        return
    with st.expander("Enqueue a run", icon=":material/add:"), st.form("enqueue", border=False):
        what = st.text_input("Variant or file of questions", placeholder="MVBench_8frame or /data/questions.tsv")
        model = st.text_input("Model", placeholder="Video-LLaVA-7B")
        limit = st.number_input("Only the first requests (0: all)", min_value=0, value=0, step=10)
        priority = st.number_input("Priority (higher is sooner)", min_value=-3, max_value=3, value=0)
        if st.form_submit_button("Enqueue", type="primary") and what and model:
            wish = Wish(what=what.strip(), model=model.strip(), limit=int(limit), priority=int(priority))
            attempt(lambda: place(wish))
