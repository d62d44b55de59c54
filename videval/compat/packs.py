"""Packs as VLMEvalKit takes them apart."""

from collections.abc import Mapping, Sequence
from typing import Any

from videval.packs import strict_answers

__all__ = ["strict_of"]


def strict_of(packs: Sequence[tuple[str | None, Sequence[str]]]) -> tuple[dict[str, Any], Mapping[str, int]]:
    """The answer of each question by its id, read in each pack (response, its questions' ids) by VLMEvalKit's rule,
    with its statistics."""
    found = strict_answers(packs)
    ids = [sample_id for _, asked in packs for sample_id in asked]
    return dict(zip(ids, found.predictions, strict=True)), found.statistics
