"""Result files of other tools, and our own exports, as runs: read, matched to a benchmark's questions, stored.

`gather` reads files and says of which orders they are; `match` finds whose answers their rows are; `store` makes them
a run. Nothing is written before all is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from videval.errors import UsageError
from videval.imports.deviations import deviations
from videval.imports.elsewhere import is_elsewhere, order_elsewhere
from videval.imports.files import read_results
from videval.imports.matching import Matched, match
from videval.imports.names import asked_of, known_model
from videval.imports.rows import ResultFile
from videval.imports.storing import Stored, run_for, said_to, store
from videval.options import Asked
from videval.order import Order
from videval.orders import make_order
from videval.settings import Settings

__all__ = ["Found", "Matched", "ResultFile", "Stored", "gather", "is_elsewhere", "run_for", "store"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """Files that are of one order, what their rows say of its questions, and what was said to each request."""

    files: tuple[ResultFile, ...]
    asked: Asked
    order: Order
    matched: Matched
    said: dict[str, str]


def gather(paths: Sequence[Path], given: Asked, settings: Settings, *, unknown_model: bool = False) -> list[Found]:
    """Read files and match their rows; those that are of one order (the ranks of a run, say) belong together.

    `unknown_model`: take a model that videval does not know, whose run can be compared and not gone on with. Raises
    UsageError, DataMissing, EnvironmentProblem for a file or a name that cannot be used.
    """
    orders: dict[Asked, Order] = {}
    groups: dict[Asked, list[ResultFile]] = {}
    for path in paths:
        file = read_results(path)
        asked = asked_of(file, given, settings, unknown_model=unknown_model)
        if asked not in orders:
            is_known = not unknown_model or known_model(asked.model or "") is not None
            orders[asked] = (make_order if is_known else order_elsewhere)(asked, settings)
        _check_card(file, orders[asked])
        groups.setdefault(asked, []).append(file)
    return [_found(asked, orders[asked], files) for asked, files in groups.items()]


def _check_card(file: ResultFile, order: Order) -> None:
    """Raise UsageError if an export's own card says that its answers were made otherwise than the order's would be."""
    differing = deviations(order, file.card) if file.card else []
    if differing:
        lines = "\n".join(f"  {line}" for line in differing)
        raise UsageError(
            f"{file.name} was made with other settings than this order has:\n{lines}",
            hint="give the options that it was made with",
        )


def _found(asked: Asked, order: Order, files: Sequence[ResultFile]) -> Found:
    matched = match(files, order.samples, pack=order.variant.pack)
    return Found(files=tuple(files), asked=asked, order=order, matched=matched, said=said_to(order, matched))
