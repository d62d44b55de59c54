"""What runs will cost, before anything is asked."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from videval.settings import Settings
    from videval.suites.orders import Cell

__all__ = ["show_estimates"]


def show_estimates(settings: "Settings", cells: "Sequence[Cell]") -> None:
    """Print what each run will cost and what all of them will."""
