"""A case's rows as data of its benchmark: the question table, or the file in which they are published."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.golden.cases import Case
from videval.benchmarks.base import Benchmark
from videval.benchmarks.catalog import find_benchmark, parse_variant
from videval.types import Sample, Variant

__all__ = ["Differs", "Loaded", "loaded"]


class Differs(Exception):
    """What videval gives is not what was recorded; the message says how."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """The samples that videval reads from a case's rows below `root`."""

    benchmark: Benchmark
    variant: Variant
    samples: Sequence[Sample]
    root: Path


def loaded(case: Case, root: Path) -> Loaded:
    """Write the case's data below root and read it as a run would."""
    variant = parse_variant(case.body["variant"])
    found = find_benchmark(variant.benchmark)
    for path, content in case.body.get("files", {}).items():
        _put(root / path, content)
    published = case.body.get("published")
    if published is None:
        _write_table(root / f"{found.name}.tsv", case.rows)
    elif published.endswith(".parquet"):
        _write_parquet(root / published, case.rows)
    else:
        _put(root / published, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in case.rows))
    return Loaded(benchmark=found, variant=variant, samples=found.load(root, variant), root=root)


def _put(target: Path, content: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(content, encoding="utf-8")


def _write_table(target: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with target.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, delimiter="\t", lineterminator="\n")
        out.writerow(columns)
        out.writerows([row.get(column) for column in columns] for row in rows)


def _write_parquet(target: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    target.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist([dict(row) for row in rows]), target)
