"""The charts, each a pure function of what `videval.report` says: rows and a Vega-Lite specification.

Answers change the rows only, never the specification, so a page that refreshes does not flicker. It is plain data,
since to build and validate it through a library was half of the Run page's server time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from dashboard.theme import CHART_CONFIG, COLOURS, STAGE_COLOURS
from videval.report import GroupDifference, GroupScore, Moment, Point, TimeSpent

__all__ = ["Chart", "convergence", "differences", "progress", "scores", "stages", "throughput"]

HEIGHT = 210
"""Pixels of a chart whose rows are not groups."""
LEAST_POINTS = 5.0
"""Points to either side of 0 that a chart of differences always shows, so that noise does not fill it."""
Spec = dict[str, Any]
Rows = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Chart:
    """Rows, and how Vega-Lite draws them."""

    data: pd.DataFrame
    spec: Spec


def _chart(rows: Rows, spec: Spec, *, height: int = HEIGHT) -> Chart:
    return Chart(data=pd.DataFrame(rows), spec=spec | {"height": height, "config": CHART_CONFIG})


def _field(name: str, kind: str, title: str | None = None, **more: Any) -> Spec:
    return {"field": name, "type": kind, "title": title} | more


def _tip(name: str, format: str = "", *, kind: str = "quantitative", title: str = "") -> Spec:
    tip = {"field": name, "type": kind, "title": title or name}
    return tip | ({"format": format} if format else {})


def _name(name: str) -> Spec:
    return _tip(name, kind="nominal")


def _time(epoch: float) -> datetime:
    return datetime.fromtimestamp(epoch, UTC)


CLOCK = _tip("time", "%H:%M:%S", kind="temporal")
AXIS_CLOCK = {
    "milliseconds": "%H:%M:%S",
    "seconds": "%H:%M:%S",
    "minutes": "%H:%M",
    "hours": "%H:%M",
    "date": "%-d %b",
    "week": "%-d %b",
    "month": "%b",
}
"""How the ticks of a time axis are written, by what they are a multiple of."""
TIME_AXIS = _field("time", "temporal", axis={"format": AXIS_CLOCK, "labelBound": True, "labelSeparation": 8})


def progress(course: Sequence[Moment], total: int) -> Chart:
    """Answered and failed requests over time, with all of the run as the ceiling."""
    rows: Rows = [
        {"time": _time(m.at), "requests": n, "what": what}
        for m in course
        for what, n in (("failed", m.failed), ("answered", m.done))
    ]
    colours = {"domain": ["answered", "failed"], "range": [COLOURS["green"], COLOURS["red"]]}
    spec: Spec = {
        "mark": {"type": "area", "opacity": 0.75, "interpolate": "monotone"},
        "encoding": {
            "x": TIME_AXIS,
            "y": _field("requests", "quantitative", "requests", stack=True, scale={"domain": [0, max(total, 1)]}),
            "color": _field("what", "nominal", scale=colours, legend={"orient": "top"}),
            "order": _field("what", "nominal"),
            "tooltip": [CLOCK, _name("what"), _tip("requests", ",")],
        },
    }
    return _chart(rows, spec)


def throughput(course: Sequence[Moment]) -> Chart:
    """Answers per second over time."""
    rows: Rows = [{"time": _time(m.at), "rate": m.rate} for m in course[1:]]
    blue = COLOURS["blue"]
    spec: Spec = {
        "mark": {"type": "area", "color": blue, "opacity": 0.3, "line": {"color": blue}, "interpolate": "step-before"},
        "encoding": {
            "x": TIME_AXIS,
            "y": _field("rate", "quantitative", "answers per second"),
            "tooltip": [CLOCK, _tip("rate", ".2f")],
        },
    }
    return _chart(rows, spec)


def stages(spent: TimeSpent) -> Chart:
    """Mean seconds of each stage of an answer, from when a worker took it."""
    order = list(STAGE_COLOURS)
    rows: Rows = [{"stage": s, "seconds": v} for s, v in spent.seconds.items() if s != "queue"]
    colours = {"domain": order, "range": list(STAGE_COLOURS.values())}
    spec: Spec = {
        "mark": {"type": "bar", "cornerRadiusEnd": 3},
        "encoding": {
            "y": _field("stage", "nominal", sort=order, axis={"labelOverlap": False}),
            "x": _field("seconds", "quantitative", "mean seconds per answer"),
            "color": _field("stage", "nominal", scale=colours, legend=None),
            "tooltip": [_name("stage"), _tip("seconds", ".3f")],
        },
    }
    return _chart(rows, spec)


def _intervals(
    rows: Rows, colour: str, tips: Sequence[Spec], title: str, middle: str, *, format: str = ".0%", **axis: Any
) -> list[Spec]:
    """Layers: a grey line at `middle`, and for each group a line from `low` to `high` with a dot at `mean`.

    The groups stand in the order of the rows: Vega-Lite on its own would put task 10 before task 2.
    """
    y = _field("group", "nominal", sort=[row["group"] for row in rows], axis={"labelOverlap": False})
    x = _field("low", "quantitative", title, axis={"format": format}, **axis)
    return [
        {
            "mark": {"type": "rule", "color": COLOURS["grey"], "strokeDash": [4, 4]},
            "encoding": {"x": _field(middle, "quantitative", aggregate="mean")},
        },
        {
            "mark": {"type": "rule", "color": colour, "strokeWidth": 2.5},
            "encoding": {"y": y, "x": x, "x2": {"field": "high"}, "tooltip": tips},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 80, "color": colour, "opacity": 1},
            "encoding": {"y": y, "x": _field("mean", "quantitative", title), "tooltip": tips},
        },
    ]


def scores(groups: Sequence[GroupScore], overall: GroupScore, top: float | None = None) -> Chart:
    """The score of each group with its 95 % interval; the dashed line is the score of all. `top`: of ratings."""
    scale, format = top or 1.0, ".1%" if top is None else ".2f"
    rows: Rows = [
        {
            "group": g.group,
            "n": g.estimate.n,
            "mean": _times(g.estimate.mean, scale),
            "low": _times(g.estimate.low, scale),
            "high": _times(g.estimate.high, scale),
            "overall": _times(overall.estimate.mean, scale),
        }
        for g in groups
    ]
    tips = [_name("group"), *(_tip(f, format) for f in ("mean", "low", "high")), _tip("n")]
    title, digits = "score and 95 % interval", ".0%" if top is None else ".1f"
    domain = {"domain": [0, scale]}
    layers = _intervals(rows, COLOURS["blue"], tips, title, "overall", format=digits, scale=domain)
    return _chart(rows, {"layer": layers}, height=28 * len(rows) + 80)


def _times(value: float | None, scale: float) -> float | None:
    return None if value is None else value * scale


def convergence(points: Sequence[Point], top: float | None = None) -> Chart:
    """The score after ever more answers, with its interval closing around it. `top`: of ratings."""
    scale, format = top or 1.0, ".1%" if top is None else ".2f"
    rows: Rows = [{"n": p.n, "mean": scale * p.mean, "low": scale * p.low, "high": scale * p.high} for p in points]
    x = _field("n", "quantitative", "scored answers", axis={"tickMinStep": 1})
    axis = {"format": ".0%" if top is None else ".1f"}
    y = _field("low", "quantitative", "score", axis=axis, scale={"zero": False})
    tips = [_tip("n", ","), *(_tip(f, format) for f in ("mean", "low", "high"))]
    band: Spec = {
        "mark": {"type": "area", "color": COLOURS["blue"], "opacity": 0.2},
        "encoding": {"x": x, "y": y, "y2": {"field": "high"}, "tooltip": tips},
    }
    line: Spec = {
        "mark": {"type": "line", "color": COLOURS["blue"], "strokeWidth": 2},
        "encoding": {"x": x, "y": _field("mean", "quantitative", "score"), "tooltip": tips},
    }
    return _chart(rows, {"layer": [band, line]})


def differences(groups: Sequence[GroupDifference], top: float | None = None) -> Chart:
    """The difference of two runs in each group, in points with its paired interval; right of 0, the first is better.

    `top`: of ratings, whose differences are in these.
    """
    scale = 100 if top is None else top
    rows: Rows = []
    for g in groups:
        found = g.difference
        low, high = (found.mean if end is None else end for end in (found.low, found.high))
        shares = {"mean": found.mean, "low": low, "high": high}
        in_points = {name: _times(share, scale) for name, share in shares.items()}
        span = {"zero": 0.0, "left": -LEAST_POINTS * scale / 100, "right": LEAST_POINTS * scale / 100}
        rows.append({"group": g.group, "n": found.n} | in_points | span)
    tips = [_name("group"), *(_tip(f, "+.1f") for f in ("mean", "low", "high")), _tip("n")]
    title = f"difference{' in points' if top is None else ''}, 95 % paired interval"
    layers = _intervals(rows, COLOURS["orange"], tips, title, "zero", format="+.1~f")
    layers.append(
        {
            "mark": {"type": "rule", "opacity": 0},
            "encoding": {"x": _field("left", "quantitative", title), "x2": {"field": "right"}},
        }
    )
    return _chart(rows, {"layer": layers}, height=28 * len(rows) + 80)
