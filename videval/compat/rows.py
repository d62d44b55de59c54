"""The questions of a dataset that is an object, out of its `data` frame."""

import math
from collections import Counter
from typing import Any

from videval.errors import UsageError
from videval.types import Sample, Scalar

__all__ = ["samples_of"]

NEEDED = ("index", "question", "video")


def samples_of(dataset: Any) -> tuple[Sample, ...]:
    """Its questions with all their columns but `image`, which holds pictures. UsageError, saying what is wrong."""
    data, name = dataset.data, dataset.dataset_name
    columns = [str(column) for column in data.columns]
    if lacking := [column for column in NEEDED if column not in columns]:
        raise UsageError(f"{name}: its data has no column {', '.join(lacking)}", hint=f"it has {', '.join(columns)}")
    if not len(data):
        raise UsageError(f"{name} has no questions")
    records = data.drop(columns="image", errors="ignore").to_dict("records")
    rows = [{str(column): scalar(value) for column, value in record.items()} for record in records]
    twice = [index for index, n in Counter(str(row["index"]) for row in rows).items() if n > 1]
    if twice:
        raise UsageError(f"{name}: {len(twice)} values of `index` stand in several rows, such as {twice[0]}")
    return tuple(_sample(row) for row in rows)


def _sample(row: dict[str, Scalar]) -> Sample:
    answer = row.get("answer")
    return Sample(
        id=str(row["index"]),
        question="" if row["question"] is None else str(row["question"]),
        video="" if row["video"] is None else str(row["video"]),
        answer=None if answer is None else str(answer),
        row=row,
    )


def scalar(value: Any) -> Scalar:
    """A cell as it is stored and exported; what is no text and no number is its text."""
    if hasattr(value, "item") and not hasattr(value, "__len__"):  # numpy's numbers
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else value
    return None if type(value).__name__ in ("NAType", "NaTType") else str(value)
