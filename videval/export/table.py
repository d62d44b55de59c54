"""What is exported and what came of it, as records; and the checks that every format shares."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from videval.errors import UsageError
from videval.types import Scalar

ExportFormat = Literal["xlsx", "tsv", "json", "jsonl", "parquet"]
FORMATS: tuple[ExportFormat, ...] = ("xlsx", "tsv", "json", "jsonl", "parquet")
FAILURE_COLUMNS = ("index", "video", "kind", "message", "attempts")
RESPONSE_COLUMNS = (
    "index", "video", "thinking", "response", "truncated", "refused", "prompt_tokens", "cached_tokens", "new_tokens",
    "reasoning_tokens", "cost", "seen",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Table:
    """A run as a table: columns in their order, with `prediction` among them where there is one.

    `rows`, `failures` and `responses` may be iterators of any length and are read once, rows first; a column that a
    row lacks is a missing value, like None. `card` is the run card, nested and JSON-able. `responses`: what was said
    with its thinking, what was seen and what it cost, raw, with RESPONSE_COLUMNS.
    """

    columns: tuple[str, ...]
    rows: Iterable[Mapping[str, Scalar]]
    card: Mapping[str, object]
    failures: Iterable[Mapping[str, Scalar]]
    run: str
    responses: Iterable[Mapping[str, Scalar]] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What a writer wrote: rows, failures, and how many cells are marked in place of their whole text."""

    rows: int
    failures: int
    cut_cells: int = 0
    altered_cells: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportResult:
    """Where an export lies and what is in it.

    `cut_cells` were too long and `altered_cells` hold what the format cannot; the whole text of both lies in
    `companion`. `card`, `failures_file` and `responses_file` are the files beside a format that has no sheets for
    them.
    """

    path: Path
    format: ExportFormat
    rows: int
    failures: int
    cut_cells: int = 0
    altered_cells: int = 0
    companion: Path | None = None
    card: Path | None = None
    failures_file: Path | None = None
    responses_file: Path | None = None
    notes: tuple[str, ...] = ()


def check_table(table: Table) -> None:
    """Refuse a table without columns, with a column twice, or with a run name that a file cannot carry; UsageError."""
    if not table.columns:
        raise UsageError("nothing to export: the table has no columns")
    twice = sorted(c for c, times in Counter(table.columns).items() if times > 1)
    if twice:
        raise UsageError(f"columns that occur twice: {', '.join(map(repr, twice))}")
    if not (table.run.isprintable() and 0 < len(table.run) <= 255):
        raise UsageError(f"not a run name: {table.run!r}", hint="1 to 255 printable characters")


def ordered(columns: tuple[str, ...], rows: Iterable[Mapping[str, Scalar]]) -> Iterator[list[Scalar]]:
    """Each row's values in the order of `columns`; a column that is not listed is an error, never left out."""
    known = frozenset(columns)
    for number, row in enumerate(rows, 1):
        if not row.keys() <= known:
            extra = ", ".join(sorted(map(repr, row.keys() - known)))
            raise UsageError(f"row {number} has columns that the table does not list: {extra}")
        yield [row.get(column) for column in columns]


def failure_rows(table: Table) -> tuple[tuple[str, ...], Iterator[Mapping[str, Scalar]]]:
    """The failures with their columns, which are those of the first one."""
    failures = iter(table.failures)
    first = next(failures, None)
    if first is None:
        return FAILURE_COLUMNS, iter(())
    return tuple(first), chain((first,), failures)


def flattened(value: object, key: str = "") -> Iterator[tuple[str, object]]:
    """A nested card as (dotted key, leaf); a list of plain values is one leaf, a list of records is counted."""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from flattened(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list | tuple) and any(isinstance(v, Mapping | list | tuple) for v in value):
        for number, inner in enumerate(value):
            yield from flattened(inner, f"{key}.{number}")
    else:
        yield key, value
