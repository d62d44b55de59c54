"""One sample: the video beside the frames that the model saw, what it was asked, what it said, how it was read."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import streamlit as st

from dashboard import actions
from dashboard.data import SampleView
from dashboard.table import Figure, Row, Value, link, table
from dashboard.video import beside, frames, video
from dashboard.words import NOTHING, duration, encodable, plain, plural, price, shortened, when
from videval.db.browse import AttemptInfo, RequestDetail
from videval.db.records import RunInfo
from videval.types import Seen

__all__ = ["COLOURS", "question", "responses", "said", "show_sample"]

COLOURS: Mapping[str, Any] = {
    "right": "green",
    "wrong": "red",
    "unparsed": "orange",
    "truncated": "orange",
    "refused": "violet",
    "failed": "red",
    "waiting": "blue",
    "unanswered": "orange",
}
EXPLAINED = {
    "right": "right",
    "wrong": "wrong",
    "unparsed": "unparsed: no answer could be read from what was said",
    "truncated": "truncated: cut off while it was thinking, before it answered",
    "refused": "refused: the server's content filter held the answer back",
    "unscored": "answered, but no rule can score it",
    "unanswered": "the pack's response did not hold this answer",
    "failed": "failed: the model never answered",
    "waiting": "waiting for its answer",
    "cancelled": "cancelled",
    "not asked": "not asked in this run",
}


def question(view: SampleView) -> None:
    """What was asked, with its options and the right answer."""
    sample = view.stored.sample
    st.subheader("Question")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    options = [f"({letter}) {text}" for letter, text in zip(letters, sample.candidates, strict=False)]
    st.text("\n".join([sample.question, *options]))
    st.caption("Right answer")
    st.text(view.line.answer if view.line.answer is not None else "none is known")


def said(view: SampleView) -> None:
    """What was taken out of the response, and whether it is right."""
    line = view.line
    st.caption("Prediction" + (f", read as {plain(line.read)}" if line.read not in (None, line.prediction) else ""))
    st.text(shortened(line.prediction, 400) if line.prediction is not None else NOTHING)
    st.badge(EXPLAINED.get(line.outcome, line.outcome), color=COLOURS.get(line.outcome, "gray"))


def _verbatim(text: str) -> None:
    """A text to the character, with its line breaks and blanks."""
    st.code(encodable(text), language=None, wrap_lines=True)


def _prompt(request: RequestDetail) -> str:
    """The prompt as sent: text to the character, and where clips, images and sounds stood."""
    return "\n".join(_part(part, several=len(request.clips) > 1) for part in request.prompt)


def _part(part: Mapping[str, Any], *, several: bool) -> str:
    clip = f"clip {part.get('clip', 0) + 1}" if several else "the clip"
    match part["type"]:
        case "text":
            return f"{part['role']}: {part['text']}"
        case "video":
            return f"[{clip}]"
        case "frame":
            return f"[frame {part['position']}{f' of {clip}' if several else ''}]"
        case "sound":
            return f"[sound {part['path']}]" if part.get("path") else f"[the sound of {clip}]"
    return f"[{part['type']} {part.get('path', '')}]"


def _seen(clips: Sequence[Seen]) -> Iterator[str]:
    """What the model's processor made of each clip, a line each."""
    for number, clip in enumerate(clips, 1):
        name = f"clip {number}" if len(clips) > 1 else "the clip"
        grid = f" in {' x '.join(map(str, clip.grid))} patches" if clip.grid else ""
        times = ", ".join(f"{second:.2f}" for second in clip.timestamps)
        yield (
            f"{name} as the model was shown it: {plural(clip.frames, 'frame')} of {clip.width} x {clip.height} pixels"
            f"{grid}, {plural(clip.tokens, 'token')}; {f'told of the times {times} s' if times else 'told of no times'}"
        )


def _took(request: RequestDetail, currency: str) -> str:
    """Its tokens and its cost."""
    reused = f" ({request.cached_tokens:,} of them reused)" if request.cached_tokens is not None else ""
    thought = f" ({request.reasoning_tokens:,} of them of thinking)" if request.reasoning_tokens else ""
    cost = f"; {price(request.cost, currency)}" if request.cost is not None else ""
    return f"{request.prompt_tokens or '?'} tokens in{reused}, {request.new_tokens or '?'} out{thought}{cost}"


