"""Which requests a run has, and in which order they go out. Pure: rows are made by `videval.runs`."""

import hashlib
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import chain, islice

from videval.asking import one_key, places_in_packs
from videval.db.plans import RequestPlan
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
) -> Plans:
    """One request per sample, or for all that show the same in pack mode; those of one (first) video stand together.

    Videos are shuffled, since a benchmark is often sorted by task or length: what is answered first (a trial, the
    score so far) is then a sample of it all. `shuffled_by` is the snapshot's digest, None leaves them in order;
    `row_ids` are the rows of the samples. What shows one of the `missing` files is left out. Of a trial of `limit`
    requests, those that it has already (`known` keys) come first.
    """
    found = places_in_packs(samples) if pack else {}
    packs = {places[0]: (key, places) for key, places in found.items()}
    turns = _turns(samples, packs if pack else range(len(samples)), shuffled_by, missing)
    made = Plans(samples=samples, row_ids=row_ids, turns=turns, packs=packs)
    return made if limit is None else _trial(made, known, limit)


def _turns(
    samples: Sequence[Sample], firsts: Iterable[int], shuffled_by: str | None, missing: Set[str]
) -> Sequence[int]:
    """The first places of requests, video by video."""
    wanted = set(firsts) if not isinstance(firsts, range) else firsts
    by_video: dict[str, array[int]] = {}
    for place, sample in enumerate(samples):
        if place in wanted and (not missing or missing.isdisjoint(sample.files)):
            by_video.setdefault(sample.video, array("L")).append(place)
    videos = sorted(by_video, key=lambda video: _turn(shuffled_by, video)) if shuffled_by else by_video
    turns = array("L")
    for video in videos:
        turns += by_video[video]
    return turns


def _trial(made: Plans, known: Collection[str], limit: int) -> Plans:
    """The first requests, of those that are known first."""
    asked = {plan.position for plan in made if plan.key in known} if known else set()
    others = (position for position in range(len(made)) if position not in asked)
    turns = [made.turns[position] for position in islice(chain(sorted(asked), others), limit)]
    return Plans(samples=made.samples, row_ids=made.row_ids, turns=turns, packs=made.packs)


def _turn(digest: str, video: str) -> bytes:
    """Where a video of a snapshot stands when it is shuffled: the same in every process, for every run on it."""
    return hashlib.sha256(f"{digest}\0{video}".encode("utf-8", "surrogatepass")).digest()
