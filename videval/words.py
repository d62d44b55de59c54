"""Words that every layer says."""

import re
from collections.abc import Mapping
from typing import Any

__all__ = [
    "FAIL_MSG",
    "duration",
    "in_our_words",
    "measured",
    "percent",
    "plural",
    "points",
    "price",
    "rate",
    "time_left",
    "took",
    "what_is_right",
]

FAIL_MSG = "Failed to obtain answer via API."
"""What VLMEvalKit writes in place of an answer that it did not get; here only ever read, never written."""
SOON = 10.0
"""Seconds below which a guess of the time left says no number, and a measured time says hundredths."""

_FIXED = {
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "int_from_float": "a whole number",
    "bool_parsing": "true or false",
    "path_type": "a path",
}
_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}


def plural(number: int, noun: str) -> str:
    """`1 request`, `2 requests`, `20,000 requests`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def percent(value: float | None, digits: int = 1) -> str:
    """0.954 as 95.4 %."""
    return "-" if value is None else f"{100 * value:.{digits}f} %"


def measured(value: float | None, top: float | None = None) -> str:
    """What a metric gives: a share in percent, or where 1 stands for the rating `top`, 3.42 of 5."""
    return percent(value) if top is None or value is None else f"{value * top:.2f} of {top:g}"


def points(value: float | None, top: float | None = None) -> str:
    """A difference of two shares in percentage points, with its sign; of two ratings of 0 to `top` in these."""
    if value is None:
        return "-"
    said = f"{100 * value:+.1f} pts" if top is None else f"{value * top:+.2f}"
    return re.sub(r"[+-](0\.0+)(?!\d)", r"\1", said)


def price(cost: float, currency: str = "") -> str:
    """What something cost, to the cent, or below one to two digits that count: 12.40 USD, 0.0031 USD."""
    said = f"{cost:,.2f}" if cost >= 0.1 or not cost else f"{float(f'{cost:.2g}'):.10f}".rstrip("0")
    return f"{said} {currency}".rstrip()


def rate(per_second: float) -> str:
    """How many a second, or a minute or an hour where that reads better."""
    if per_second >= 0.1:
        return f"{per_second:.1f}/s" if per_second < 100 else f"{per_second:.0f}/s"
    return f"{per_second * 60:.1f}/min" if per_second * 60 >= 0.1 else f"{per_second * 3600:.1f}/h"


def duration(seconds: float | None) -> str:
    """14 s, 9 min, 2 h 10 min, 3 d 4 h."""
    if seconds is None:
        return "-"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{hours // 24} d {hours % 24} h"


def took(seconds: float) -> str:
    """The same of what is measured: 0.42 s, 9 min."""
    return f"{seconds:.2f} s" if seconds < SOON else duration(seconds)


def time_left(seconds: float | None) -> str:
    """What is left of a run; no false precision near its end."""
    return "a few seconds" if seconds is not None and seconds < SOON else duration(seconds)


def what_is_right(problem: Mapping[str, Any]) -> str:
    """What a value has to be, by a problem that pydantic found: `a number`, `at least 1`."""
    kind, context = str(problem["type"]), problem.get("ctx", {})
    if kind in ("int_parsing", "int_type"):
        return "a whole number" if _is_number(problem.get("input")) else "a number"
    if kind in _BOUNDS:
        words, name = _BOUNDS[kind]
        return f"{words} {context[name]:g}"
    return _FIXED.get(kind) or in_our_words(str(problem["msg"]))


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def in_our_words(message: str) -> str:
    """What a parser says, as the end of a sentence of ours."""
    text = re.sub(r"^(Value error, )?(Input|Value) should be ", "", message).rstrip(".")
    return f"{text[:1].lower()}{text[1:]}"
