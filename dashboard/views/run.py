"""One run: how far, how fast, where the time goes, its score and how sure that is, what went wrong, its files."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import streamlit as st

from dashboard import actions, charts
from dashboard.backend import data
from dashboard.choose import choose_run, title
from dashboard.files import TABLES, files
from dashboard.show import (
    as_of,
    bar,
    chart,
    fragment,
    headline,
    interval,
    numbers,
    paid,
    short_title,
    state_badge,
    unwrapped,
)
from dashboard.table import Figure, Row, Value, link, metric, share, table
from dashboard.words import count, duration, measured, plain, plural, shortened
from videval.db.records import RunInfo
from videval.db.stats import FailureGroup
from videval.db.timings import Slow
from videval.metrics import Figure as Metric
from videval.metrics import figure_table
from videval.report import GroupScore, Outcome, ScoreReport, failed_videos

MOST_GROUPS, MOST_VIDEOS = 20, 20
LEAST_SHOWN = 0.001
"""The share of the devices' time below which a cause has no column."""
_OUTCOMES: dict[Outcome, tuple[Literal["green", "red", "gray"], str]] = {
    Outcome.REPRODUCED: ("green", ":material/check:"),
    Outcome.NOT_REPRODUCED: ("red", ":material/close:"),
    Outcome.UNKNOWN: ("gray", ":material/help:"),
}


@fragment
def _top(run: RunInfo) -> None:
    answer = data().run(run)
    status = unwrapped(answer, "the run")
    if status is None:
        return
    title(short_title(status))
    score = data().score(status).value
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header(plain(headline(status)), width="content")
        state_badge(status)
        as_of(answer)
    st.text(f"{status.run.variant} on {status.run.model}" + f", {status.run.origin}" * status.run.is_imported)
    bar(status.counts, height=18)
    numbers(status, score)
    paid(status)
    if lost := data().frames_lost(run):
        st.warning(plain(lost), icon=":material/warning:")
    if score is not None and score.needs:
        st.info(plain(score.needs), icon=":material/info:")
    actions.buttons(status.run, waiting=status.counts.waiting, failed=status.counts.failed)
    if not status.counts.total:
        st.text("This run has no requests yet: its enqueue is under way, or was cut off (the same enqueue goes on).")


@fragment
def _course(run: RunInfo) -> None:
    reading = data()
    status = reading.run(run).value
    course = unwrapped(reading.timeline(status.run if status else run), "the course")
    if not course or status is None:
        st.caption("Progress and speed are shown from the first answer on.")
        return
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Progress")
        chart(charts.progress(course, status.counts.total), "answered and failed requests over time")
    with right:
        st.subheader("Speed")
        chart(charts.throughput(course), "answers per second over time")


@fragment
def _scores(run: RunInfo) -> None:
    reading = data()
    status = reading.run(run).value
    score = unwrapped(reading.score(status), "the score") if status else None
    if score is None or status is None:
        return
    if not score.scorable:
        st.subheader("Score")
        st.text("No question has an answer to compare with, so nothing is scored here.")
        return
    if not score.overall.estimate.n:
        return
    left, right = st.columns(2, gap="large")
    with left:
        _by_group(score, status.so_far)
    with right:
        st.subheader("How it converges")
        points = unwrapped(reading.converging(run), "the answers in their order")
        if points:
            chart(charts.convergence(points, score.top), "score after ever more answers")
            st.caption(
                "The score after the first n answers, longest first, with its 95 % interval (clustered by video)."
            )


def _by_group(score: ScoreReport, so_far: str) -> None:
    overall = score.overall
    column, groups = next(iter(score.groups.items()), ("", ()))
    st.subheader(f"Score by {plain(column)}" if len(groups) > 1 else "Score")
    if len(groups) > 1:
        chart(charts.scores(groups, overall, score.top), "score of each group with its interval")
    dashed = "; dashed: all of them" if len(groups) > 1 else ""
    verdicts = ", ".join(f"{count(getattr(overall, verdict))} {verdict}" for verdict in score.verdicts)
    st.caption(f"{verdicts} of {count(overall.scored)} in {plural(overall.videos, 'video')}{dashed}")
    for said in filter(None, (score.outdated, so_far, *score.remarks)):
        st.caption(plain(said))
    _metrics(score.metrics)
    _published(score)
    with st.expander("As a table"):
        _score_table([g for found in score.groups.values() for g in found] + [overall], score)


def _published(score: ScoreReport) -> None:
    """What can be said of the numbers that are published for the run's recipe."""
    for found in score.published:
        colour, icon = _OUTCOMES[found.outcome]
        st.badge(found.outcome.value, color=colour, icon=icon)
        st.caption(plain(f"recipe {found.recipe}: {found.said.partition(': ')[2]}"))
        for caveat in found.caveats:
            st.caption(plain(caveat))


def _metrics(figures: Sequence[Metric]) -> None:
    """What the benchmark gives by name beside the headline: figures of the run, and those of groups as a table."""
    for f in figures:
        if not f.group:
            found = f"{measured(f.estimate.mean, f.top)} ({interval(f.estimate, f.top)})"
            st.caption(plain(f"{f.name}: {found}" + (f", {f.about}" if f.about != f.name else "")))
    names, values = figure_table(figures)
    if values:
        st.caption(plain(next(f.about for f in figures if f.group)))
        rows = [
            Row(id=group, cells={"group": group, **dict(zip(names, map(_cell, found), strict=True))})
            for group, found in values
        ]
        table(rows, name="Numbers of groups", key="metrics", height=400)


def _cell(figure: Metric | None) -> Figure | None:
    if figure is None:
        return None
    found = figure.estimate
    text = f"{measured(found.mean, figure.top)} ({interval(found, figure.top)})"
    return Figure(text=text, value=found.mean)


