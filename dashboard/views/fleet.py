"""Every worker: what it does now and for how long; whatever stands still stands out. Endpoints, queues, database,
broker."""

from collections.abc import Sequence

import streamlit as st

from dashboard.backend import data
from dashboard.choose import hold, title
from dashboard.data import Health
from dashboard.show import as_of, figure, fragment, unwrapped
from dashboard.table import Figure, Row, Value, share, table
from dashboard.words import ago, count, duration, percent, plain, plural, rate
from videval.db.health import EndpointHealth
from videval.db.workers import LIVE_STATES, WorkerInfo
from videval.report import BUDGET, ended_in_words, endpoint_cost, of_limit
from videval.types import WorkerState

SILENT_S = 30.0
LONG_S = 300.0
RECENT_S = 3600.0  # that long a restart is worth telling


def _trouble(worker: WorkerInfo) -> str:
    """What is wrong with a worker; empty if nothing is, or if it is gone and a later one has taken its device."""
    if _is_replaced(worker):
        return ""
    if worker.state == WorkerState.LOST:
        return "lost: its process is gone, its work was given to others"
    if worker.state not in LIVE_STATES:
        return ""
    if worker.silent_s > SILENT_S:
        return f"silent for {duration(worker.silent_s)}: its host may be gone"
    if worker.message:
        return worker.message
    stuck = [a for a in worker.activity.values() if float(a.get("seconds", 0)) > LONG_S]
    return f"in stage {stuck[0]['stage']} for {duration(stuck[0]['seconds'])}" if stuck else ""


def _does(worker: WorkerInfo) -> str:
    found = [f"{a.get('stage', '?')} {duration(float(a.get('seconds', 0)))}" for a in worker.activity.values()]
    found += [] if worker.loading_s is None else [f"loads the model, {duration(worker.loading_s)}"]
    return ", ".join(found) or "nothing"


def _headline(found: Sequence[WorkerInfo]) -> str:
    live = [w for w in found if w.state in LIVE_STATES]
    working = sum(1 for w in live if w.state == WorkerState.BUSY)
    bad = sum(1 for w in found if _trouble(w))
    said = f"{plural(len(live), 'worker')}, {working} working"
    return said + (f", {bad} in trouble" if bad else "")


def _is_history(worker: WorkerInfo) -> bool:
    """Whether it ended as it should and a later one has its device: nobody looks for it."""
    return worker.state == WorkerState.STOPPED and worker.succeeded_s is not None


def _is_replaced(worker: WorkerInfo) -> bool:
    is_fallen = worker.state == WorkerState.LOST or (worker.state in LIVE_STATES and worker.silent_s > SILENT_S)
    return is_fallen and worker.succeeded_s is not None


def _life(worker: WorkerInfo) -> str:
    if _is_replaced(worker):
        return f"restarted {ago(worker.succeeded_s)}"
    return duration(worker.age_s) if worker.state in LIVE_STATES else "ended"


def _row(worker: WorkerInfo, trouble: str) -> Row:
    live = worker.state in LIVE_STATES
    pace = worker.done / worker.age_s if worker.age_s else 0.0
    cells: dict[str, Value] = {
        "worker": worker.name,
        "state": ("⚠ " if trouble else "") + worker.state,
        "does now": _does(worker) if live else None,
        "model": worker.model or "none loaded",
        "device": worker.device_name or worker.device,
        "answered": worker.done,
        "failed": worker.failed,
        "rate": Figure(text=rate(pace), value=pace),
        "device busy": share(data().busy_of(worker).share or 0.0, 0, bar=True) if live else None,
        "memory": Figure(text=f"{worker.rss_mb / 1024:.1f} GB", value=worker.rss_mb),
        "last heard": Figure(text=ago(worker.silent_s), value=worker.silent_s),
        "lives for": Figure(text=_life(worker), value=worker.age_s),
        "host": worker.host,
    }
    return Row(cells=cells, id=worker.id)


