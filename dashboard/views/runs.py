"""Every run: what is going on first, then a table of all, then which model was asked which benchmark."""

from collections.abc import Mapping, Sequence

import streamlit as st

from dashboard.backend import data
from dashboard.choose import hold, no_runs, title
from dashboard.data import Overview
from dashboard.form import enqueue_form
from dashboard.show import (
    as_of,
    bar,
    fragment,
    headline,
    interval,
    numbers,
    paid,
    short_title,
    state_badge,
    time_left,
    unwrapped,
)
from dashboard.table import Figure, Row, Value, link, metric, share, table
from dashboard.words import about, count, eta, floored, measured, percent, plain, plural, price, rate, when
from videval.report import RunStatus, ScoreReport, is_paid

MOST_CARDS = 4
STATES = ("running", "paused", "halted", "finished", "cancelled", "creating")
Scores = Mapping[int, ScoreReport]


def _state(status: RunStatus) -> str:
    return "running" if status.state == "active" else "halted" if status.halted else status.state


def _sentence(overview: Overview) -> str:
    going = [s for s in overview.statuses if s.state == "active"]
    if not going:
        paused = sum(s.state == "paused" for s in overview.statuses)
        return "Nothing is running" + (f", {plural(paused, 'run')} paused" if paused else "")
    if len(going) == 1:
        return f"1 run going: {headline(going[0])}"
    left = sum(s.counts.waiting for s in going)
    etas = [s.eta_s for s in going if s.eta_s is not None]
    end = f", all done in {about(eta(max(etas)))}" if len(etas) == len(going) else ""
    return f"{len(going)} runs going, {count(left)} answers to go{end}"


def _below(overview: Overview) -> str:
    live = overview.live
    if not live:
        return "No worker is live. Start one per device: videval fleet   (or: celery -A workers worker)"
    speed = sum(s.rate_now for s in overview.statuses)
    hosts = len({w.host for w in live})
    busy = data().busy()
    where = f"{plural(len(live), 'worker')} on {plural(hosts, 'host')}"
    doing = f"{rate(speed)} answered" if speed else "idle"
    return f"{where}, {doing}; devices busy {percent(busy.share, 0)} {busy.of_what}"


def _card(status: RunStatus, score: ScoreReport | None) -> None:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.page_link("views/run.py", label=f"**{plain(status.run.name)}**", query_params={"run": status.run.name})
            state_badge(status)
            st.caption(plain(f"{status.run.variant} on {status.run.model}" + ", imported" * status.run.is_imported))
        bar(status.counts)
        numbers(status, score)
        if is_paid(status) or status.halted:
            paid(status)


def _row(status: RunStatus, score: ScoreReport | None, *, some_cost: bool) -> Row:
    counts, found = status.counts, score.overall.estimate if score else None
    pace = status.rate_now if status.state == "active" else status.rate
    cells: dict[str, Value] = {
        "run": status.run.name,
        "state": _state(status),
        "progress": share(floored((counts.done + counts.failed) / max(counts.total, 1), 2), 0, bar=True),
        "score": metric(found.mean if found else None, score.top if score else None),
        "95 % interval": interval(found, score.top) if score and found and found.n else None,
        "coverage": share(floored(score.coverage) if score and score.scorable else None),
        "time left": Figure(text=time_left(status), value=status.eta_s) if time_left(status) else None,
        "answered": counts.done,
        "failed": counts.failed,
        "waiting": counts.waiting,
        "rate": Figure(text=rate(pace), value=pace),
        **({"cost": _cost(status)} if some_cost else {}),
        "benchmark": status.run.variant,
        "model": status.run.model,
        "enqueued": when(status.run.created_at),
        "from": "imported" if status.run.is_imported else None,
    }
    return Row(cells=cells, id=status.run.name, href=link("run", run=status.run.name))


def _cost(status: RunStatus) -> Figure | None:
    cost = status.usage.cost
    return None if cost is None else Figure(text=price(cost, status.run.currency), value=cost)


def _matches(status: RunStatus, text: str, states: Sequence[str]) -> bool:
    run = status.run
    words = f"{run.name} {run.variant} {run.model}".casefold()
    return all(w in words for w in text.casefold().split()) and (not states or _state(status) in states)


def _table(statuses: Sequence[RunStatus], scores: Scores) -> None:
    some_cost = any(s.usage.cost is not None for s in statuses)
    rows = [_row(s, scores.get(s.run.run_id), some_cost=some_cost) for s in statuses]
    opened = table(rows, name="All runs", key="runs-table", height=600)
    if opened:
        st.switch_page("views/run.py", query_params={"run": opened})


def _cell(status: RunStatus, score: ScoreReport | None) -> str:
    mean = score.overall.estimate.mean if score else None
    shown = "not scored" if score and mean is None else measured(mean, score.top if score else None)
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
    variants = sorted({v for row in cells.values() for v in row})
    rows = [
        Row(cells={"model": model, **{v: cells[model].get(v, "not run") for v in variants}}) for model in sorted(cells)
    ]
    table(rows, name="Models and benchmarks", key="matrix", height=600)
    st.caption("✓ finished, ▶ running, ‖ paused, … being created, ✕ cancelled; the newest run of each pair")


@fragment
def _live() -> None:
    answer = data().overview()
    overview = unwrapped(answer, "the runs")
    if overview is None:
        return
    if not overview.statuses:
        no_runs()
        return
    scores = unwrapped(data().scores(overview), "the scores") or {}
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header(plain(_sentence(overview)), width="content")
        as_of(answer)
    st.text(_below(overview))
    going = [s for s in overview.statuses if s.state in ("active", "paused", "creating")]
    active = [s for s in going if s.state == "active"]
    title(short_title(active[0]) if len(active) == 1 else plural(len(active), "run") if active else "")
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
        st.caption("A click on a row, or Enter, opens its run; a click on a column's name sorts by it.")
    else:
        st.text("No run matches. Clear the search to see all of them.")
    st.subheader("Models and benchmarks")
    _matrix(overview.statuses, scores)


def page() -> None:
    """The page."""
    hold()
    _live()
    enqueue_form()


if __name__ == "__main__":
    page()
