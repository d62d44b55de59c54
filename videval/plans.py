"""Which requests a run has, and in which order they go out. Pure: rows are made by `videval.runs`."""

import hashlib
from collections.abc import Collection, Mapping, Sequence, Set

from videval.asking import one_by_one, packed
from videval.db.plans import RequestPlan
from videval.types import Sample

__all__ = ["plans"]


def plans(
    samples: Sequence[Sample],
    ids: Mapping[str, int],
    *,
    pack: bool,
    shuffled_by: str | None,
    missing: Set[str] = frozenset(),
    known: Collection[str] = (),
    limit: int | None = None,
) -> list[RequestPlan]:
    """One request per sample, or for all that show the same in pack mode; those of one (first) video stand together.

    Videos are shuffled, since a benchmark is often sorted by task or length: what is answered first (a trial, the
    score so far) is then a sample of it all. `shuffled_by` is the snapshot's digest, None leaves them in order; `ids`
    are the rows of the samples. What shows one of the `missing` files is left out. Of a trial of `limit` requests,
    those that it has already (`known` keys) come first.
    """
    requests = packed(samples) if pack else one_by_one(samples)
    by_video: dict[str, list[str]] = {}
    for key, group in requests.items():
        if missing.isdisjoint(group[0].files):
            by_video.setdefault(group[0].video, []).append(key)
    videos = sorted(by_video, key=lambda video: _turn(shuffled_by, video)) if shuffled_by else list(by_video)
    keys = [key for video in videos for key in by_video[video]]
    if limit is not None:
        keys = sorted(keys, key=lambda key: key not in known)[:limit]
    return [
        RequestPlan(
            key=key,
            position=position,
            video=requests[key][0].video,
            sample_row_ids=tuple(ids[s.id] for s in requests[key]),
        )
        for position, key in enumerate(keys)
    ]


def _turn(digest: str, video: str) -> bytes:
    """Where a video of a snapshot stands when it is shuffled: the same in every process, for every run on it."""
    return hashlib.sha256(f"{digest}\0{video}".encode("utf-8", "surrogatepass")).digest()
