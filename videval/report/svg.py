"""Charts as SVG text: for a page that has to stand on its own. Every text that goes in is escaped."""

from collections.abc import Sequence
from html import escape

__all__ = ["BLUE", "GREEN", "GREY", "ORANGE", "RED", "area", "bars", "dots"]

BLUE, GREEN, ORANGE, RED, GREY = "#0072B2", "#009E73", "#E69F00", "#D55E00", "#8A94A3"
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 560, 220, 56, 26, 12
ROW, NAMES = 26, 170


def _svg(height: int, label: str, body: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}" '
        f'xmlns="http://www.w3.org/2000/svg">{body}</svg>'
    )


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, more: str = "") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" {more}/>'


def area(
    points: Sequence[tuple[float, float, float]],
    *,
    label: str,
    colour: str,
    y_max: float,
    x_labels: tuple[str, str],
    y_label: str,
    middle: Sequence[float] = (),
) -> str:
    """A band between two curves over x (low, high), with a line in it; x from 0 to 1, y from 0 to `y_max`."""

    def at(x: float, y: float) -> tuple[float, float]:
        height = HEIGHT - BOTTOM - TOP
        return LEFT + x * (WIDTH - LEFT - 10), TOP + height * (1 - y / y_max if y_max else 1)

    upper = [at(x, high) for x, _, high in points]
    lower = [at(x, low) for x, low, _ in reversed(points)]
    shape = " ".join(f"{x:.1f},{y:.1f}" for x, y in [*upper, *lower])
    curve = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(p[0], m) for p, m in zip(points, middle, strict=False)))
    body = f'<polygon points="{shape}" fill="{colour}" fill-opacity="0.3"/>'
    body += f'<polyline points="{curve}" fill="none" stroke="{colour}" stroke-width="2"/>' if curve else ""
    base = HEIGHT - BOTTOM
    body += _line(LEFT, base, WIDTH - 10, base, GREY) + _text(LEFT - 6, base, "0", "end")
    body += _text(LEFT - 6, TOP + 8, y_label, "end") + _text(LEFT, HEIGHT - 6, x_labels[0], "start")
    return _svg(HEIGHT, label, body + _text(WIDTH - 10, HEIGHT - 6, x_labels[1], "end"))


def dots(
    rows: Sequence[tuple[str, float, float, float]], *, label: str, colour: str = BLUE, top: float | None = None
) -> str:
    """Names with a value and its interval on a scale of 0..1, where 1 is said as 100 % or as the rating `top`."""

    def x(value: float) -> float:
        return NAMES + value * (WIDTH - NAMES - 20)

    height = ROW * len(rows) + 30
    body = ""
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        body += _line(x(tick), 0, x(tick), height - 20, GREY, 'stroke-opacity="0.3"')
        body += _text(x(tick), height - 6, f"{100 * tick:.0f} %" if top is None else f"{tick * top:g}")
    for number, (name, mean, low, high) in enumerate(rows):
        y = ROW * number + ROW / 2
        body += _text(NAMES - 8, y + 4, name if len(name) <= 26 else name[:25] + "…", "end")
        body += _line(x(low), y, x(high), y, colour, 'stroke-width="2.5"')
        body += f'<circle cx="{x(mean):.1f}" cy="{y:.1f}" r="4.5" fill="{colour}"/>'
    return _svg(height, label, body)


def bars(rows: Sequence[tuple[str, float, str]], *, label: str, colour: str = BLUE) -> str:
    """Names with a length each and what stands beside it."""
    longest = max((value for _, value, _ in rows), default=0.0) or 1.0
    body = ""
    for number, (name, value, said) in enumerate(rows):
        y, width = ROW * number, value / longest * (WIDTH - NAMES - 90)
        body += _text(NAMES - 8, y + 17, name, "end")
        body += f'<rect x="{NAMES}" y="{y + 5}" width="{max(width, 1):.1f}" height="16" rx="3" fill="{colour}"/>'
        body += _text(NAMES + width + 8, y + 17, said, "start")
    return _svg(ROW * len(rows) + 4, label, body)
