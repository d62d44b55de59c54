"""Two or more runs on the same questions: who is better, by how much, how sure that is, and on which samples."""

from collections.abc import Mapping, Sequence

import streamlit as st

from dashboard import charts
from dashboard.backend import data
from dashboard.choose import hold, title
from dashboard.sample import question, responses, said
from dashboard.show import again_if_pending, as_of, chart, figure, fragment, unwrapped
from dashboard.table import Figure, Row, Value, link, metric, table
from dashboard.video import beside, frames, video
from dashboard.words import count, measured, plain, plural, points, shortened
from videval.db.browse import SampleLine
from videval.db.records import RunInfo
from videval.report import Comparison, RunStatus, card_differences

MOST_FLIPPED = 100  # of each way


def _choose(statuses: Sequence[RunStatus]) -> tuple[RunInfo, list[RunInfo]] | None:
    """The run that others are compared with, and the others: those that were asked the same questions.

    None until a run is chosen. What the link asks for and cannot be had is named, and nothing is put in its place.
    """
    runs = {s.run.name: s.run for s in statuses}
    snapshots = [r.snapshot_id for r in runs.values()]
    wanted, asked = st.query_params.get("a"), list(dict.fromkeys(st.query_params.get_all("b")))
    first = wanted or next(r.name for r in runs.values() if snapshots.count(r.snapshot_id) > 1)
    names, index = list(runs), None
    if first in names:
        index = names.index(first)
    else:
        _say(f"There is no run {first} here.")
    left, right = st.columns([1, 2])
    with left:
        a = st.selectbox("Run", names, index=index, placeholder="Choose a run", key=f"compare-a-{wanted}")
    if a is None:
        return None
    same = [r.name for r in runs.values() if r.snapshot_id == runs[a].snapshot_id and r.name != a]
    bad = [b for b in asked if b not in same] if a == first else []
    for b in bad:
        _say_why_not(runs, a, b)
    default = [b for b in asked if b in same] or ([] if bad else same[:1])
    with right:
        others = st.multiselect("compared with", same, default=default, key=f"compare-b-{a}-{bad}")
    is_as_asked = a == wanted and others == [b for b in asked if b in same]
    hold(a=a, b=others or bad, sample=st.query_params.get("sample", "") if is_as_asked else "")
    return runs[a], [runs[b] for b in others]


def _say(what: str) -> None:
    st.warning(plain(what), icon=":material/search_off:")


def _say_why_not(runs: Mapping[str, RunInfo], a: str, b: str) -> None:
    """Why a run of the link is not compared, if it is not."""
    if b not in runs:
        _say(f"There is no run {b} here.")
    elif b == a:
        _say(f"{b} is compared with itself; choose another run.")
    elif runs[b].snapshot_id != runs[a].snapshot_id:
        _say(f"{b} is on other questions and cannot be compared with {a}.")


def _verdict(a: RunInfo, b: RunInfo, found: Comparison) -> str:
    """Who is better, if that is clear: the interval, which knows that questions of one video go together, decides."""
    difference = found.difference
    if difference.mean is None:
        return "No question is scored in both runs yet"
    low, high = difference.low, difference.high
    if not found.num_only_a and not found.num_only_b and difference.mean == 0:
        return "No difference: both were right and wrong on the same questions"
    if low is None or high is None:
        return f"{points(difference.mean, found.top)} so far, on one video only: too few to say who is better"
    if low <= 0 <= high:
        return f"No clear difference: {points(difference.mean, found.top)}, which may be chance"
    better = a.name if difference.mean > 0 else b.name
    return f"{better} is better by {points(abs(difference.mean), found.top).lstrip('+')}"


@fragment
def _show(a: RunInfo, b: RunInfo) -> None:
    answer = data().compare(a, b)
    found = unwrapped(answer, "the comparison")
    if found is None:
        return
    difference = found.difference
    as_of(answer)
    with st.container(border=True):
        st.subheader(plain(_verdict(a, b, found)))
        if difference.mean is None:
            st.text("Wait for both to answer some of the same questions; this page shows them as they come.")
            return
        with st.container(horizontal=True, gap="medium"):
            figure(plain(a.name), measured(found.mean_a, found.top))
            figure(plain(b.name), measured(found.mean_b, found.top))
            figure("Difference", points(difference.mean, found.top))
            if difference.low is not None and difference.high is not None:
                low, high = (points(end, found.top).removesuffix(" pts") for end in (difference.low, difference.high))
                figure("95 % interval" + ", points" * (found.top is None), f"{low} to {high}")
            figure("p (McNemar)", f"{found.p:.3f}" if found.p >= 0.001 else "< 0.001")
        st.caption(
            f"Over {plural(difference.n, 'question')} of {plural(difference.clusters, 'video')} that both answered; "
            "the interval is a paired bootstrap that draws whole videos, p is exact and takes questions as independent."
        )
    _metrics(a, b, found)
    _fourfold(a, b, found)
    _flipped(a, b, found)


