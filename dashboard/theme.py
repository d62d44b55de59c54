"""The colours: after Okabe and Ito, told apart by colour-blind readers; the blue is one that dark ground shows too."""

from typing import Any

__all__ = ["CHART_CONFIG", "COLOURS", "OUTCOME_COLOURS", "STAGE_COLOURS", "STALE_STYLE", "STYLE"]

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

STYLE = """<style>
.stMainBlockContainer {padding-top: 4rem; padding-bottom: 3rem}
[data-testid=stMetricValue] {font-size: 1.65rem}
[data-testid=stCaptionContainer], [data-testid=stCaptionContainer] p, [data-testid=stImageCaption] {color: inherit}
[data-testid=stCaptionContainer] {opacity: .78}
[data-testid=stPageLink] p {white-space: normal; overflow-wrap: anywhere}
[data-testid=stMain]:focus, [data-testid=stMain]:focus-visible {outline: none; box-shadow: none}
[data-testid=stTopNavLink]:focus-visible, [data-testid=stSidebarNavLink]:focus-visible, a:focus-visible
{outline: 2px solid currentColor; outline-offset: 2px; box-shadow: none}
</style>"""
"""Less empty space above the first sentence, figures that stand in one row, captions that can be read (4.5:1 in both
themes), and a focus ring on links, not around the whole page."""

STALE_STYLE = """<style>
[data-testid=stMetric], [data-testid=stVegaLiteChart], [data-testid^=stBidiComponent]
{opacity: .4; filter: grayscale(1)}
</style>"""
"""What was read before the database went away stands there greyed, until something newer is read."""
