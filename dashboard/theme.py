"""The colours: after Okabe and Ito, told apart by colour-blind readers; the blue is one that dark ground shows too."""

from typing import Any

__all__ = ["CHART_CONFIG", "COLOURS", "OUTCOME_COLOURS", "STAGE_COLOURS"]

COLOURS = {
    "blue": "#2B8CCB",
    "sky": "#56B4E9",
    "green": "#009E73",
    "orange": "#E69F00",
    "red": "#D55E00",
    "pink": "#CC79A7",
    "grey": "#8A94A3",
}
OUTCOME_COLOURS = {
    "done": COLOURS["green"],
    "running": COLOURS["sky"],
    "failed": COLOURS["red"],
    "waiting": COLOURS["grey"],
    "cancelled": COLOURS["pink"],
}
STAGE_COLOURS = {
    "queue": COLOURS["grey"],
    "decode": COLOURS["orange"],
    "prepare": COLOURS["pink"],
    "wait": COLOURS["sky"],
    "generate": COLOURS["blue"],
    "store": COLOURS["green"],
}

CHART_CONFIG: dict[str, Any] = {
    "view": {"strokeWidth": 0},
    "axis": {"labelLimit": 220, "titleFontWeight": "normal", "gridOpacity": 0.35},
    "legend": {"orient": "top", "title": None},
    "background": "transparent",
}
"""No frame, and room for labels; the ground and the text follow the page's theme."""
