"""Result files from disk, each by its ending: what can be read, and in plain words what cannot.

Nothing in a file is run: pickles are followed by `pickles`. Files are bounded, so that no file fills the memory.
"""

import csv
import hashlib
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from videval.benchmarks.table_file import LONGEST_CELL
from videval.errors import EnvironmentProblem, UsageError
from videval.export import read_export
from videval.export.files import NOT_OURS, SIDECARS, TORN_ZIP, owner_of
from videval.export.read import table_rows
from videval.imports.cards import card_of
from videval.imports.frames import plain_value, table_of
from videval.imports.logs import is_log, log_row
from videval.imports.pickles import RefusedPickle, read_pickle
from videval.imports.rows import ResultFile, Row, answer_of, index_of, text_of

__all__ = ["MOST_BYTES", "read_results"]

MOST_BYTES = 1 << 30
"""Of a file, and of what is in a workbook when it is unpacked: a benchmark's answers are a hundredth of it."""
NEEDED = ("index", "question", "prediction")
"""The columns without which a table is no result file."""
_OURS = (".xlsx", ".tsv", ".json", ".jsonl", ".parquet")
_BROKEN = (ValueError, TypeError, LookupError, SyntaxError, csv.Error, EOFError, *TORN_ZIP)

Records = Iterable[tuple[str, Mapping[str, Any]]]
"""Rows with where each stands."""


def read_results(path: Path) -> ResultFile:
    """Read a result file of VLMEvalKit, lmms-eval or videval. UsageError if it is none, or torn; EnvironmentProblem
    if it cannot be read."""
    suffix = _suffix_of(path)
    try:
        _refuse_large(path, suffix)
        if suffix in _OURS and owner_of(path) not in (None, NOT_OURS):
            return _result(path, "videval", _numbered(read_export(path)), card=card_of(path))
        tool, records = _READERS[suffix](path)
        return _result(path, tool, records)
    except RefusedPickle as error:
        raise UsageError(f"{path}: refused, and nothing in it was run: {error}", hint=_DATA_ONLY) from error
    except OSError as error:
        raise EnvironmentProblem(f"{path}: cannot be read: {error.strerror or error}", hint=f"ls -l {path}") from error
    except _BROKEN as error:
        raise UsageError(f"{path}: not a whole {suffix[1:]} file: {error}", hint="is the copy complete?") from error


_DATA_ONLY = "a result file holds texts and numbers; write it as xlsx, tsv or json where you trust it"


def _suffix_of(path: Path) -> str:
    """The ending of a file that may be read; UsageError says what is in its place."""
    if path.is_dir():
        inside = sorted(p.name for p in path.iterdir() if p.suffix in _READERS and not p.name.endswith(SIDECARS))
        raise UsageError(f"{path}: a folder, not a result file", hint=f"name files in it: {', '.join(inside[:5])}")
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file", hint="is the path right, seen from this folder?")
    if path.name.endswith(SIDECARS):
        raise UsageError(f"{path}: stands beside an export and is none", hint="name the export itself")
    suffix = path.suffix.casefold()
    if suffix not in _READERS:
        raise UsageError(f"{path}: not a result file", hint=f"its name ends in {', '.join(_READERS)}")
    return suffix


def _refuse_large(path: Path, suffix: str) -> None:
    size = path.stat().st_size
    if suffix == ".xlsx" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as book:
            size = max(size, sum(member.file_size for member in book.infolist()))
    if size > MOST_BYTES:
        raise UsageError(f"{path}: {size:,} bytes, {MOST_BYTES:,} are the most", hint="is it a result file?")


def _result(path: Path, tool: str, records: Records, card: Mapping[str, Any] | None = None) -> ResultFile:
    columns: dict[str, None] = {}
    rows = []
    for where, record in records:
        columns.update(dict.fromkeys(record))
        rows.append(log_row(where, record) if tool == "lmms-eval" else _row(path, where, record, tool))
    if not rows:
        raise UsageError(f"{path}: has no rows", hint="is the copy complete?")
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return ResultFile(
        name=path.name,
        folder=path.absolute().parent.name,
        tool=tool,
        columns=tuple(columns),
        rows=tuple(rows),
        sha256=sha256,
        card=card,
    )


