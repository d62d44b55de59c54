"""Estimates of a suite's runs: their files looked at, the database asked what earlier answers took."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from videval.db import costs, runs
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.errors import VideoFailure
from videval.models.endpoints import endpoint_of
from videval.runs import check
from videval.suites.estimate import CHANNELS, Costs, Estimate, Frames, Shown, asked_of, estimated, total
from videval.suites.orders import Cell
from videval.video.decode import probe
from videval.video.readers import VideoInfo
from videval.video.sampling import choose_frames

__all__ = ["Estimates", "estimates"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimates:
    """What each run will cost, in order, and what all of them will."""

    each: tuple[Estimate, ...]
    total: Estimate


def estimates(database: Database, cells: Sequence[Cell], found: Sequence[RunInfo | None]) -> Estimates:
    """What runs will cost of which the `found` ones were begun. Raises what enqueueing them would."""
    asked = [asked_of(cell.order, check(cell.order)) for cell in cells]
    each = tuple(
        estimated(what, _done(database, run), _measured, _costs(database, cell))
        for what, run, cell in zip(asked, found, cells, strict=True)
    )
    return Estimates(each=each, total=total(each, asked))


def _done(database: Database, run: RunInfo | None) -> int:
    """The requests that were answered or failed."""
    if run is None:
        return 0
    with database.read() as connection:
        counts = runs.counts(connection, run.run_id)
    return counts.done + counts.failed


def _costs(database: Database, cell: Cell) -> Costs:
    order = cell.order
    with database.read() as connection:
        return Costs(
            decode=costs.decode_costs(connection, order.benchmark.name),
            generate=costs.generate_costs(connection, order.load_key),
            paid=costs.paid_costs(connection, order.load_key),
            prices=endpoint_of(order.spec).prices if order.spec.remote else None,
            longest=order.generation.max_new_tokens,
        )


def _measured(clip: Shown) -> Frames | None:
    """The frames of a clip; None of a video that cannot be read or shown, which its own requests will say."""
    info = _looked_at(clip.path)
    if info is None:
        return None
    try:
        count = len(choose_frames(info.total_frames, info.fps, clip.sampling, clip.span).indices)
    except VideoFailure:
        return None
    pixels = info.width * info.height
    return Frames(count=count, size=CHANNELS * min(pixels, clip.max_pixels or pixels))


@lru_cache(maxsize=1024)
def _looked_at(path: Path) -> VideoInfo | None:
    try:
        return probe(path)
    except VideoFailure:
        return None