def _request(request: RequestDetail, currency: str) -> None:
    if request.response is not None:
        st.caption("Response, to the character" + (" (cut at the token limit)" if request.truncated else ""))
        if request.refused:
            st.warning(f"refused: {plain(request.refused)}", icon=":material/block:")
        _verbatim(request.response or "(the model said nothing)")
        if request.thinking is not None:
            with st.expander(f"Thinking before it, {plural(len(request.thinking.split()), 'word')}"):
                _verbatim(request.thinking)
        spent = ", ".join(f"{name} {duration(s)}" for name, s in request.seconds.items())
        st.text(f"{spent}; {_took(request, currency)}")
        if request.seen:
            st.text("\n".join(_seen(request.seen)))
        with st.expander("Prompt as sent"):
            _verbatim(_prompt(request))
        if request.rendered:
            with st.expander("Prompt as the model got it, with its special tokens"):
                _verbatim(request.rendered)
    elif request.error:
        st.error(f"{plain(request.error_kind)} failure", icon=":material/error:")
        st.text(request.error)
    else:
        st.caption(f"This request is {plain(request.status)}.")
    _attempts(request.request_id, request.attempts)


def responses(view: SampleView, currency: str = "") -> None:
    """What the model said to each request that asked this question; `currency`: of what it cost."""
    for request in view.requests:
        _request(request, currency)
    if not view.requests:
        st.text("This run does not ask this question (--limit, or its video was missing).")


def _attempts(request_id: int, attempts: Sequence[AttemptInfo]) -> None:
    if not attempts:
        return
    bad = any(a.traceback or a.error for a in attempts)
    with st.expander(plural(len(attempts), "attempt"), expanded=bad):
        table([_attempt(a) for a in attempts], name="Attempts", key=f"attempts-{request_id}")
        for a in attempts:
            if a.traceback:
                st.caption(f"Traceback of attempt {a.attempt}")
                _verbatim(a.traceback)


def _attempt(a: AttemptInfo) -> Row:
    took_s = a.finished_at - a.started_at if a.finished_at else None
    cells: dict[str, Value] = {
        "attempt": a.attempt,
        "worker": a.worker,
        "began": when(a.started_at),
        "took": Figure(text=duration(took_s), value=took_s),
        "ended": a.outcome + (" (held against it)" if a.struck else ""),
        "stage": a.stage,
        "error": shortened(a.error, 200),
    }
    return Row(cells=cells, id=str(a.attempt))


def _pack(run: RunInfo, view: SampleView) -> None:
    """What was taken out of a pack's response, beside it."""
    st.subheader(f"The pack: {plural(len(view.siblings), 'question')} asked at once")
    rows = [
        Row(
            id=s.key,
            href=link("samples", run=run.name, sample=s.key),
            cells={
                "sample": s.key,
                "taken": s.prediction,
                "answer": s.answer,
                "result": s.outcome,
                "question": shortened(s.question, 90),
            },
        )
        for s in view.siblings
    ]
    opened = table(rows, name="Questions of the pack", key="pack", current=view.line.key)
    if opened:
        st.switch_page("views/samples.py", query_params={"run": run.name, "sample": opened})


def show_sample(run: RunInfo, view: SampleView) -> None:
    """All that is known of a sample in a run."""
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Video")
        video(view)
    with right:
        st.subheader("What the model saw")
        frames(view)
        beside(view)
    left, right = st.columns(2, gap="large")
    with left:
        question(view)
        said(view)
        if actions.is_allowed() and view.line.outcome == "failed":
            st.button(
                "Retry this sample",
                icon=":material/refresh:",
                key="retry-sample",
                on_click=lambda: actions.attempt(lambda: actions.retry(run, (), (view.line.key,))),
            )
        with st.expander("The benchmark's own columns"):
            st.json(dict(view.stored.sample.row))
    with right:
        st.subheader("Response")
        responses(view, run.currency)
    if view.siblings:
        _pack(run, view)
