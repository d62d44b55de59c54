"""Which requests a run has, and in which order they go out. Pure: rows are made by `videval.runs`."""

import hashlib
from collections.abc import Collection, Mapping, Sequence

from videval.db.runs import RequestPlan
from videval.types import Sample

__all__ = ["plans"]


def plans(
    samples: Sequence[Sample],
    ids: Mapping[str, int],
    *,
    pack: bool,
    shuffled_by: str | None,
    known: Collection[str] = (),
    limit: int | None = None,
) -> list[RequestPlan]:
    """One request per sample, or per video in pack mode; those of one video stand together.

    Videos are shuffled, since a benchmark is often sorted by task or length: what is answered first (a trial, the
    score so far) is then a sample of it all. `shuffled_by` is the snapshot's digest, None leaves them in order; `ids`
    are the rows of the samples. Of a trial of `limit` requests, those that it has already (`known` keys) come first.
    """
    by_video: dict[str, list[Sample]] = {}
    for sample in samples:
        by_video.setdefault(sample.video, []).append(sample)
    videos = sorted(by_video, key=lambda video: _turn(shuffled_by, video)) if shuffled_by else list(by_video)
    groups = [group for video in videos for group in _groups(by_video[video], pack)]
    keyed = [(_key(group, pack), group) for group in groups]
    if limit is not None:
        keyed = sorted(keyed, key=lambda pair: pair[0] not in known)[:limit]
    return [
        RequestPlan(key=key, position=i, video=group[0].video, sample_row_ids=tuple(ids[s.id] for s in group))
        for i, (key, group) in enumerate(keyed)
    ]


def _groups(samples: list[Sample], pack: bool) -> list[list[Sample]]:
    return [samples] if pack else [[s] for s in samples]


def _key(group: list[Sample], pack: bool) -> str:
    return f"pack:{group[0].video}" if pack else f"sample:{group[0].id}"


def _turn(digest: str, video: str) -> bytes:
    """Where a video of a snapshot stands when it is shuffled: the same in every process, for every run on it."""
    return hashlib.sha256(f"{digest}\0{video}".encode("utf-8", "surrogatepass")).digest()
