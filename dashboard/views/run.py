"""One run: how far, how fast, where the time goes, its score and how sure that is, what went wrong, its files."""

import json
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboard import actions, charts
from dashboard.backend import backend, data
from dashboard.show import bar, chart, choose_run, fragment, headline, numbers, state_badge, unwrapped
from dashboard.words import count, duration, percent, plain, plural, shortened
from videval.db.records import RunInfo
from videval.db.stats import FailureGroup
from videval.db.timings import Slow
from videval.export import ExportFormat
from videval.report import RunStatus, ScoreReport

FILES: tuple[ExportFormat, ...] = ("xlsx", "tsv", "jsonl", "parquet", "json")


@fragment
def _top(run: RunInfo) -> None:
    status = unwrapped(data().run(run), "the run")
    if status is None:
        return
    score = data().score(status).value
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header(plain(headline(status)), width="content")
        state_badge(status)
    st.text(f"{status.run.variant} asked of {status.run.model}")
    bar(status.counts, height=18)
    numbers(status, score)
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
    if score is None:
        return
    if not score.scorable:
        st.subheader("Score")
        st.text("No question has an answer to compare with, so nothing is scored here.")
        return
    if not score.overall.estimate.n:
        return
    left, right = st.columns(2, gap="large")
    with left:
        _by_group(score)
    with right:
        st.subheader("How it converges")
        points = unwrapped(reading.converging(run), "the answers in their order")
        if points:
            chart(charts.convergence(points), "score after ever more answers")
            st.caption("The score after the first n answers, with its 95 % interval (clustered by video).")


def _by_group(score: ScoreReport) -> None:
    overall = score.overall
    column, groups = next(iter(score.groups.items()), ("", ()))
    st.subheader(f"Score by {plain(column)}" if len(groups) > 1 else "Score")
    if len(groups) > 1:
        chart(charts.scores(groups, overall), "score of each group with its interval")
    total = overall.right + overall.wrong + overall.unparsed
    st.caption(
        f"{count(overall.right)} right, {count(overall.wrong)} wrong, {count(overall.unparsed)} unparsed of "
        f"{count(total)}; dashed: all of them" + (f"; mean of the groups {percent(score.macro)}" if groups else "")
    )
    with st.expander("As a table"):
        rows = [g for found in score.groups.values() for g in found] + [overall]
        st.dataframe(
            pd.DataFrame(
                [
                    {
                        "by": g.column,
                        "group": g.group,
                        "score": percent(g.estimate.mean),
                        "low": percent(g.estimate.low),
                        "high": percent(g.estimate.high),
                        "n": g.estimate.n,
                        "videos": g.estimate.clusters,
                        "right": g.right,
                        "wrong": g.wrong,
                        "unparsed": g.unparsed,
                    }
                    for g in rows
                ]
            ),
            hide_index=True,
        )


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


def _slowest(run: RunInfo, slowest: Sequence[Slow]) -> None:
    rows = [
        {
            "sample": s.key.partition(":")[2],
            "decode + generate": duration(s.decode_s + s.generate_s),
            "frames": s.num_frames,
            "new tokens": s.new_tokens,
            "video": s.video,
        }
        for s in slowest
    ]
    chosen = st.dataframe(
        pd.DataFrame(rows), hide_index=True, height=230, on_select="rerun", selection_mode="single-row", key="slowest"
    )
    selected = chosen["selection"]["rows"]
    if selected and slowest[selected[0]].key.startswith("sample:"):
        _open_sample(run, rows[selected[0]]["sample"])


def _open_sample(run: RunInfo, key: object) -> None:
    st.switch_page("views/samples.py", query_params={"run": run.name, "sample": str(key)})


@fragment
def _failures(run: RunInfo) -> None:
    found = unwrapped(data().failures(run), "the failures")
    if found is None:
        return
    st.subheader("Failures")
    if not found:
        st.caption("None so far.")
        return
    for number, group in enumerate(found[:20]):
        _failure(run, number, group)
    if len(found) > 20:
        st.caption(f"and {len(found) - 20} more messages: videval errors {plain(run.name)}")


def _failure(run: RunInfo, number: int, group: FailureGroup) -> None:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge(f"{group.count:,} x {plain(group.kind)}", color="red", icon=":material/error:")
            for key in group.examples:
                query = {"run": run.name, "sample": key, "outcome": "failed"}
                st.page_link("views/samples.py", label=f"sample {plain(key)}", query_params=query)
            if actions.is_allowed():
                st.button(
                    "Retry these",
                    key=f"retry-{number}-{group.kind}",
                    icon=":material/refresh:",
                    help="every failure of this kind is tried again",
                    on_click=lambda: actions.attempt(lambda: actions.retry(run, (group.kind,))),
                )
        st.text(shortened(group.message, 400))


@fragment
def _files(run: RunInfo) -> None:
    st.subheader("Export")
    status = data().run(run).value
    if status is None or not status.counts.done:
        is_over = status is not None and status.counts.finished and status.counts.total
        st.caption("Nothing was answered." if is_over else "There is something to export from the first answer on.")
        return
    unanswered = status.counts.total - status.counts.done
    if unanswered:
        st.caption(f"{plural(unanswered, 'request')} without an answer: a file has empty predictions there.")
    with st.container(horizontal=True):
        for format in FILES:
            _file(status, format)


def _file(status: RunStatus, format: ExportFormat) -> None:
    exports, run = backend().exports, status.run

    def begin() -> None:
        exports.begin(status, format)

    if not exports.is_asked_for(run, format):
        st.button(f"Build {format}", key=f"build-{format}", on_click=begin)
        return
    ready = exports.ready(run, format)
    if ready is None:
        st.button(f"Building {format} …", key=f"building-{format}", disabled=True)
    elif ready.error:
        st.error(plain(ready.error))
        st.button(f"Build {format} again", key=f"retry-{format}", on_click=begin)
    else:
        answers = exports.answers_if_outdated(status, format)
        held = f"{count(ready.rows)} rows" if answers is None else f"as of {plural(answers, 'answer')}, outdated"
        st.download_button(
            f"Download {format} ({held})",
            ready.content,
            file_name=ready.name,
            key=f"download-{format}",
            icon=":material/download:",
            on_click="ignore",
            type="primary" if answers is None else "secondary",
        )
        st.button("Build anew", key=f"again-{format}", type="tertiary", on_click=begin)


def _card(run: RunInfo) -> None:
    with st.expander("Run card: all that the numbers depend on", icon=":material/description:"):
        card = unwrapped(data().card(run), "the run card")
        if card is not None:
            st.code(json.dumps(card, indent=2, ensure_ascii=False), language="json")


def page() -> None:
    """The page."""
    run = choose_run()
    if run is None:
        return
    _top(run)
    _course(run)
    _scores(run)
    _time(run)
    _failures(run)
    _files(run)
    _card(run)
    st.page_link(
        "views/samples.py", label="Look at the samples", icon=":material/movie:", query_params={"run": run.name}
    )


if __name__ == "__main__":
    page()
