"""The question table that is built from published files: rows, their text as pandas writes it, its MD5.

VLMEvalKit builds its tables with pandas, whose columns have one type: a column of numbers in which one has a fraction
or one is missing holds fractions only, so that 3 is written as 3.0. Here it is written so, too: what is exported
looks as it does there, and the MD5 of a table that was built can be compared with the published one.
"""

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from hashlib import md5
from pathlib import Path
from typing import Any

from videval.types import Scalar

__all__ = ["Row", "as_row", "as_text", "scalar", "table_md5", "write_table"]

Row = dict[str, Scalar]
"""One row of a question table: VLMEvalKit's columns in their order."""


def as_row(index: int, columns: Mapping[str, Any]) -> Row:
    """A built row: lists as Python writes them, `index` last unless it is among the columns, as pandas leaves it."""
    row = {name: scalar(value) for name, value in columns.items()}
    return row if "index" in row else {**row, "index": index}


def scalar(value: Any) -> Scalar:
    """A value as one cell: numbers of numpy as Python's, NaN as None, a list as its text."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if value is None or isinstance(value, str | int | float | bool):
        return None if isinstance(value, float) and value != value else value
    return repr(value)


def as_text(rows: Sequence[Row]) -> str:
    """A table as pandas writes it: tabs, quotes where needed, empty for None, one type for each column of numbers."""
    columns = {name: [row.get(name) for row in rows] for row in rows for name in row}
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*map(_one_type, columns.values()), strict=True))
    return text.getvalue()


def table_md5(rows: Sequence[Row]) -> str:
    """The MD5 of the table that these rows make."""
    return md5(as_text(rows).encode(), usedforsecurity=False).hexdigest()


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write a question table beside its place and rename it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.write_text(as_text(rows), encoding="utf-8", newline="")
    temporary.replace(path)


def _one_type(cells: Sequence[Scalar]) -> Iterable[Scalar]:
    """Whole numbers as fractions, where the column has a fraction or a gap and nothing but numbers."""
    numbers = [cell for cell in cells if isinstance(cell, int | float) and not isinstance(cell, bool)]
    gaps = cells.count(None)
    mixed = gaps or any(isinstance(number, float) for number in numbers)
    if not mixed or not numbers or len(numbers) + gaps < len(cells):
        return cells
    return [None if cell is None else float(cell) for cell in cells]
