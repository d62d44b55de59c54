"""What runs will cost, before anything is asked."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from videval.cli.busy import busy
from videval.cli.console import explain, opened, warn
from videval.cli.table import Column, show_table
from videval.cli.words import duration
from videval.words import price

if TYPE_CHECKING:
    from collections.abc import Sequence

    from videval.settings import Settings
    from videval.suites.estimate import Estimate
    from videval.suites.orders import Cell

__all__ = ["show_estimates"]

COSTS = (
    Column(title="model", kind="name"),
    Column(title="variant", kind="name"),
    Column(title="requests", kind="number"),
    Column(title="done", kind="number"),
    Column(title="clips", kind="number"),
    Column(title="frames", kind="number"),
    Column(title="on disk", kind="number"),
    Column(title="to decode", kind="number"),
    Column(title="to generate", kind="number"),
    Column(title="to pay", kind="number"),
)
"""The last one is for models that are paid for."""
UNKNOWN = "not known"


def show_estimates(settings: "Settings", cells: "Sequence[Cell]") -> None:
    """Print what each run will cost and what all of them will."""
    from videval.suites.measuring import estimates
    from videval.suites.orders import found_runs

    with opened(settings) as database, busy("looking at the videos"):
        runs = zip(cells, found_runs(database, cells), strict=True)
        found = estimates(database, cells, [None if cell.asked.new else run for cell, run in runs])
    for remark in dict.fromkeys(remark for cell in cells for remark in cell.order.remarks()):
        warn(f"  {remark}")
    rows = [_row(cell.row, cell.column, part) for cell, part in zip(cells, found.each, strict=True)]
    if len(cells) > 1:
        rows.append(_row("all", "clips that they share once", found.total))
    is_paid = any(part.cost is not None for part in found.each)
    shown = len(COSTS) if is_paid else len(COSTS) - 1
    show_table(COSTS[:shown], [row[:shown] for row in rows], totals=len(cells) > 1)
    explain(
        "nothing was asked. Frames and disk: as of a few videos. Seconds: medians of earlier answers with as many "
        "frames, on one decoder, and on one device that answers one request at a time (in batches it is less)"
    )
    if is_paid:
        explain("Money: as earlier answers with as many frames cost, else by a guess of tokens and the longest answer")
    if (found.total.disk or 0) > settings.frame_cache_gb * 1e9:
        warn(f"  more frames than the cache keeps: VIDEVAL_FRAME_CACHE_GB is {settings.frame_cache_gb:g}")


def _row(model: str, variant: str, found: "Estimate") -> list[str]:
    return [
        model,
        variant,
        f"{found.requests:,}",
        f"{found.done:,}",
        f"{found.clips:,}",
        _told(found.frames, lambda frames: f"{round(frames):,}"),
        _told(found.disk, _size),
        _told(found.decode_s, duration),
        _told(found.generate_s, duration),
        _told(found.cost, lambda cost: price(cost, found.currency)),
    ]


def _told(value: float | None, words: Callable[[float], str]) -> str:
    return UNKNOWN if value is None else words(value)


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
