"""Sample logs of lmms-eval (`--log_samples`): one JSON object a line, with what the model was told and what it said.

As written by its loggers/evaluation_tracker.py (looked at: commit 0716c69): `doc_id`, `input` (the text of the prompt),
`target`, `filtered_resps` and, where it differs, `resps`; some forks keep `doc`.
"""

from collections.abc import Mapping
from typing import Any

from videval.imports.rows import Row, answer_of

__all__ = ["is_log", "log_row"]


def is_log(record: Mapping[str, Any]) -> bool:
    """Whether a line is of a sample log."""
    return "doc_id" in record and ("filtered_resps" in record or "resps" in record)


def log_row(where: str, record: Mapping[str, Any]) -> Row:
    """A line as a row; ValueError if it has not what a sample log has."""
    if not is_log(record):
        raise ValueError(f"{where} has no doc_id, or no resps")
    text, why = answer_of(_first(record.get("resps", record.get("filtered_resps"))))
    doc = record.get("doc")
    question = doc.get("question") if isinstance(doc, Mapping) else None
    return Row(
        where=where,
        index=str(record["doc_id"]),
        question=question if isinstance(question, str) else None,
        text=text,
        why=why,
        told=str(_first(record.get("input", record.get("input_text", ""))) or ""),
        answer=str(record.get("target", "")),
    )


def _first(value: Any) -> Any:
    """The first of a list of lists: several answers to one question are samplings of it."""
    for _ in range(8):
        if not isinstance(value, list):
            break
        value = value[0] if value else None
    return value
