"""Pieces that several pages show: the bar of a run, states, sentences, what to do when there is nothing."""

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import streamlit as st

from dashboard.backend import data, is_whole_page
from dashboard.busy import Busy
from dashboard.charts import Chart
from dashboard.data import REFRESH_S
from dashboard.store import Fetched
from dashboard.theme import OUTCOME_COLOURS, STALE_STYLE
from dashboard.words import NOTHING, about, ago, count, duration, eta, floored, measured, percent, plain, plural, rate
from videval.db.runs import Counts
from videval.metrics import Estimate
from videval.report import RunStatus, ScoreReport, halted_in_words, used_in_words

__all__ = [
    "again_if_pending",
    "as_of",
    "bar",
    "chart",
    "figure",
    "fragment",
    "headline",
    "interval",
    "numbers",
    "paid",
    "short_title",
    "state_badge",
    "time_left",
    "unwrapped",
]

T = TypeVar("T")
Colour = Literal["red", "orange", "blue", "green", "violet", "gray"]
_STATES: dict[str, tuple[str, Colour, str]] = {
    "active": ("running", "blue", ":material/play_arrow:"),
    "finished": ("finished", "green", ":material/check:"),
    "paused": ("paused", "orange", ":material/pause:"),
    "cancelled": ("cancelled", "gray", ":material/close:"),
    "creating": ("being created", "violet", ":material/hourglass_top:"),
}


def fragment(function: Callable[..., None]) -> Callable[..., None]:
    """A part of a page that refreshes on its own."""
    return st.fragment(function, run_every=REFRESH_S)


@st.fragment(run_every=0.7)
def _again() -> None:
    """Render the whole page once more in a moment."""
    if not is_whole_page():
        st.rerun()


def again_if_pending(*fetched: Fetched[Any]) -> None:
    """Render the page once more in a moment if one of these is being read for the first time."""
    if any(one.is_pending for one in fetched):
        _again()


def unwrapped(fetched: Fetched[T], what: str, *, again: bool = False) -> T | None:
    """What was fetched; None after having said why there is none. `again`: the page, which does not refresh on
    its own, is then rendered once more in a moment."""
    if fetched.value is not None:
        return fetched.value
    if fetched.error is not None:
        st.error(plain(fetched.error), icon=":material/cloud_off:")
        if fetched.error.hint:
            st.text(fetched.error.hint)
    elif fetched.is_unanswered:
        st.warning(f"Reading {plain(what)}: the database does not answer.", icon=":material/cloud_off:")
    elif fetched.is_pending:
        st.caption(f"Reading {plain(what)} …")
    if again:
        _again()
    return None


def as_of(fetched: Fetched[Any]) -> None:
    """Say of when a value is that is not of now, beside the headline, and grey what rests on it."""
    if not fetched.is_stale:
        return
    why = "the database does not answer" if fetched.is_unanswered else "being read anew"
    st.badge(f"as of {ago(fetched.age_s)}, {why}", color="orange", icon=":material/cloud_off:")
    st.html(STALE_STYLE)


def state_badge(status: RunStatus) -> None:
    """What a run is doing, as a word in a colour."""
    name, colour, icon = _STATES.get(status.state, (status.state, "gray", ":material/help:"))
    if status.halted:
        name, colour = "halted", "red"
    if name == "running" and not status.live:
        name, colour, icon = "waiting for a worker", "orange", ":material/hourglass_empty:"
    if status.loading_s is not None:
        name = f"loading the model, {duration(status.loading_s)}"
    st.badge(name, color=colour, icon=icon)


def bar(counts: Counts, *, height: int = 14) -> None:
    """How much of a run is answered, failed, running and waiting; numbers only, so that it may be HTML."""
    parts = {
        "done": counts.done,
        "failed": counts.failed,
        "running": counts.running,
        "cancelled": counts.cancelled,
        "waiting": counts.queued,
    }
    total = max(counts.total, 1)
    pieces = "".join(
        f'<div style="width:{100 * n / total:.3f}%;min-width:2px;background:{OUTCOME_COLOURS[name]};'
        f'opacity:{0.3 if name == "waiting" else 1}"></div>'
        for name, n in parts.items()
        if n
    )
    label = ", ".join(f"{n} {name}" for name, n in parts.items() if n)
    st.html(
        f'<div role="img" aria-label="{label}" style="display:flex;height:{height}px;width:100%;gap:1px;'
        f'border-radius:{height // 2}px;overflow:hidden">{pieces}</div>'
    )


