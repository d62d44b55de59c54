"""Every worker: what it does now and for how long; whatever stands still stands out. Queues, database, broker."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboard.backend import data
from dashboard.data import Health
from dashboard.show import figure, fragment, unwrapped
from dashboard.words import ago, count, duration, percent, plain, plural, rate
from videval.db.workers import LIVE_STATES, WorkerInfo
from videval.report import busy_share

SILENT_S = 30.0
LONG_S = 300.0


def _trouble(worker: WorkerInfo) -> str:
    """What is wrong with a worker; empty if nothing is, or if it is gone and a later one has taken its device."""
    if _is_replaced(worker):
        return ""
    if worker.state == "lost":
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
    return ", ".join(found) or "nothing"


def _headline(found: Sequence[WorkerInfo]) -> str:
    live = [w for w in found if w.state in LIVE_STATES]
    working = sum(1 for w in live if w.state == "busy")
    bad = sum(1 for w in found if _trouble(w))
    said = f"{plural(len(live), 'worker')}, {working} working"
    return said + (f", {bad} in trouble" if bad else "")


def _is_replaced(worker: WorkerInfo) -> bool:
    is_gone = worker.state == "lost" or worker.silent_s > SILENT_S
    return is_gone and worker.succeeded_s is not None


def _life(worker: WorkerInfo) -> str:
    if _is_replaced(worker):
        return f"restarted {ago(worker.succeeded_s)}"
    return duration(worker.age_s) if worker.state in LIVE_STATES else "ended"


def _row(worker: WorkerInfo) -> dict[str, object]:
    live = worker.state in LIVE_STATES
    return {
        "worker": worker.name,
        "state": ("⚠ " if _trouble(worker) else "") + worker.state,
        "does now": _does(worker) if live else "",
        "model": worker.model or "none loaded",
        "device": worker.device_name or worker.device,
        "answered": worker.done,
        "failed": worker.failed,
        "rate": rate(worker.done / worker.age_s if worker.age_s else 0.0),
        "device busy": 100 * (busy_share([worker]) or 0.0),
        "memory": f"{worker.rss_mb / 1024:.1f} GB",
        "last heard": ago(worker.silent_s),
        "lives for": _life(worker),
        "host": worker.host,
    }


@fragment
def _workers() -> None:
    found = unwrapped(data().workers(), "the workers")
    if found is None:
        return
    if not found:
        st.header("No worker")
        st.text("Start one for each device of this machine, or a single one:")
        st.code("videval fleet\ncelery -A workers worker", language="bash")
        return
    st.header(plain(_headline(found)))
    live = [w for w in found if w.state in LIVE_STATES]
    st.text(f"devices busy {percent(busy_share(live), 0)} of the time since their workers started")
    for worker in found:
        trouble = _trouble(worker)
        if trouble:
            st.warning(f"**{plain(worker.name)}** {plain(trouble)}", icon=":material/warning:")
    order = sorted(found, key=lambda w: (w.state not in LIVE_STATES, w.host, w.name))
    st.dataframe(
        pd.DataFrame([_row(w) for w in order]),
        hide_index=True,
        column_config={
            "worker": st.column_config.TextColumn("worker", pinned=True),
            "device busy": st.column_config.ProgressColumn("device busy", format="%.0f %%", min_value=0, max_value=100),
        },
    )


@fragment
def _health() -> None:
    health = unwrapped(data().health(), "the queues")
    if health is None:
        return
    st.subheader("Queues")
    if health.queues:
        st.dataframe(pd.DataFrame(_queues(health)), hide_index=True)
        st.caption("Rows decide; a message is only a bell. Fewer messages than rows is normal, workers ring again.")
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


def _queues(health: Health) -> list[dict[str, object]]:
    def at_most(n: int) -> str:
        return f"{count(n)}{' or more' if n >= 1000 else ''}"

    return [
        {
            "model": q.work.spec.name,
            "waiting rows": at_most(q.work.waiting),
            "running rows": at_most(q.work.running),
            "messages": "unknown" if q.messages is None else count(q.messages),
            "dtype": ", ".join(sorted({d or "not fixed yet" for d in q.work.dtypes})),
            "priority": q.work.priority,
        }
        for q in health.queues
    ]


def page() -> None:
    """The page."""
    _workers()
    _health()


if __name__ == "__main__":
    page()
