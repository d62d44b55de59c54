"""Tables that fit: one line a row, names whole where there is room and shortened in the middle where there is none."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from videval.cli.console import console
from videval.cli.words import middle
from videval.types import RunState, WorkerState

__all__ = ["Cell", "Column", "as_table", "colour", "dimmed", "show_table"]

Cell = str | Text
NARROW = 100
"""Columns of a terminal below which what is not needed is left away."""
LEAST = 8
"""Characters that are left of a name."""

STATES = {
    "finished": "green",
    RunState.ACTIVE: "bold",
    RunState.PAUSED: "yellow",
    RunState.CANCELLED: "dim",
    RunState.CREATING: "dim",
    WorkerState.BUSY: "green",
    WorkerState.LOST: "red",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column: a `name` is shortened in the middle, `words` wrap at their ends and take what is left, `extra` is
    left away on a narrow terminal; a `number` stands at the right."""

    title: str
    kind: str = ""

    @property
    def is_name(self) -> bool:
        """Whether its cells may be shortened."""
        return self.kind == "name"


def colour(state: str) -> Text:
    """A state in its colour."""
    return Text(state, style=STATES.get(state, ""))


def dimmed(number: int, style: str = "") -> Text:
    """A count; nobody has to read a zero."""
    return Text(f"{number:,}", style=style if number else "dim")


def show_table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], *, totals: bool = False) -> None:
    """Print a table as wide as the terminal allows."""
    console.print(as_table(columns, rows, console.width, totals=totals))


def as_table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], room: int, *, totals: bool = False) -> Table:
    """A table of at most `room` characters; `totals`: its last row is the sum of the others."""
    kept = [i for i, c in enumerate(columns) if c.kind != "extra" or room >= NARROW]
    chosen, cells = [columns[i] for i in kept], [[row[i] for i in kept] for row in rows]
    gap = 2 if room >= NARROW else 1
    widths = _widths(chosen, cells, room - gap * (len(kept) - 1))
    table = Table(box=None, header_style="bold", padding=(0, gap, 0, 0), pad_edge=False)
    for column, size in zip(chosen, widths, strict=True):
        right = column.kind in ("number", "extra")
        table.add_column(column.title, justify="right" if right else "left", width=size, no_wrap=column.kind != "words")
    for at, row in enumerate(cells, start=1):
        fitted = [_fitted(c, cell, size) for c, cell, size in zip(chosen, row, widths, strict=True)]
        table.add_row(*fitted, style="bold" if totals and at == len(cells) else None)
    return table


def _fitted(column: Column, cell: Cell, size: int) -> Text:
    text = cell if isinstance(cell, Text) else Text(cell)
    return Text(middle(text.plain.replace("\n", " "), size), style=text.style) if column.is_name else text


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], room: int) -> list[int]:
    """As wide as the longest cell; where that is too much the widest name gives way first, then words wrap."""
    widths = [max([len(c.title), *_lengths(rows, i)]) for i, c in enumerate(columns)]
    for kind, least in (("words", 3 * LEAST), ("name", LEAST)):
        flexible = [i for i, c in enumerate(columns) if c.kind == kind and widths[i] > least]
        while flexible and sum(widths) > room:
            widest = max(flexible, key=lambda i: widths[i])
            if widths[widest] <= least:
                break
            widths[widest] -= 1
    return widths


def _lengths(rows: Sequence[Sequence[Cell]], at: int) -> Iterator[int]:
    for row in rows:
        cell = row[at]
        yield cell.cell_len if isinstance(cell, Text) else Text(cell).cell_len
