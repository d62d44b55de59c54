"""Samples of a run: a list that filters narrow, and one of them with its video, its frames and its answer."""

import re
from collections.abc import Sequence
from functools import partial

import streamlit as st

from dashboard.backend import data
from dashboard.choose import choose_run, title
from dashboard.sample import COLOURS, show_sample
from dashboard.show import again_if_pending, as_of, fragment, unwrapped
from dashboard.table import Row, link, table
from dashboard.words import plain, shortened
from videval.db.browse import OUTCOMES, SampleFilter, SampleLine
from videval.db.records import RunInfo
from videval.errors import ErrorKind, VidevalError
from videval.report import group_columns
from videval.report.index import natural

ROW_ID = re.compile("[0-9]{1,18}")
FILTERS = ("outcome", "kind", "worker", "video", "column", "group", "text")  # of SampleFilter, and in the address


def _set(**wanted: str) -> None:
    """Write into the link what is not empty, take out what is."""
    for name, value in wanted.items():
        if value:
            st.query_params[name] = value
        elif name in st.query_params:
            del st.query_params[name]


def _wanted(run: RunInfo) -> SampleFilter:
    """The filter of the link, with widgets to change it."""
    asked = {name: st.query_params.get(name, "") for name in FILTERS}
    columns = _columns(run)
    column = asked["column"] if asked["column"] in columns else next(iter(columns), "")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        outcome = _one_of("Show", OUTCOMES, asked["outcome"], "all samples", key="outcome")
        if len(columns) > 1:
            column = st.selectbox("Group by", columns, index=columns.index(column), key="column")
        group = _group(run, column, asked["group"])
        text = st.text_input("Search", asked["text"], placeholder="in question, answer, video, id", key="text")
        more = _more(asked)
    if column:
        again_if_pending(data().group_values(run, column))
    chosen = {"outcome": outcome, "column": column if group else "", "group": group, "text": text.strip()} | more
    if any(chosen[name] != asked[name] for name in FILTERS if name != "column"):
        _set(sample="", **{"from": ""})
    _set(**chosen)
    return SampleFilter(**chosen)


def _one_of(label: str, values: Sequence[str], asked: str, all_of_them: str, *, key: str) -> str:
    options = ["", *values]
    at = options.index(asked) if asked in options else 0
    return str(st.selectbox(label, options, index=at, format_func=lambda o: o or all_of_them, key=key))


def _more(asked: dict[str, str]) -> dict[str, str]:
    """The filters that are wanted less often."""
    used = sum(bool(asked[name]) for name in ("kind", "worker", "video"))
    with st.popover(f"More filters ({used})" if used else "More filters", icon=":material/filter_list:"):
        kind = _one_of("Kind of failure", tuple(ErrorKind), asked["kind"], "any", key="kind")
        worker = st.text_input("Worker", asked["worker"], placeholder="gpu0@host", key="worker")
        video = st.text_input("Video", asked["video"], placeholder="a part of its name", key="video")
    return {"kind": kind, "worker": worker.strip(), "video": video.strip()}


def _columns(run: RunInfo) -> tuple[str, ...]:
    """What to group by; nothing if the benchmark's plugin is gone: its samples can still be looked at."""
    try:
        return group_columns(run)
    except VidevalError:
        return ()


def _group(run: RunInfo, column: str, asked: str) -> str:
    if not column:
        return ""
    answer = data().group_values(run, column)
    found = answer.value
    groups = ["", *(sorted(found, key=natural) if found is not None else filter(None, [asked]))]
    at = groups.index(asked) if asked in groups else 0
    group = st.selectbox(column, groups, index=at, format_func=lambda g: g or "all", key=f"group-{column}")
    return str(group)


def _row(run: RunInfo, line: SampleLine) -> Row:
    asked = {name: st.query_params.get(name, "") for name in FILTERS}
    return Row(
        id=line.key,
        href=link("samples", run=run.name, sample=line.key, **asked),
        cells={
            "sample": line.key,
            "result": line.outcome,
            "said": shortened(line.prediction, 60) if line.prediction is not None else None,
            "answer": line.answer,
            "question": shortened(line.question, 90),
        },
    )


def _list(run: RunInfo, wanted: SampleFilter) -> tuple[SampleLine, ...]:
    """The samples that the filter lets through, a page at a time."""
    asked = st.query_params.get("from", "0")
    from_id = int(asked) if ROW_ID.fullmatch(asked) else 0
    found = unwrapped(data().samples(run, wanted, from_id), "the samples", again=True)
    if found is None:
        return ()
    if found.lines:
        rows = [_row(run, line) for line in found.lines]
        opened = table(rows, name="Samples", key=f"samples-{hash((wanted, from_id))}", height=640)
        if opened:
            _set(sample=opened)
            st.rerun()
    elif found.next_id is None:
        st.text("No sample matches. Widen the filter to see more.")
    else:
        st.text("None so far; there is more to search.")
    with st.container(horizontal=True):
        if from_id:
            st.button("From the beginning", on_click=lambda: _set(**{"from": ""}), key="first-page")
        if found.next_id is not None:
            go = str(found.next_id)
            st.button("More" if found.lines else "Search on", on_click=lambda: _set(**{"from": go}), key="next-page")
    return found.lines


def _steps(run: RunInfo, wanted: SampleFilter, line: SampleLine) -> None:
    """Buttons to the neighbours that the filter lets through, with keys."""
    sides = {step: data().neighbour(run, wanted, line.row_id, step) for step in (-1, 1)}
    with st.container(horizontal=True, vertical_alignment="center"):
        for label, icon, step, key in (("Previous", "chevron_left", -1, "P"), ("Next", "chevron_right", 1, "N")):
            found = sides[step].value
            other = found.lines[0] if found and found.lines else None
            st.button(
                label,
                icon=f":material/{icon}:",
                shortcut=key,
                disabled=other is None,
                key=f"step-{label}",
                on_click=partial(_set, sample=other.key if other else line.key),
            )
        st.badge(line.outcome, color=COLOURS.get(line.outcome, "gray"))
        st.text(f"sample {line.key}")
        st.page_link("views/run.py", label="Its run", icon=":material/monitoring:", query_params={"run": run.name})
    again_if_pending(*sides.values())


@fragment
def _freshness(run: RunInfo) -> None:
    as_of(data().run(run))


def page() -> None:
    """The page."""
    run = choose_run(keep=FILTERS, of_the_run=("sample", "from"))
    if run is None:
        return
    _freshness(run)
    wanted = _wanted(run)
    narrowed = ", ".join(filter(None, (wanted.kind, wanted.group, wanted.worker, wanted.video)))
    shown = f"Samples: {wanted.outcome or 'all'}" + (f", {narrowed}" if narrowed else "")
    with st.expander(plain(shown), expanded="sample" not in st.query_params, icon=":material/list:"):
        lines = _list(run, wanted)
    key = st.query_params.get("sample") or (lines[0].key if lines else "")
    title(f"sample {key} · {run.variant}" if key else run.variant)
    if not key:
        return
    answer = data().sample(run, key)
    view = unwrapped(answer, "the sample", again=answer.is_pending)
    if view is None:
        if not answer.is_pending:
            st.text("This benchmark has no such sample.")
        return
    _steps(run, wanted, view.line)
    show_sample(run, view)


if __name__ == "__main__":
    page()
