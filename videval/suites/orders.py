"""A suite as orders: all of them read and checked before anything is written, none of them twice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from videval.db.records import RunInfo
from videval.db.session import Database
from videval.errors import UsageError
from videval.options import Asked, Suite
from videval.order import Order
from videval.orders import make_order
from videval.runs import of_key
from videval.settings import Settings
from videval.suites.crossing import words_of

__all__ = ["Cell", "found_runs", "ordered_cells", "waves"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One run of a suite: as it was asked for, its order and the key of its run."""

    asked: Asked
    order: Order
    key: str

    @property
    def row(self) -> str:
        """Where it stands in the suite's table: its model, and the recipe that it is by."""
        recipe = self.order.recipe
        return f"{self.order.spec.name} by {recipe.name}" if recipe else self.order.spec.name

    @property
    def column(self) -> str:
        """Where it stands in the suite's table: its variant."""
        return self.order.variant.name


def ordered_cells(
    suite: Suite, settings: Settings, *, make: Callable[[Asked, Settings], Order] = make_order
) -> tuple[Cell, ...]:
    """Read the questions of every run and check all that can be checked. Raises as `make` does, UsageError if two are
    the same run."""
    cells: dict[str, Cell] = {}
    for asked in suite.cells:
        order = make(asked, settings)
        key = order.run_key(order.content.digest)
        if key in cells:
            twice = words_of(cells[key].asked), words_of(asked)
            raise UsageError(f"{twice[0]} and {twice[1]} are the same run", hint="name it once")
        cells[key] = Cell(asked=asked, order=order, key=key)
    return tuple(cells.values())


def waves(cells: Sequence[Cell]) -> list[list[Cell]]:
    """The runs by what must be loaded, in the order in which that is first asked for: each worker loads each model once
    if one wave follows the other."""
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell.order.load_key, []).append(cell)
    return list(found.values())


def found_runs(database: Database, cells: Sequence[Cell]) -> list[RunInfo | None]:
    """The run of each cell, the newest if there are copies; None where nothing was asked yet."""
    return [of_key(database, cell.key) for cell in cells]
