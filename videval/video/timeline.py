"""When each frame of a video is shown, read off its packets without decoding one: pure, from facts to a list of times.

A timeline is a claim about what a decoder will give; whoever reads by it compares each frame's own time with it. Where
the packets cannot carry the claim, `Unproven` says why, and the frames have to be counted by decoding.
"""

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Packet", "Timeline", "Unproven", "by_decoding", "by_packets", "objection_to_decord"]


class Unproven(Exception):
    """The packets do not say which frames are shown; the message is the reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Packet:
    """What a container says of one coded picture, in decoding order; times in ticks of its stream.

    `is_key` is the container's word, `is_start` the bitstream's: decoding may begin here. `is_discard`: decoded but
    not shown (an edit list); `is_hidden`: a picture that is only referred to; `may_resize`: from here on pictures may
    have another size.
    """

    pts: int | None
    dts: int | None = None
    duration: int = 0
    is_key: bool = False
    is_start: bool = False
    is_discard: bool = False
    is_hidden: bool = False
    may_resize: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """The shown frames of a video: `times` in ticks, ascending, one for each; `end` is where the last one ends.

    `starts` are times (of shown frames or not) from which decoding gives every later frame right. `is_counted`: made
    by decoding, so there is no other place to start than the beginning. `clock` says whose times they are: the frames'
    own; those at which the container has them decoded, where it knows no other; or numbers, 0, 1, 2, ...
    """

    times: tuple[int, ...]
    end: int
    starts: tuple[int, ...] = ()
    is_counted: bool = False
    clock: Literal["shown", "decoded", "number"] = "shown"

    def next_from(self, time: int) -> int:
        """The number of the first frame that is shown at this time or later."""
        return bisect.bisect_left(self.times, time)

    def start_for(self, number: int) -> int | None:
        """The latest start (its time) from which this frame can be decoded; None: the beginning."""
        at = bisect.bisect_right(self.starts, self.times[number])
        return self.starts[at - 1] if at else None


def by_packets(packets: Sequence[Packet]) -> Timeline:
    """The timeline that these packets prove. Raises Unproven.

    Proven is: decoding begins at the first packet, every packet is one picture with a time of its own, and one
    stretch of them is shown.
    """
    times = _times(packets)
    if not packets[0].is_start:
        raise Unproven("it does not begin with a picture that stands alone")
    if min(times) < times[0]:
        raise Unproven("pictures are shown before the one that is decoded first")
    shown = [p for p in packets if not (p.is_discard or p.is_hidden)]
    if not shown:
        raise Unproven("no picture is shown")
    ordered = sorted(p.pts for p in shown if p.pts is not None)
    _check_one_stretch(packets, ordered[0], ordered[-1])
    last = next(p for p in shown if p.pts == ordered[-1])
    return Timeline(
        times=tuple(ordered),
        end=_end(ordered, last.duration),
        starts=tuple(t for p, t, highest in _with_highest(packets, times) if p.is_start and t > highest),
    )


def by_decoding(count: int, shown: Sequence[int | None], decoded: Sequence[int | None], last_duration: int) -> Timeline:
    """The timeline of this many frames as a decoder gave them: by their times if they ascend, else by decoding times.

    Frames come out in the order of display, and the container shows the n-th one at the n-th decoding time.
    """
    clocks: dict[Literal["shown", "decoded"], Sequence[int | None]] = {"shown": shown, "decoded": decoded}
    for clock, times in clocks.items():
        known = [t for t in times if t is not None]
        if len(known) == len(times) == count and _ascend(known):
            return Timeline(times=tuple(known), end=_end(known, last_duration), is_counted=True, clock=clock)
    return Timeline(times=tuple(range(count)), end=count, is_counted=True, clock="number")


def objection_to_decord(packets: Sequence[Packet]) -> str:
    """Why decord may give other frames than these packets say; empty if it must give the right ones.

    decord takes the place of a key frame among the packets for its frame number and counts on from there, and trusts
    every seek: right if nothing is left out, each group of pictures is closed, and a seek by display time or by
    decoding time finds the same key frame. Pictures of another size than the first it scales in its own way.
    """
    if any(p.is_discard or p.is_hidden for p in packets):
        return "not all of its pictures are shown"
    if any(p.may_resize for p in packets[1:]):
        return "its pictures may change their size"
    if any(p.is_key and not p.is_start for p in packets):
        return "a key frame is no place to begin"
    if not _are_closed(packets, _times(packets)):
        return "pictures are shown before a key frame that is decoded before them"
    decoded = [p.dts for p in packets if p.dts is not None]
    if len(decoded) < len(packets) or not _ascend(decoded):
        return "decoding times do not ascend"
    keys = [(p.pts, p.dts) for p in packets if p.is_key and p.pts is not None and p.dts is not None]
    if len({shown - decoded for shown, decoded in keys}) != 1:
        return "key frames are not decoded equally long before they are shown"
    if any(decoded <= shown for (shown, _), (_, decoded) in itertools.pairwise(keys)):
        return "a key frame is decoded before the one before it is shown"
    return ""


def _times(packets: Sequence[Packet]) -> list[int]:
    times = [p.pts for p in packets if p.pts is not None]
    if not packets or len(times) < len(packets):
        raise Unproven("not every packet has a display time")
    if len(set(times)) < len(times):
        raise Unproven("two packets have the same display time")
    return times


def _check_one_stretch(packets: Sequence[Packet], first: int, last: int) -> None:
    if any(p.is_discard and p.pts is not None and first < p.pts < last for p in packets):
        raise Unproven("several stretches are shown")


def _with_highest(packets: Sequence[Packet], times: Sequence[int]) -> list[tuple[Packet, int, float]]:
    """Each packet with its time and the highest time of all that are decoded before it."""
    highest = itertools.accumulate(times, max, initial=-float("inf"))
    return list(zip(packets, times, highest, strict=False))


def _are_closed(packets: Sequence[Packet], times: Sequence[int]) -> bool:
    """Whether whatever follows a key frame in decoding order is shown after it, and whatever precedes it before."""
    lowest = list(itertools.accumulate(reversed(times), min))[::-1]
    pairs = zip(_with_highest(packets, times), lowest, strict=True)
    return all(highest < time == low for (packet, time, highest), low in pairs if packet.is_key)


def _ascend(times: Sequence[int]) -> bool:
    return all(a < b for a, b in itertools.pairwise(times))


def _end(times: Sequence[int], last_duration: int) -> int:
    gap = times[-1] - times[-2] if len(times) > 1 else 0
    return times[-1] + (last_duration if last_duration > 0 else gap)
