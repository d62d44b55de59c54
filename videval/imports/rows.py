"""What a result file says, before it is known of which questions: rows with an index, a question and an answer."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from videval.words import FAIL_MSG

__all__ = ["ResultFile", "Row", "answer_of", "index_of", "text_of"]

_FAILED = FAIL_MSG.partition(" via")[0]
_MISSING = ("nan", "None")
"""What Python's `str` makes of a missing value, which is how VLMEvalKit writes it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row: where it stands in its file, whose answer it is, and the answer, or why there is none.

    `question` is None where the file has no questions (a pickle of one rank). `told`: all that the model was told,
    where the file has that in place of an index of the benchmark's (lmms-eval).
    """

    where: str
    index: str
    question: str | None
    text: str | None
    why: str = ""
    told: str = ""
    answer: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultFile:
    """A result file as it was read: who wrote it, its columns, its rows, its SHA-256.

    `card`: of an export of ours, what the numbers depend on, by dotted names.
    """

    name: str
    folder: str
    tool: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    sha256: str
    card: Mapping[str, Any] | None = None


def answer_of(cell: Any) -> tuple[str | None, str]:
    """The answer in a cell, or None and why it is none: empty, NaN, or a failure message of VLMEvalKit's."""
    if isinstance(cell, dict) and isinstance(cell.get("prediction"), str):
        cell = cell["prediction"]
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None, "no answer"
    if not isinstance(cell, str | int | float):
        return None, f"a {type(cell).__name__} in place of an answer"
    text = str(cell)
    if not text.strip() or text in _MISSING:
        return None, "no answer"
    if text.strip().startswith(_FAILED):
        return None, "a failure message"
    return text, ""


def index_of(cell: Any) -> str | None:
    """An index as the benchmark has it: 3.0, which pandas makes of 3 in a column with gaps, is 3; None if empty."""
    if cell is None or (isinstance(cell, float) and not math.isfinite(cell)):
        return None
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return text_of(cell).strip() or None


def text_of(cell: Any) -> str:
    """A cell as text; of what is no text and no number only its kind, since a pickle's objects written out may have no
    end."""
    if cell is None:
        return ""
    return str(cell) if isinstance(cell, str | int | float) else f"a {type(cell).__name__}"
