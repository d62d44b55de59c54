"""What runs will cost before anything is asked: from their orders, a few of their videos, and what earlier answers
took. Pure.

The frames of a few videos, evenly chosen, stand for all. Seconds are medians of earlier answers with as many frames, or
in proportion of the nearest number that is known, if that is not more than twice or less than half of it. What is not
known is None.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from videval.metrics import median
from videval.models.endpoint_file import PIXELS_PER_TOKEN, Prices
from videval.order import Order
from videval.plans import plans
from videval.types import ClipRef, FrameSampling, Sample

__all__ = ["Asked", "Costs", "Estimate", "Frames", "Shown", "asked_of", "estimated", "total"]

LOOKED_AT = 32
"""Clips of a run that are opened to be measured."""
CHANNELS = 3
"""Bytes of a pixel."""
TEXT = 300
"""Tokens of a question's text and its chat template, about."""
NEAR = 2.0
"""Times by which a known number of frames may be off."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A clip as it is decoded and kept once: which part of which file, and its frames."""

    path: Path
    span: tuple[float, float] | None
    sampling: FrameSampling
    max_pixels: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Frames:
    """The frames of a clip: how many, and the bytes of one."""

    count: int
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What an order asks: its requests, each with the clips that it shows."""

    requests: tuple[tuple[Shown, ...], ...]

    @property
    def clips(self) -> tuple[Shown, ...]:
        """The clips, each once."""
        return tuple(dict.fromkeys(clip for shown in self.requests for clip in shown))


@dataclass(frozen=True, kw_only=True, slots=True)
class Costs:
    """Seconds of earlier answers by their frames: decoding a video of the benchmark, generating with the model; what
    these cost (`paid`), by which `prices` (None: nothing), of answers of at most `longest` tokens."""

    decode: Mapping[int, Sequence[float]]
    generate: Mapping[int, Sequence[float]]
    paid: Mapping[int, Sequence[float]] = field(default_factory=dict)
    prices: Prices | None = None
    longest: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """What a run, or several, will cost. `done` of the requests are answered; `decode_s` and `generate_s` are of the
    rest, on one decoder and one device that answers one request at a time, and so is `cost`, in `currency` (None: it is
    not paid for, or in several); `disk`: bytes of all frames."""

    requests: int
    done: int
    clips: int
    frames: float | None
    decode_s: float | None
    generate_s: float | None
    disk: float | None
    cost: float | None = None
    currency: str = ""


def asked_of(order: Order, missing: Collection[str]) -> Asked:
    """The requests of an order, without those whose files are missing."""
    planned = plans(
        order.samples,
        range(len(order.samples)),
        pack=order.variant.pack,
        shuffled_by=None if order.in_order else order.content.digest,
        missing=frozenset(missing),
        limit=order.limit,
    )
    sampling = order.sampling()
    return Asked(requests=tuple(tuple(_shown(order, sampling, order.samples[first])) for first in planned.turns))


def _shown(order: Order, sampling: FrameSampling, sample: Sample) -> Iterator[Shown]:
    for ref in sample.shown:
        if ref.video:
            own = _own(order, sampling, ref)
            yield Shown(path=order.root / ref.video, span=ref.span, sampling=own, max_pixels=order.max_pixels)


def _own(order: Order, sampling: FrameSampling, ref: ClipRef) -> FrameSampling:
    return sampling if ref.sampling is None else order.spec.fitted(ref.sampling, max_frames=sampling.max_frames)


def estimated(asked: Asked, done: int, measure: Callable[[Shown], Frames | None], costs: Costs) -> Estimate:
    """What an order will cost of which `done` requests are answered; `measure` opens a clip, None if it cannot."""
    clips, requests = asked.clips, len(asked.requests)
    found = {clip: measure(clip) for clip in _some(clips)}
    known = [frames for frames in found.values() if frames is not None]
    left = max(requests - done, 0)
    return Estimate(
        requests=requests,
        done=min(done, requests),
        clips=len(clips),
        frames=_scaled([frames.count for frames in known], len(clips)),
        decode_s=_times(left / requests if requests else 0.0, _decode_s(known, len(clips), costs.decode)),
        generate_s=_times(left, _of_request(asked, known, costs.generate)),
        disk=_scaled([frames.count * frames.size for frames in known], len(clips)),
        cost=None if costs.prices is None else _times(left, _cost(asked, known, costs, costs.prices)),
        currency=costs.prices.currency if costs.prices else "",
    )


def _some(clips: Sequence[Shown]) -> Sequence[Shown]:
    step = max(1, -(-len(clips) // LOOKED_AT))
    return clips[::step]


def _scaled(values: Sequence[float], count: int) -> float | None:
    """The sum over `count` of which these are a sample; None of no values, 0 of nothing."""
    if not count:
        return 0.0
    return sum(values) / len(values) * count if values else None


def _times(factor: float, value: float | None) -> float | None:
    if not factor:
        return 0.0
    return None if value is None else factor * value


def _decode_s(known: Sequence[Frames], clips: int, costs: Mapping[int, Sequence[float]]) -> float | None:
    seconds = [seconds_of(frames.count, costs) for frames in known]
    found = [value for value in seconds if value is not None]
    return _scaled(found, clips) if len(found) == len(seconds) else None


def _cost(asked: Asked, known: Sequence[Frames], costs: Costs, prices: Prices) -> float | None:
    """What one request costs: as earlier ones did, else by a guess of its tokens."""
    if (found := _of_request(asked, known, costs.paid)) is not None:
        return found
    if not asked.requests or (asked.clips and not known):
        return None
    each = sum(map(len, asked.requests)) / len(asked.requests)
    pixels = each * (_scaled([frames.count * frames.size / CHANNELS for frames in known], 1) or 0.0)
    return prices.cost(prompt=round(pixels / PIXELS_PER_TOKEN) + TEXT, new=costs.longest)


def _of_request(asked: Asked, known: Sequence[Frames], costs: Mapping[int, Sequence[float]]) -> float | None:
    """Seconds, or money, of one request: of as many frames as its clips have."""
    if not asked.requests or (asked.clips and not known):
        return None
    each = sum(map(len, asked.requests)) / len(asked.requests)
    counts = [round(frames.count * each) for frames in known] or [0]
    found = [value for count in counts if (value := seconds_of(count, costs)) is not None]
    return sum(found) / len(found) if len(found) == len(counts) else None


def seconds_of(frames: int, costs: Mapping[int, Sequence[float]]) -> float | None:
    """The median seconds of so many frames; None if no number near it is known."""
    if not costs:
        return None
    if not frames:
        return median(costs.get(0, ()))
    nearest = min(costs, key=lambda n: (abs(n - frames), n))
    if not nearest or not frames / NEAR <= nearest <= frames * NEAR:
        return None
    middle = median(costs[nearest])
    return None if middle is None else middle * frames / nearest


def total(parts: Sequence[Estimate], asked: Sequence[Asked]) -> Estimate:
    """What several runs cost together: a clip that they share is decoded and kept once."""
    shared = len({clip for each in asked for clip in each.clips})
    clips = sum(part.clips for part in parts)
    share = shared / clips if clips else 1.0
    return Estimate(
        requests=sum(part.requests for part in parts),
        done=sum(part.done for part in parts),
        clips=shared,
        frames=_sum([part.frames for part in parts], share),
        decode_s=_sum([part.decode_s for part in parts], share),
        generate_s=_sum([part.generate_s for part in parts], 1.0),
        disk=_sum([part.disk for part in parts], share),
        **_total_cost([part for part in parts if part.cost is not None]),
    )


def _total_cost(paid: Sequence[Estimate]) -> dict[str, Any]:
    """Of those that are paid for, if all are in one currency."""
    currencies = {part.currency for part in paid}
    return (
        {"cost": sum(part.cost or 0.0 for part in paid), "currency": currencies.pop()} if len(currencies) == 1 else {}
    )


def _sum(values: Sequence[float | None], share: float) -> float | None:
    known = [value for value in values if value is not None]
    return share * sum(known) if len(known) == len(values) else None
