"""Two or more runs on the same questions: who is better, by how much, how sure that is, and on which samples."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboard import charts
from dashboard.backend import data
from dashboard.show import chart, figure, fragment, unwrapped
from dashboard.words import count, percent, plain, plural, points
from videval.db.records import RunInfo
from videval.report import Comparison, RunStatus, card_differences


def _choose(statuses: Sequence[RunStatus]) -> tuple[RunInfo | None, list[RunInfo]]:
    """The run that others are compared with, and the others: those that were asked the same questions."""
    runs = {s.run.name: s.run for s in statuses}
    snapshots = [r.snapshot_id for r in runs.values()]
    first = st.query_params.get("a") or next((r.name for r in runs.values() if snapshots.count(r.snapshot_id) > 1), "")
    names = list(runs)
    left, right = st.columns([1, 2])
    with left:
        a = st.selectbox("Run", names, index=names.index(first) if first in names else 0, key="compare-a")
    same = [r.name for r in runs.values() if r.snapshot_id == runs[a].snapshot_id and r.name != a]
    asked = [b for b in dict.fromkeys(st.query_params.get_all("b")) if b in same]
    with right:
        chosen = st.multiselect("compared with", same, default=asked or same[:1], key=f"compare-b-{a}")
    st.query_params["a"], st.query_params["b"] = a, chosen
    return runs[a], [runs[b] for b in chosen]


def _verdict(a: RunInfo, b: RunInfo, found: Comparison) -> str:
    """Who is better, if that is clear: the interval, which knows that questions of one video go together, decides."""
    difference = found.difference
    if difference.mean is None:
        return "No question is scored in both runs yet"
    low, high = difference.low, difference.high
    if not found.num_only_a and not found.num_only_b and difference.mean == 0:
        return "No difference: both were right and wrong on the same questions"
    if low is None or high is None:
        return f"{points(difference.mean)} so far, on one video only: too few to say who is better"
    if low <= 0 <= high:
        return f"No clear difference: {points(difference.mean)}, which may be chance"
    better = a.name if difference.mean > 0 else b.name
    return f"{better} is better by {points(abs(difference.mean)).lstrip('+')}"


@fragment
def _show(a: RunInfo, b: RunInfo) -> None:
    found = unwrapped(data().compare(a, b), "the comparison")
    if found is None:
        return
    difference = found.difference
    with st.container(border=True):
        st.subheader(plain(_verdict(a, b, found)))
        if difference.mean is None:
            st.text("Wait for both to answer some of the same questions; this page shows them as they come.")
            return
        with st.container(horizontal=True, gap="medium"):
            figure(plain(a.name), percent(found.mean_a))
            figure(plain(b.name), percent(found.mean_b))
            figure("Difference", points(difference.mean))
            if difference.low is not None and difference.high is not None:
                span = f"{100 * difference.low:+.1f} to {100 * difference.high:+.1f}"
                figure("95 % interval, points", span)
            figure("p (McNemar)", f"{found.p:.3f}" if found.p >= 0.001 else "< 0.001")
        st.caption(
            f"Over {plural(difference.n, 'question')} of {plural(difference.clusters, 'video')} that both answered; "
            "the interval is a paired bootstrap that draws whole videos, p is exact and takes questions as independent."
        )
    _groups(found)
    _flipped(a, b, found)
    _cards(a, b)


def _groups(found: Comparison) -> None:
    for column, groups in found.groups.items():
        if len(groups) > 1:
            st.subheader(f"Difference by {plain(column)}")
            chart(charts.differences(groups), "difference in each group with its interval")
            st.caption("Right of the line, the first run is better.")


def _flipped(a: RunInfo, b: RunInfo, found: Comparison) -> None:
    st.subheader("Samples that flipped")
    left, right = st.columns(2)
    with left:
        _one_way(a, b, found.only_a, found.num_only_a)
    with right:
        _one_way(b, a, found.only_b, found.num_only_b)


def _one_way(good: RunInfo, bad: RunInfo, ids: tuple[int, ...], number: int) -> None:
    st.caption(f"{count(number)} right only in {plain(good.name)}")
    if not ids:
        return
    ids = ids[:100]
    reading = data()
    right, wrong = reading.lines(good, ids).value, reading.lines(bad, ids).value
    if right is None or wrong is None:
        st.caption("Reading the samples …")
        return
    said = {line.row_id: line.prediction for line in right}
    rows = [
        {
            "sample": w.key,
            f"{good.name} said": said.get(w.row_id),
            f"{bad.name} said": w.prediction,
            "answer": w.answer,
            "question": w.question,
        }
        for w in wrong
    ]
    key = f"flipped-{good.run_id}-{bad.run_id}-{hash(ids)}"
    chosen = st.dataframe(
        pd.DataFrame(rows), hide_index=True, height=300, on_select="rerun", selection_mode="single-row", key=key
    )
    selected = chosen["selection"]["rows"]
    if selected and selected[0] < len(wrong):
        st.switch_page("views/samples.py", query_params={"run": bad.name, "sample": wrong[selected[0]].key})


def _cards(a: RunInfo, b: RunInfo) -> None:
    st.subheader("What differs in their run cards")
    rows = [{"what": d.what, a.name: d.a, b.name: d.b} for d in card_differences(a, b)]
    if rows:
        st.dataframe(pd.DataFrame(rows), hide_index=True)
    else:
        st.caption("Nothing: they were asked for in the same way.")


def page() -> None:
    """The page."""
    st.header("Compare runs")
    overview = unwrapped(data().overview(), "the runs", again=True)
    if overview is None:
        return
    snapshots = [s.run.snapshot_id for s in overview.statuses]
    if len(set(snapshots)) == len(snapshots):
        st.text("Two runs on the same questions can be compared. Ask another model, or with other frames:")
        st.code("videval enqueue MVBench_8frame Video-LLaVA-7B\nvideval enqueue MVBench_8frame OTHER-MODEL")
        return
    a, others = _choose(overview.statuses)
    if a is None:
        return
    if not others:
        st.text("Choose a run to compare with. Only runs on the same questions are listed.")
    for b in others:
        _show(a, b)


if __name__ == "__main__":
    page()
