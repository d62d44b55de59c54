"""Which requests a run has, and in which order they go out. Pure: rows are made by `videval.runs`."""

import hashlib
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import chain, islice

from videval.asking import one_key, places_in_packs
from videval.db.plans import RequestPlan
from videval.expected import Expectation
from videval.types import Sample

__all__ = ["Plans", "plans"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plans:
    """Requests in the order in which they go out, each made when it is looked at.

    `turns`: the place of the first sample of each among `samples`; `packs`: the key and all places of a pack, by the
    first one. `row_ids`: the rows of the samples.
    """

    samples: Sequence[Sample]
    row_ids: Sequence[int]
    turns: Sequence[int]
    packs: Mapping[int, tuple[str, Sequence[int]]]

    def __len__(self) -> int:
        return len(self.turns)

    def __iter__(self) -> Iterator[RequestPlan]:
        for position, first in enumerate(self.turns):
            sample = self.samples[first]
            key, places = self.packs.get(first) or (one_key(sample.id), (first,))
            rows = tuple(self.row_ids[place] for place in places)
            yield RequestPlan(key=key, position=position, video=sample.video, sample_row_ids=rows)

    def samples_of(self, plan: RequestPlan) -> list[Sample]:
        """What a request asks about."""
        first = self.turns[plan.position]
        _, places = self.packs.get(first) or ("", (first,))
        return [self.samples[place] for place in places]


def plans(
    samples: Sequence[Sample],
    row_ids: Sequence[int],
    *,
    pack: bool,
    shuffled_by: str | None,
    missing: Set[str] = frozenset(),
    known: Collection[str] = (),
    limit: int | None = None,
    expected: Expectation | None = None,
) -> Plans:
    """One request per sample, or for all that show the same in pack mode; those of one (first) video stand together.

    Videos go out longest expected first, and shuffled among those that are alike, since a benchmark is often sorted by
    task. `shuffled_by` is the snapshot's digest, None leaves them in order; without `expected` all are alike. `row_ids`
    are the rows of the samples. What shows one of the `missing` files is left out. A trial of `limit` requests is a
    sample of all, whatever they cost; those that it has already (`known` keys) are of it.
    """
    found = places_in_packs(samples) if pack else {}
    packs = {places[0]: (key, places) for key, places in found.items()}
    videos = _Videos(samples, packs, shuffled_by)
    firsts: Iterable[int] = packs if pack else range(len(samples))
    turns = videos.turns(firsts, missing, expected if limit is None else None)
    if limit is not None:
        turns = _trial(Plans(samples=samples, row_ids=row_ids, turns=turns, packs=packs), known, limit)
        turns = videos.turns(turns, missing, expected) if expected and shuffled_by else turns
    return Plans(samples=samples, row_ids=row_ids, turns=turns, packs=packs)


@dataclass(frozen=True, slots=True)
class _Videos:
    """Puts requests in order, video by video."""

    samples: Sequence[Sample]
    packs: Mapping[int, tuple[str, Sequence[int]]]
    shuffled_by: str | None

    def turns(self, firsts: Iterable[int], missing: Set[str], expected: Expectation | None = None) -> Sequence[int]:
        """The first places of requests in the order in which they go out."""
        wanted = firsts if isinstance(firsts, range) else set(firsts)
        by_video: dict[str, array[int]] = {}
        units: dict[str, float] = {}
        weighs = expected if self.shuffled_by else None
        for place, sample in enumerate(self.samples):
            if place in wanted and (not missing or missing.isdisjoint(sample.files)):
                by_video.setdefault(sample.video, array("L")).append(place)
                if weighs:
                    cost = weighs.of(sample, len(self.packs[place][1]) if self.packs else 1)
                    units[sample.video] = units.get(sample.video, 0.0) + cost
        turns = array("L")
        for video in self._in_order(by_video, weighs, units):
            turns += by_video[video]
        return turns

    def _in_order(
        self, by_video: Mapping[str, Sequence[int]], expected: Expectation | None, units: Mapping[str, float]
    ) -> Iterable[str]:
        digest = self.shuffled_by
        if digest is None:
            return by_video
        shuffled = sorted(by_video, key=lambda video: _turn(digest, video))
        if expected is None:
            return shuffled
        classes = expected.classes(units, {video: len(places) for video, places in by_video.items()})
        return sorted(shuffled, key=lambda video: -classes[video])


def _trial(made: Plans, known: Collection[str], limit: int) -> list[int]:
    """The first places of the first requests, of those that are known first."""
    asked = {plan.position for plan in made if plan.key in known} if known else set()
    others = (position for position in range(len(made)) if position not in asked)
    return [made.turns[position] for position in islice(chain(sorted(asked), others), limit)]


def _turn(digest: str, video: str) -> bytes:
    """Where a video of a snapshot stands when it is shuffled: the same in every process, for every run on it."""
    return hashlib.sha256(f"{digest}\0{video}".encode("utf-8", "surrogatepass")).digest()
