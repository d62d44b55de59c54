"""The questions of a dataset that is an object, out of its `data` frame."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from videval.errors import UsageError
from videval.plain import scalar
from videval.types import Sample, Scalar

__all__ = ["samples_of", "samples_of_rows"]

NEEDED = ("index", "question", "video")


def samples_of(dataset: Any) -> tuple[Sample, ...]:
    """Its questions with all their columns but `image`, which holds pictures. UsageError, saying what is wrong."""
    data, name = dataset.data, dataset.dataset_name
    records = data.drop(columns="image", errors="ignore").to_dict("records")
    rows = [{str(column): scalar(value) for column, value in record.items()} for record in records]
    return samples_of_rows(name, [str(column) for column in data.columns], rows)


def samples_of_rows(name: str, columns: Sequence[str], rows: Sequence[Mapping[str, Scalar]]) -> tuple[Sample, ...]:
    """The questions of rows with these columns. UsageError, saying what is wrong."""
    if lacking := [column for column in NEEDED if column not in columns]:
        raise UsageError(f"{name}: its data has no column {', '.join(lacking)}", hint=f"it has {', '.join(columns)}")
    if not rows:
        raise UsageError(f"{name} has no questions")
    twice = [index for index, n in Counter(str(row["index"]) for row in rows).items() if n > 1]
    if twice:
        raise UsageError(f"{name}: {len(twice)} values of `index` stand in several rows, such as {twice[0]}")
    return tuple(_sample(row) for row in rows)


def _sample(row: Mapping[str, Scalar]) -> Sample:
    answer = row.get("answer")
    return Sample(
        id=str(row["index"]),
        question="" if row["question"] is None else str(row["question"]),
        video="" if row["video"] is None else str(row["video"]),
        answer=None if answer is None else str(answer),
        row=row,
    )