def _metrics(a: RunInfo, b: RunInfo, found: Comparison) -> None:
    """What else the benchmark declares, of both runs over the questions that both answered."""
    rows = []
    for m in found.metrics:
        difference, top = m.difference, m.a.top
        low, high = (points(end, top).removesuffix(" pts") for end in (difference.low, difference.high))
        cells: dict[str, Value] = {
            "metric": m.a.name,
            a.name: metric(m.a.estimate.mean, top),
            b.name: metric(m.b.estimate.mean, top),
            "difference": Figure(text=points(difference.mean, top), value=difference.mean),
            "95 % interval": f"{low} to {high}" if difference.low is not None else None,
        }
        rows.append(Row(id=m.a.name, cells=cells))
    if rows:
        table(rows, name="Differences of further metrics", key=f"metrics-{a.run_id}-{b.run_id}")


def _fourfold(a: RunInfo, b: RunInfo, found: Comparison) -> None:
    """On how many questions both, one or none of them was right."""
    neither = found.difference.n - found.both_right - found.num_only_a - found.num_only_b
    counts = {"right": (found.both_right, found.num_only_a), "wrong": (found.num_only_b, neither)}
    rows = [
        Row(id=of_a, cells={a.name: of_a, f"{b.name} right": right, f"{b.name} wrong": wrong})
        for of_a, (right, wrong) in counts.items()
    ]
    table(rows, name="Questions that both, one or none answered right", key=f"fourfold-{a.run_id}-{b.run_id}")


@fragment
def _rest(a: RunInfo, b: RunInfo) -> None:
    found = data().compare(a, b).value
    if found is not None and found.difference.mean is not None:
        _groups(found)
        _cards(a, b)


def _groups(found: Comparison) -> None:
    for column, groups in found.groups.items():
        if len(groups) > 1:
            st.subheader(f"Difference by {plain(column)}")
            chart(charts.differences(groups, found.top), "difference in each group with its interval")
            st.caption("Right of the line, the first run is better.")


def _flipped(a: RunInfo, b: RunInfo, found: Comparison) -> None:
    st.subheader("Samples that flipped")
    ways = {
        f"{count(found.num_only_a)} right only in {a.name}": found.only_a,
        f"{count(found.num_only_b)} right only in {b.name}": found.only_b,
    }
    chosen = st.segmented_control(
        "Show", list(ways), format_func=plain, key=f"flipped-way-{a.run_id}-{b.run_id}", label_visibility="collapsed"
    )
    ids = tuple(sorted(i for way, ids in ways.items() if chosen in (None, way) for i in ids[:MOST_FLIPPED]))
    if not ids:
        st.caption("None.")
        return
    reading = data()
    of_a, of_b = reading.lines(a, ids).value, reading.lines(b, ids).value
    if of_a is None or of_b is None:
        st.caption("Reading the samples …")
        return
    _flipped_table(a, b, of_a, of_b)


def _flipped_table(a: RunInfo, b: RunInfo, of_a: Sequence[SampleLine], of_b: Sequence[SampleLine]) -> None:
    in_b = {line.row_id: line for line in of_b}
    rows = [
        Row(
            id=line.key,
            href=link("compare", a=a.name, b=b.name, sample=line.key),
            cells={
                "sample": line.key,
                "question": shortened(line.question, 90),
                "right answer": line.answer,
                f"{a.name} said": _said(line),
                f"{b.name} said": _said(in_b[line.row_id]),
            },
        )
        for line in of_a
        if line.row_id in in_b
    ]
    current = st.query_params.get("sample", "")
    key = f"flipped-{a.run_id}-{b.run_id}"
    opened = table(rows, name="Samples that flipped", key=key, height=320, current=current)
    if opened and opened != current:
        st.query_params["sample"] = opened
        st.rerun()


def _said(line: SampleLine) -> str:
    """What was predicted; of no word, why there is none."""
    return shortened(line.prediction, 60) or f"({line.outcome})"


def _side_by_side(runs: Sequence[RunInfo], key: str) -> None:
    """One sample: its video once, and what each run said."""
    answers = [data().sample(run, key) for run in runs]
    again_if_pending(*answers)
    views = [answer.value for answer in answers]
    if views[0] is None:
        return
    with st.container(border=True):
        st.subheader(f"Sample {plain(key)}")
        left, right = st.columns(2, gap="large")
        with left:
            video(views[0])
        with right:
            frames(views[0])
            beside(views[0])
            question(views[0])
        for run, view, place in zip(runs, views, st.columns(len(runs), gap="large"), strict=True):
            with place:
                st.markdown(f"**{plain(run.name)}**")
                if view is not None:
                    said(view)
                    responses(view, run.currency)


def _cards(a: RunInfo, b: RunInfo) -> None:
    st.subheader("What differs in their run cards")
    rows = [Row(id=d.what, cells={"what": d.what, a.name: d.a, b.name: d.b}) for d in card_differences(a, b)]
    if rows:
        table(rows, name="What differs in the run cards", key=f"cards-{a.run_id}-{b.run_id}")
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
    chosen = _choose(overview.statuses)
    if chosen is None:
        return
    a, others = chosen
    title(" vs ".join(run.variant if a.model == run.model else run.model for run in (a, *others)))
    if not others:
        st.text("Choose a run to compare with. Only runs on the same questions are listed.")
        return
    for b in others:
        _show(a, b)
    if sample := st.query_params.get("sample"):
        _side_by_side((a, *others), sample)
    for b in others:
        _rest(a, b)


if __name__ == "__main__":
    page()
