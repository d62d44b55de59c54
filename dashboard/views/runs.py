"""Every run: what is going on first, then a table of all, then which model was asked which benchmark."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from dashboard.actions import enqueue_form
from dashboard.backend import data
from dashboard.data import Overview
from dashboard.show import bar, fragment, headline, interval, no_runs, numbers, state_badge, unwrapped
from dashboard.words import count, duration, floored, percent, plain, plural, rate, when
from videval.report import RunStatus, ScoreReport, busy_share

MOST_CARDS = 4
STATES = ("running", "paused", "finished", "cancelled", "creating")
Scores = Mapping[int, ScoreReport]


def _state(status: RunStatus) -> str:
    return "running" if status.state == "active" else status.state


def _sentence(overview: Overview) -> str:
    going = [s for s in overview.statuses if s.state == "active"]
    if not going:
        paused = sum(s.state == "paused" for s in overview.statuses)
        return "Nothing is running" + (f", {plural(paused, 'run')} paused" if paused else "")
    if len(going) == 1:
        return f"1 run going: {headline(going[0])}"
    left = sum(s.counts.waiting for s in going)
    etas = [s.eta_s for s in going]
    end = f", all done in about {duration(max(e for e in etas if e is not None))}" if None not in etas else ""
    return f"{len(going)} runs going, {count(left)} answers to go{end}"


def _below(overview: Overview) -> str:
    live = overview.live
    if not live:
        return "No worker is live. Start one per device: videval fleet   (or: celery -A workers worker)"
    speed = sum(s.rate_now for s in overview.statuses)
    hosts = len({w.host for w in live})
    busy = busy_share(live)
    where = f"{plural(len(live), 'worker')} on {plural(hosts, 'host')}"
    doing = f"{rate(speed)} answered" if speed else "idle"
    return f"{where}, {doing}; devices busy {percent(busy, 0)} of the time since their workers started"


def _card(status: RunStatus, score: ScoreReport | None) -> None:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.page_link("views/run.py", label=f"**{plain(status.run.name)}**", query_params={"run": status.run.name})
            state_badge(status)
            st.caption(plain(f"{status.run.variant} asked of {status.run.model}"))
        bar(status.counts)
        numbers(status, score)


def _row(status: RunStatus, score: ScoreReport | None) -> dict[str, object]:
    counts, found = status.counts, score.overall.estimate if score else None
    finished = counts.done + counts.failed
    return {
        "run": status.run.name,
        "state": _state(status),
        "progress": 100 * floored(finished / max(counts.total, 1), 2),
        "score": 100 * found.mean if found and found.mean is not None else None,
        "95 % interval": interval(found) if found and found.n else "",
        "coverage": 100 * floored(score.coverage) if score and score.scorable else None,
        "time left": duration(status.eta_s) if status.state == "active" else "",
        "answered": counts.done,
        "failed": counts.failed,
        "waiting": counts.waiting,
        "rate": rate(status.rate_now if status.state == "active" else status.rate),
        "benchmark": status.run.variant,
        "model": status.run.model,
        "enqueued": when(status.run.created_at),
    }


def _matches(status: RunStatus, text: str, states: Sequence[str]) -> bool:
    run = status.run
    words = f"{run.name} {run.variant} {run.model}".casefold()
    return all(w in words for w in text.casefold().split()) and (not states or _state(status) in states)


def _table(statuses: Sequence[RunStatus], scores: Scores) -> None:
    rows = pd.DataFrame([_row(s, scores.get(s.run.run_id)) for s in statuses])
    chosen = st.dataframe(
        rows,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key="runs-table",
        column_config={
            "run": st.column_config.TextColumn("run", pinned=True),
            "progress": st.column_config.ProgressColumn("progress", format="%.0f %%", min_value=0, max_value=100),
            "score": st.column_config.NumberColumn("score", format="%.1f %%"),
            "coverage": st.column_config.NumberColumn("coverage", format="%.1f %%"),
        },
    )
    selected = chosen["selection"]["rows"]
    if selected and selected[0] < len(statuses):
        st.switch_page("views/run.py", query_params={"run": statuses[selected[0]].run.name})


def _cell(status: RunStatus, score: ScoreReport | None) -> str:
    mean = score.overall.estimate.mean if score else None
    shown = percent(mean) if mean is not None else "not scored"
    if status.state == "finished":
        return f"✓ {shown}" + (f", {status.counts.failed} failed" if status.counts.failed else "")
    share = percent(floored(status.counts.done / max(status.counts.total, 1), 2), 0)
    mark = {"active": "▶", "paused": "‖", "creating": "…"}.get(status.state, "✕")
    return f"{mark} {share} done" + (f", {shown}" if mean is not None else "")


def _matrix(statuses: Sequence[RunStatus], scores: Scores) -> None:
    """The newest run of each model on each variant."""
    cells: dict[str, dict[str, str]] = {}
    for status in reversed(statuses):
        cells.setdefault(status.run.model, {})[status.run.variant] = _cell(status, scores.get(status.run.run_id))
    frame = pd.DataFrame.from_dict(cells, orient="index").sort_index().sort_index(axis=1).fillna("not run")
    st.dataframe(frame)
    st.caption("✓ finished, ▶ running, ‖ paused, … being created, ✕ cancelled; the newest run of each pair")


@fragment
def _live() -> None:
    overview = unwrapped(data().overview(), "the runs")
    if overview is None:
        return
    if not overview.statuses:
        no_runs()
        return
    scores = unwrapped(data().scores(overview), "the scores") or {}
    st.header(plain(_sentence(overview)))
    st.text(_below(overview))
    going = [s for s in overview.statuses if s.state in ("active", "paused", "creating")]
    for status in going[:MOST_CARDS]:
        _card(status, scores.get(status.run.run_id))
    if len(going) > MOST_CARDS:
        st.caption(f"and {len(going) - MOST_CARDS} more, in the table")
    st.subheader("All runs")
    with st.container(horizontal=True):
        text = st.text_input("Search", placeholder="model or benchmark", key="runs-search")
        states = st.multiselect("State", STATES, key="runs-states")
    found = [s for s in overview.statuses if _matches(s, text, states)]
    if found:
        _table(found, scores)
        st.caption("Select a row to open its run; click a column's name to sort by it.")
    else:
        st.text("No run matches. Clear the search to see all of them.")
    st.subheader("Models and benchmarks")
    _matrix(overview.statuses, scores)


def page() -> None:
    """The page."""
    _live()
    enqueue_form()


if __name__ == "__main__":
    page()