@fragment
def _workers() -> None:
    reading = data()
    answer, busy = reading.workers(), reading.busy()
    found = unwrapped(answer, "the workers")
    if found is None:
        return
    live = [w for w in found if w.state in LIVE_STATES]
    title(plural(len(live), "worker"))
    if not found:
        st.header("No worker")
        st.text("Start one for each device of this machine, or a single one:")
        st.code("videval fleet\ncelery -A workers worker", language="bash")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header(plain(_headline(found)), width="content")
        as_of(answer)
    st.text(f"devices busy {percent(busy.share, 0)} {busy.of_what}")
    troubles = {w.id: _trouble(w) for w in found}
    for worker in found:
        if troubles[worker.id]:
            st.warning(f"**{plain(worker.name)}** {plain(troubles[worker.id])}", icon=":material/warning:")
    _restarts(found)
    order = sorted((w for w in found if not _is_history(w)), key=lambda w: (w.state not in LIVE_STATES, w.host, w.name))
    table([_row(w, troubles[w.id]) for w in order], name="Workers", key="workers", height=600)


def _restarts(found: Sequence[WorkerInfo]) -> None:
    """Say which workers of late were replaced by a new one on their device."""
    last: dict[str, float] = {}
    for worker in found:
        if _is_replaced(worker) and worker.succeeded_s is not None and worker.succeeded_s < RECENT_S:
            last[worker.name] = min(worker.succeeded_s, last.get(worker.name, RECENT_S))
    for name, seconds in last.items():
        st.caption(f"{plain(name)} restarted {ago(seconds)}")


@fragment
def _endpoints() -> None:
    found = unwrapped(data().endpoints(), "the endpoints")
    if not found:
        return
    st.subheader("Endpoints")
    for one in found:
        if not one.is_well and not one.is_stale:
            st.warning(f"**{plain(one.name)}** {plain(one.message or one.state)}", icon=":material/warning:")
    table([_endpoint(one) for one in found], name="Endpoints", key="endpoints")


def _endpoint(found: EndpointHealth) -> Row:
    cells: dict[str, Value] = {
        "endpoint": found.name,
        "state": found.state if not found.is_stale else f"{found.state}, and not asked now",
        **{what: _of_limit(of_limit(found, name)) for name, what in BUDGET.items()},
        "requests ended": ended_in_words(found) or None,
        "cost": endpoint_cost(found) or None,
        "last asked": Figure(text=ago(found.silent_s), value=found.silent_s),
        "says": found.message or None,
    }
    return Row(cells=cells, id=found.name)


def _of_limit(known: tuple[float, float | None] | None) -> Figure | None:
    if known is None:
        return None
    value, limit = known
    if limit is None:
        return Figure(text=f"{value:,.0f}", value=value)
    return Figure(text=f"{value:,.0f} of {limit:,.0f}", value=value, share=min(1.0, value / max(limit, 1.0)))


@fragment
def _health() -> None:
    health = unwrapped(data().health(), "the queues")
    if health is None:
        return
    st.subheader("Queues")
    if health.queues:
        table(_queues(health), name="Queues", key="queues")
        st.caption("Fewer messages than rows is normal: workers send again what is missing.")
    else:
        st.caption("Nothing waits: every active run is answered.")
    st.subheader("Database and broker")
    with st.container(horizontal=True, gap="large"):
        figure("Database answers in", f"{1000 * health.database_s:.0f} ms")
        broker = f"{1000 * health.broker_s:.0f} ms" if health.broker_s is not None else "away"
        figure("Broker answers in", broker)
    st.text(health.database)
    if health.broker_error:
        st.text(f"broker: {health.broker_error}")


def _queues(health: Health) -> list[Row]:
    def at_most(n: int) -> Figure:
        return Figure(text=f"{count(n)}{' or more' if n >= 1000 else ''}", value=n)

    return [
        Row(
            id=q.work.load_key,
            cells={
                "model": q.work.spec.name,
                "waiting rows": at_most(q.work.waiting),
                "running rows": at_most(q.work.running),
                "messages": "unknown" if q.messages is None else q.messages,
                "dtype": ", ".join(sorted({d or "not fixed yet" for d in q.work.dtypes})),
                "priority": q.work.priority,
            },
        )
        for q in health.queues
    ]


def page() -> None:
    """The page."""
    hold()
    _workers()
    _endpoints()
    _health()


if __name__ == "__main__":
    page()