def chart(drawn: Chart, what: str) -> None:
    """A chart; `what` it shows, for those who cannot see it."""
    st.vega_lite_chart(drawn.data, drawn.spec, alt=what)


def interval(found: Estimate, top: float | None = None) -> str:
    """A 95 % interval in words; `top`: see `videval.metrics.Figure`."""
    return f"{measured(found.low, top)} to {measured(found.high, top)}" if found.n else "no scored answer yet"


def headline(status: RunStatus) -> str:
    """What a run is doing, in one sentence."""
    counts = status.counts
    if status.state == "finished":
        return f"Finished: {count(counts.done)} of {count(counts.total)} answered" + _failed(counts)
    if status.state in ("cancelled", "creating"):
        return f"{_STATES[status.state][0].capitalize()}: {count(counts.done)} of {count(counts.total)} answered"
    answered = f"{percent(floored(counts.done / max(counts.total, 1), 2), 0)} answered{_failed(counts)}"
    if status.state == "paused":
        return f"{'Halted' if status.halted else 'Paused'}: {answered}, {count(counts.waiting)} left"
    if not status.live:
        return f"{answered}, {count(counts.waiting)} left, and no worker holds its model"
    end = time_left(status)
    return f"{answered}, {f'done in {about(end)}' if end else 'no answer of late to plan with'}"


def time_left(status: RunStatus) -> str:
    """How long a run will still take; empty if it does not go on, or has no speed to plan with."""
    return eta(status.eta_s) if status.state == "active" and status.eta_s is not None else ""


def short_title(status: RunStatus) -> str:
    """A run in the few words that a browser's tab has room for."""
    if status.state == "finished":
        return f"✓ {status.run.variant}"
    return f"{percent(floored(status.counts.done / max(status.counts.total, 1), 2), 0)} {status.run.variant}"


def _failed(counts: Counts) -> str:
    return f", {count(counts.failed)} failed" if counts.failed else ""


def _requests(number: int) -> str:
    return "none" if not number else "request" if number == 1 else "requests"


def numbers(status: RunStatus, score: ScoreReport | None) -> None:
    """The figures of a run in one row."""
    counts, going = status.counts, status.state == "active"
    with st.container(horizontal=True, gap="medium"):
        figure("Answered", f"{count(counts.done)} / {count(counts.total)}", f"{count(counts.waiting)} left")
        figure("Failed", count(counts.failed), _requests(counts.failed))
        if going:
            figure("Rate now", rate(status.rate_now), f"{rate(status.rate)} overall")
            figure("Time left", time_left(status) or NOTHING, f"on {plural(status.live, 'worker')}")
            busy = data().busy(status.run.load_key)
            figure("Devices busy", percent(busy.share, 0), busy.of_what, help=_over_all(busy))
        else:
            since = status.now - status.last_at if status.last_at else None
            figure("Rate", rate(status.rate), "overall")
            figure("Last answer", ago(since) if since is not None else "none yet", "")
        if score is not None and score.overall.estimate.n:
            found = score.overall.estimate
            name = score.name.capitalize() if score.name.islower() else score.name
            figure(f"{name} so far" if going else name, measured(found.mean, score.top), interval(found, score.top))
            figure(
                "Coverage", percent(floored(score.coverage)), f"{count(score.scored)} of {count(score.scorable)} scored"
            )


def paid(status: RunStatus) -> None:
    """What a run's answers took and cost, and why it does not go on if it was halted."""
    if status.halted:
        st.warning(plain(halted_in_words(status)), icon=":material/pause_circle:")
    if used := used_in_words(status.usage, status.run):
        st.caption(plain(used))


def _over_all(busy: Busy) -> str | None:
    if busy.minute is None:
        return None
    return f"{plain(percent(busy.mean, 0))} of the time since their workers started"


def figure(label: str, value: str, below: str = "", *, help: str | None = None) -> None:
    """One number with its name above and what it means below."""
    with st.container(width="content", gap=None):
        st.metric(label, plain(value), width="content", help=help)
        if below:
            st.caption(plain(below))