def _score_table(rows: Sequence[GroupScore], score: ScoreReport) -> None:
    def line(g: GroupScore) -> dict[str, Value]:
        return {
            "group": g.group,
            "by": g.column,
            score.name: metric(g.estimate.mean, score.top),
            "low": metric(g.estimate.low, score.top),
            "high": metric(g.estimate.high, score.top),
            "n": g.estimate.n,
            "videos": g.estimate.clusters,
            **{verdict: getattr(g, verdict) for verdict in score.verdicts},
        }

    lines = [Row(cells=line(g), id=f"{g.column} {g.group}") for g in rows]
    table(lines, name="Scores by group", key="scores", height=600)


@fragment
def _time(run: RunInfo) -> None:
    spent = unwrapped(data().time_spent(run), "where the time goes")
    if spent is None or not spent.n:
        return
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Where the time goes")
        chart(charts.stages(spent), "mean seconds of each stage")
        new = spent.new_tokens / spent.n
        st.caption(
            f"Means of {count(spent.n)} answers of {new:.1f} new tokens, from when a worker took them; wait: for the "
            f"device. Before that they were {duration(spent.seconds['queue'])} in the queue."
        )
    with right:
        st.subheader("Slowest requests")
        _slowest(run, spent.slowest)
    _held_up(run)


def _held_up(run: RunInfo) -> None:
    """What held the run up, and what each worker's device did."""
    spent = unwrapped(data().held_up(run), "what held the run up")
    if spent is None or not spent.answers:
        return
    st.text(" -> ".join(filter(None, spent.in_words)))
    causes = [cause for cause, lost in spent.lost.items() if lost >= LEAST_SHOWN]
    whole = spent.elapsed_s or 1.0
    rows = [
        Row(
            cells={
                "worker": w.worker,
                "answers": w.answers,
                "busy": share(w.busy_s / whole),
                **{str(cause): share(w.gaps[cause] / whole) for cause in causes},
            },
            id=w.worker,
        )
        for w in spent.workers
    ]
    table(rows, name="What each device did", key="devices", height=400)


def _slowest(run: RunInfo, slowest: Sequence[Slow]) -> None:
    rows = []
    for s in slowest:
        kind, _, key = s.key.partition(":")
        seconds = s.decode_s + s.generate_s
        cells: dict[str, Value] = {
            "sample": key,
            "decode + generate": Figure(text=duration(seconds), value=seconds),
            "frames": s.num_frames,
            "new tokens": s.new_tokens,
            "video": s.video,
        }
        href = link("samples", run=run.name, sample=key) if kind == "sample" else ""
        rows.append(Row(cells=cells, id=key, href=href))
    opened = table(rows, name="Slowest requests", key="slowest", height=260)
    if opened:
        st.switch_page("views/samples.py", query_params={"run": run.name, "sample": opened})


@fragment
def _failures(run: RunInfo) -> None:
    found = unwrapped(data().failures(run), "the failures")
    if found is None:
        return
    st.subheader("Failures")
    if not found:
        st.caption("None so far.")
        return
    totals = Counter[str]()
    for group in found:
        totals[group.kind] += group.count
    for number, group in enumerate(found[:MOST_GROUPS]):
        _failure(run, number, group, totals[group.kind])
    if len(found) > MOST_GROUPS:
        st.caption(f"and {len(found) - MOST_GROUPS} more messages: videval errors {plain(run.name)}")


def _failure(run: RunInfo, number: int, group: FailureGroup, total: int) -> None:
    """A kind of failure; `total`: how many requests failed in this kind, whatever they said."""
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge(f"{group.count:,} x {plain(group.kind)}", color="red", icon=":material/error:")
            for key in group.examples:
                query = {"run": run.name, "sample": key, "outcome": "failed", "kind": group.kind}
                st.page_link("views/samples.py", label=f"sample {plain(key)}", query_params=query)
            query = {"run": run.name, "outcome": "failed", "kind": group.kind}
            shown = f"show all {count(total)} of kind {plain(group.kind)}" if total > 1 else "show it"
            st.page_link("views/samples.py", label=shown, query_params=query)
            if actions.is_allowed():
                st.button(
                    "Retry these",
                    key=f"retry-{number}-{group.kind}",
                    icon=":material/refresh:",
                    help="every failure of this kind is tried again",
                    on_click=lambda: actions.attempt(lambda: actions.retry(run, (group.kind,))),
                )
        st.text(shortened(group.message, 400))
        if len(group.videos) > 1:
            st.text(failed_videos(group, most=MOST_VIDEOS))


def _card(run: RunInfo) -> None:
    with st.expander("Run card: all that the numbers depend on", icon=":material/description:"):
        card = unwrapped(data().card(run), "the run card", again=True)
        if card is not None:
            st.code(json.dumps(card, indent=2, ensure_ascii=False), language="json")


def _ways_on(run: RunInfo) -> None:
    """Where to go from here."""
    with st.container(horizontal=True, vertical_alignment="center"):
        query = {"run": run.name}
        st.page_link("views/samples.py", label="Samples", icon=":material/movie:", query_params=query)
        query = {"a": run.name}
        st.page_link("views/compare.py", label="Compare", icon=":material/compare_arrows:", query_params=query)
        with st.popover("Report", icon=":material/description:", type="tertiary"):
            st.text("This run as one page of HTML, to send to somebody.")
            files(run, ("html",))
        with st.popover("Export", icon=":material/download:", type="tertiary"):
            files(run, TABLES)


def page() -> None:
    """The page."""
    run = choose_run()
    if run is None:
        return
    _top(run)
    _ways_on(run)
    _course(run)
    _scores(run)
    _time(run)
    _failures(run)
    _card(run)


if __name__ == "__main__":
    page()
