"""The charts, each a pure function of what `videval.report` says."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import altair as alt
import pandas as pd

from dashboard.theme import COLOURS, STAGE_COLOURS, configured
from videval.report import GroupDifference, GroupScore, Moment, Point, TimeSpent

__all__ = ["convergence", "differences", "progress", "scores", "stages", "throughput"]


def _time(epoch: float) -> datetime:
    return datetime.fromtimestamp(epoch, UTC)


def _data(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(list(rows))


def progress(course: Sequence[Moment], total: int) -> Any:
    """Answered and failed requests over time, with all of the run as the ceiling."""
    rows = [
        {"time": _time(m.at), "requests": n, "what": what}
        for m in course
        for what, n in (("failed", m.failed), ("answered", m.done))
    ]
    colours = alt.Scale(domain=["answered", "failed"], range=[COLOURS["green"], COLOURS["red"]])
    area = (
        alt.Chart(_data(rows))
        .mark_area(opacity=0.75, interpolate="monotone")
        .encode(
            x=alt.X("time:T", title=None),
            y=alt.Y("requests:Q", title="requests", stack=True, scale=alt.Scale(domain=[0, max(total, 1)])),
            color=alt.Color("what:N", scale=colours),
            order=alt.Order("what:N"),
            tooltip=[alt.Tooltip("time:T", format="%H:%M:%S"), "what:N", alt.Tooltip("requests:Q", format=",")],
        )
    )
    return configured(area.properties(height=210))


def throughput(course: Sequence[Moment]) -> Any:
    """Answers per second over time."""
    rows = [{"time": _time(m.at), "rate": m.rate} for m in course[1:]]
    line = (
        alt.Chart(_data(rows))
        .mark_area(color=COLOURS["blue"], opacity=0.3, line={"color": COLOURS["blue"]}, interpolate="step-before")
        .encode(
            x=alt.X("time:T", title=None),
            y=alt.Y("rate:Q", title="answers per second"),
            tooltip=[alt.Tooltip("time:T", format="%H:%M:%S"), alt.Tooltip("rate:Q", format=".2f")],
        )
    )
    return configured(line.properties(height=210))


def stages(spent: TimeSpent) -> Any:
    """Mean seconds of each stage of an answer, from when a worker took it."""
    order = list(STAGE_COLOURS)
    rows = [{"stage": s, "seconds": v} for s, v in spent.seconds.items() if s != "queue"]
    bars = (
        alt.Chart(_data(rows))
        .mark_bar(cornerRadiusEnd=3)
        .encode(
            y=alt.Y("stage:N", sort=order, title=None, axis=alt.Axis(labelOverlap=False)),
            x=alt.X("seconds:Q", title="mean seconds per answer"),
            color=alt.Color("stage:N", scale=alt.Scale(domain=order, range=list(STAGE_COLOURS.values())), legend=None),
            tooltip=["stage:N", alt.Tooltip("seconds:Q", format=".3f", title="seconds")],
        )
    )
    return configured(bars.properties(height=210))


def _percent_axis(field: str, title: str, **more: Any) -> Any:
    return alt.X(field, title=title, axis=alt.Axis(format=".0%"), **more)


def scores(groups: Sequence[GroupScore], overall: GroupScore) -> Any:
    """The score of each group with its 95 % interval; the line is the score of all."""
    rows = [
        {"group": g.group, "n": g.estimate.n, "mean": g.estimate.mean, "low": g.estimate.low, "high": g.estimate.high}
        for g in groups
    ]
    base = alt.Chart(_data(rows)).encode(y=alt.Y("group:N", title=None, axis=alt.Axis(labelOverlap=False)))
    tips = ["group:N", *(alt.Tooltip(f"{f}:Q", format=".1%") for f in ("mean", "low", "high")), "n:Q"]
    line = base.mark_rule(color=COLOURS["blue"], strokeWidth=2.5).encode(
        x=_percent_axis("low:Q", "score and 95 % interval", scale=alt.Scale(domain=[0, 1])), x2="high:Q", tooltip=tips
    )
    dot = base.mark_point(filled=True, size=80, color=COLOURS["blue"], opacity=1).encode(x="mean:Q", tooltip=tips)
    layers = [line, dot]
    if overall.estimate.mean is not None:
        mean = alt.Chart(_data([{"mean": overall.estimate.mean}]))
        layers.insert(0, mean.mark_rule(color=COLOURS["grey"], strokeDash=[4, 4]).encode(x="mean:Q"))
    return configured(alt.layer(*layers).properties(height=28 * len(rows) + 80))


def convergence(points: Sequence[Point]) -> Any:
    """The score after ever more answers, with its interval closing around it."""
    rows = [{"n": p.n, "mean": p.mean, "low": p.low, "high": p.high} for p in points]
    base = alt.Chart(_data(rows)).encode(x=alt.X("n:Q", title="scored answers"))
    y = alt.Y("low:Q", title="score", axis=alt.Axis(format=".0%"), scale=alt.Scale(zero=False))
    tips = [alt.Tooltip("n:Q", format=","), *(alt.Tooltip(f"{f}:Q", format=".1%") for f in ("mean", "low", "high"))]
    band = base.mark_area(color=COLOURS["blue"], opacity=0.2).encode(y=y, y2="high:Q", tooltip=tips)
    line = base.mark_line(color=COLOURS["blue"], strokeWidth=2).encode(y="mean:Q", tooltip=tips)
    return configured(alt.layer(band, line).properties(height=210))


def differences(groups: Sequence[GroupDifference]) -> Any:
    """The difference of two runs in each group with its paired interval; right of 0, the first is better."""
    rows = [
        {
            "group": g.group,
            "n": g.difference.n,
            "mean": g.difference.mean,
            "low": g.difference.mean if g.difference.low is None else g.difference.low,
            "high": g.difference.mean if g.difference.high is None else g.difference.high,
        }
        for g in groups
    ]
    base = alt.Chart(_data(rows)).encode(y=alt.Y("group:N", title=None, axis=alt.Axis(labelOverlap=False)))
    tips = ["group:N", *(alt.Tooltip(f"{f}:Q", format="+.1%") for f in ("mean", "low", "high")), "n:Q"]
    title = "difference in score, 95 % paired interval"
    line = base.mark_rule(color=COLOURS["orange"], strokeWidth=2.5).encode(
        x=_percent_axis("low:Q", title), x2="high:Q", tooltip=tips
    )
    dot = base.mark_point(filled=True, size=80, color=COLOURS["orange"], opacity=1).encode(x="mean:Q", tooltip=tips)
    zero = alt.Chart(_data([{"zero": 0.0}])).mark_rule(color=COLOURS["grey"]).encode(x="zero:Q")
    return configured(alt.layer(zero, line, dot).properties(height=28 * len(rows) + 80))
