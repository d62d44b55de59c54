"""Numbers and times as people say them, and names that fit."""

import time
from typing import TYPE_CHECKING

from videval import words
from videval.words import duration, measured, percent, time_left

if TYPE_CHECKING:
    from videval.types import FrameSampling

__all__ = ["duration", "frames_in_words", "measured", "middle", "percent", "rate", "time_left", "when"]


def rate(per_second: float) -> str:
    """Answers per second; a dash where there are none."""
    return words.rate(per_second) if per_second > 0 else "-"


def when(epoch: float | None) -> str:
    """Day and time in this machine's zone: 25 Nov 21:04; with the year if it is another one."""
    if epoch is None:
        return "-"
    at, now = time.localtime(epoch), time.localtime()
    day = f"{at.tm_mday} {time.strftime('%b', at)}"
    return f"{day} {at.tm_hour:02}:{at.tm_min:02}" if at.tm_year == now.tm_year else f"{day} {at.tm_year}"


def middle(text: str, width: int) -> str:
    """A name of at most `width` characters: what is too much is left out in the middle, since both ends tell."""
    if len(text) <= width:
        return text
    if width < 2:
        return text[:width]
    tail = width // 2
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"


def frames_in_words(sampling: "FrameSampling") -> str:
    """A sampling as people read it."""
    said = [
        f"{sampling.num_frames} frames" if sampling.num_frames else "",
        f"{sampling.fps:g} frames per second" if sampling.fps else "",
        f"{words.plural(len(sampling.by_length), 'rule')} by length" if sampling.by_length else "",
        f"at least {sampling.min_frames}" if sampling.min_frames else "",
        f"at most {sampling.max_frames}" if sampling.max_frames else "",
        f"a multiple of {sampling.multiple}" if sampling.multiple else "",
    ]
    return f"{', '.join(filter(None, said))} by the policy '{sampling.policy}'"
