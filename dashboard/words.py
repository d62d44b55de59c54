"""Numbers with their units as people say them, and text that Markdown leaves alone."""

import math
import re
import time

from videval import words
from videval.words import plural, price

__all__ = [
    "NOTHING",
    "about",
    "ago",
    "count",
    "duration",
    "encodable",
    "eta",
    "floored",
    "measured",
    "percent",
    "plain",
    "plural",
    "points",
    "price",
    "rate",
    "shortened",
    "when",
]

NOTHING = "–"
"""What stands where there is no number and no text."""

_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&])")


def plain(text: object) -> str:
    """Text for a place that reads Markdown (labels, captions), with every sign of Markdown made harmless."""
    return _SPECIAL.sub(r"\\\1", " ".join(encodable(str(text)).split()))


def percent(value: float | None, digits: int = 1) -> str:
    """0.954 as 95.4 %."""
    return NOTHING if value is None else words.percent(value, digits)


def measured(value: float | None, top: float | None = None) -> str:
    """What a metric gives: a share in percent, or where 1 stands for the rating `top`, 3.42 of 5."""
    return NOTHING if value is None else words.measured(value, top)


def floored(share: float, digits: int = 3) -> float:
    """A share rounded down: of 299 out of 300, nobody shall read 100 %."""
    scale = 10.0**digits
    return math.floor(share * scale + 1e-9) / scale


def points(value: float | None, top: float | None = None) -> str:
    """A difference of two shares in percentage points, with its sign; of two ratings of 0 to `top` in these."""
    return NOTHING if value is None else words.points(value, top)


def duration(seconds: float | None) -> str:
    """Seconds as people say them: 420 ms, 4.2 s, 14 s, 9 min, 2 h 10 min, 3 d 4 h."""
    if seconds is None:
        return NOTHING
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms" if seconds >= 0.0005 else "0 s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    return words.duration(seconds)


def eta(seconds: float | None) -> str:
    """How long something will still take; nobody can tell milliseconds ahead."""
    return NOTHING if seconds is None else words.time_left(seconds)


def about(left: str) -> str:
    """A time left inside a sentence: `about 53 s`, `a few seconds`."""
    return left if left.startswith("a few") else f"about {left}"


def rate(per_second: float | None) -> str:
    """Answers per second, or per minute or hour where that reads better."""
    return words.rate(per_second) if per_second else NOTHING


def count(number: int) -> str:
    """1234567 as 1,234,567."""
    return f"{number:,}"


def ago(seconds: float | None) -> str:
    """How long ago something was."""
    return "never" if seconds is None else f"{duration(seconds)} ago"


def when(epoch: float | None) -> str:
    """A time of day with its date, in this machine's zone."""
    return NOTHING if epoch is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(epoch))


def encodable(text: str) -> str:
    """A text as a page can hold it: half a character (a lone surrogate), which models do say, as \\ud800."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def shortened(text: str | None, length: int = 120) -> str:
    """The beginning of a text in one line."""
    line = " ".join(encodable(text or "").split())
    return line if len(line) <= length else line[: length - 1] + "…"
