"""Parquet with one type per column, found by reading all rows once into a spool beside the export."""

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from videval.export.cells import PARQUET, CellKeeper, Companion
from videval.export.files import FULL, RUN_KEY, Draft
from videval.export.table import Table, Written, ordered
from videval.export.text import write_beside
from videval.types import Scalar

_BATCH = 8192
_SPOOL = ".spool"


def write_parquet(table: Table, draft: Draft) -> Written:
    """Write int64, double, bool and string columns; a mixed one is text, with its numbers kept in the companion.

    Whole numbers in a column with fractions come back as floats.
    """
    with Companion(draft.path(FULL), table.run) as companion:
        keeper = CellKeeper(PARQUET, companion, "predictions", table.columns)
        names = keeper.header()
        kinds: list[set[str]] = [set() for _ in names]
        count = _spool(table, draft.path(_SPOOL), keeper, kinds)
        types = [column_type(k) for k in kinds]
        _write(draft, table, names, types, keeper)
    draft.path(_SPOOL).unlink()
    return Written(
        rows=count,
        failures=write_beside(table, draft, "parquet"),
        altered_cells=keeper.altered,
        notes=tuple(
            f"column {n!r} mixes text and numbers: written as text"
            for n, t in zip(table.columns, types, strict=True)
            if t == "mixed"
        ),
    )


def column_type(kinds: set[str]) -> str:
    """The type of a column whose values are of these kinds: bool, int64, double, string, or mixed."""
    if kinds <= {"str"}:
        return "string"
    if kinds == {"bool"}:
        return "bool"
    if kinds <= {"int", "long"}:
        return "int64"
    return "double" if kinds <= {"int", "float"} else "mixed"


def _kind(value: Scalar) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if abs(value) <= 2**53 else "long" if -(2**63) <= value < 2**63 else "huge"
    return "float" if isinstance(value, float) else "str"


def _spool(table: Table, path: Path, keeper: CellKeeper, kinds: Sequence[set[str]]) -> int:
    count = 0
    with path.open("x", encoding="ascii") as file:
        for count, values in enumerate(ordered(table.columns, table.rows), 1):
            held = keeper.hold(count, values)
            for seen, value in zip(kinds, held, strict=True):
                if value is not None:
                    seen.add(_kind(value))
            file.write(json.dumps(held) + "\n")
    return count


def _write(draft: Draft, table: Table, names: list[str], types: list[str], keeper: CellKeeper) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = [(n, pa.type_for_alias("string" if t == "mixed" else t)) for n, t in zip(names, types, strict=True)]
    schema = pa.schema(fields, metadata={RUN_KEY: table.run})
    with pq.ParquetWriter(draft.path(), schema) as writer:
        for columns in _batches(draft.path(_SPOOL), types, keeper):
            arrays = [pa.array(c, type=f.type) for c, f in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _batches(spool: Path, types: list[str], keeper: CellKeeper) -> Iterator[list[tuple[Any, ...]]]:
    mixed = [column for column, t in enumerate(types) if t == "mixed"]
    with spool.open(encoding="ascii") as file:
        rows = (_as_text(n, json.loads(line), mixed, keeper) for n, line in enumerate(file, 1))
        while batch := list(islice(rows, _BATCH)):
            yield list(zip(*batch, strict=True))


def _as_text(row: int, values: list[Scalar], mixed: list[int], keeper: CellKeeper) -> list[Scalar]:
    """A row with the numbers in its mixed columns written as text, and kept as what they are in the companion."""
    shown = list(values)
    for column in mixed:
        value = values[column]
        if value is not None and not isinstance(value, str):
            keeper.aside(row, column, values)
            shown[column] = str(value)
    return shown