def _row(path: Path, where: str, record: Mapping[str, Any], tool: str) -> Row:
    bare = tool == _RANK
    lacking = [c for c in NEEDED if c not in record and not bare]
    if lacking:
        raise UsageError(
            f"{path}: {where}: no column {', '.join(lacking)}; there are {', '.join(map(str, record))[:200]}",
            hint="a result file has index, question and prediction",
        )
    index = index_of(record["index"])
    if index is None:
        raise UsageError(f"{path}: {where}: its index is empty", hint="is it a result file of VLMEvalKit?")
    text, why = answer_of(record["prediction"])
    question = None if bare else text_of(record["question"])
    return Row(where=where, index=index, question=question, text=text, why=why)


_RANK = "VLMEvalKit, one rank"


def _numbered(records: Iterable[Mapping[str, Any]]) -> Records:
    return ((f"row {number}", record) for number, record in enumerate(records, 1))


def _workbook(path: Path) -> tuple[str, Records]:
    return "VLMEvalKit", _numbered(_of_grid(_grid(path)))


def _grid(path: Path) -> Iterator[list[Any]]:
    """The first sheet, row by row, its cells as pandas reads them; with those that an export of ours goes on in."""
    width = 0
    for row in table_rows(path):
        width = width or len(row)
        yield [*row, *[None] * (width - len(row))]  # a spreadsheet may leave empty cells at a row's end away


def _separated(path: Path) -> tuple[str, Records]:
    return "VLMEvalKit", _numbered(_of_grid(_lines(path)))


def _lines(path: Path) -> Iterator[list[Any]]:
    csv.field_size_limit(LONGEST_CELL)
    with path.open(encoding="utf-8", newline="") as file:
        yield from filter(None, csv.reader(file, delimiter="\t", strict=True))


def _of_grid(grid: Iterator[list[Any]]) -> Iterator[dict[str, Any]]:
    """Rows by column; ValueError for one with another number of cells, as the last one of a torn file has."""
    names = [str(name) if name is not None else "" for name in next(grid, [])]
    if len(set(names)) < len(names):
        raise ValueError("a column is there twice, or has no name")
    for number, cells in enumerate(grid, 1):
        if len(cells) != len(names):
            raise ValueError(f"row {number} has {len(cells)} cells, the header {len(names)}")
        if any(cell is not None for cell in cells):
            yield dict(zip(names, cells, strict=True))


def _json(path: Path) -> tuple[str, Records]:
    found = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(found, list) and all(isinstance(record, dict) for record in found):
        return "VLMEvalKit", _numbered(found)
    return _by_index(found)


def _by_index(found: object) -> tuple[str, Records]:
    """Answers by index, as a rank keeps them until all have theirs."""
    if not isinstance(found, dict):
        raise ValueError(f"a {type(found).__name__} in place of rows")
    pairs = ((plain_value(key), plain_value(value)) for key, value in found.items())
    return _RANK, _numbered({"index": key, "prediction": value} for key, value in pairs)


def _json_lines(path: Path) -> tuple[str, Records]:
    records = _objects(path)
    first = next(records, None)
    if first is None:
        return "VLMEvalKit", ()
    return "lmms-eval" if is_log(first[1]) else "VLMEvalKit", _chained(first, records)


def _chained(first: tuple[str, Mapping[str, Any]], rest: Records) -> Records:
    yield first
    yield from rest


def _objects(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                found = json.loads(line)
                if not isinstance(found, dict):
                    raise ValueError(f"line {number} is no object")
                yield f"line {number}", found


def _pickle(path: Path) -> tuple[str, Records]:
    found = read_pickle(path.read_bytes())
    table = table_of(found)
    if table is None:
        return _by_index(found)
    columns = [[plain_value(cell) for cell in cells] for cells in table.values()]
    return "VLMEvalKit", _numbered(dict(zip(table, cells, strict=True)) for cells in zip(*columns, strict=True))


def _ours_only(path: Path) -> tuple[str, Records]:
    raise ValueError("videval writes parquet files with a run card beside them, and there is none")


_READERS: dict[str, Callable[[Path], tuple[str, Records]]] = {
    ".xlsx": _workbook,
    ".tsv": _separated,
    ".json": _json,
    ".jsonl": _json_lines,
    ".pkl": _pickle,
    ".parquet": _ours_only,
}
