"""The run card of an export of ours, by dotted names: from the workbook's second sheet or the file beside."""

import json
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from videval.errors import UsageError
from videval.export.files import CARD, beside
from videval.export.read import NoSheet, sheet_rows
from videval.export.table import flattened

__all__ = ["card_of"]

CARD_SHEET = "run card"
_WITHOUT = "import the file as it was written, or write its first sheet as MODEL_VARIANT.tsv and import that"


def card_of(path: Path) -> dict[str, Any]:
    """What the numbers of an export depend on; UsageError if its card was taken out; raises what reading raises."""
    if path.suffix == ".xlsx":
        return dict(_sheet(path))
    kept = json.loads(beside(path, CARD).read_text(encoding="utf-8"))
    card = kept["card"]
    if not isinstance(card, Mapping):
        raise TypeError("the run card is no object")
    return dict(flattened(card))


def _sheet(path: Path) -> list[tuple[str, Any]]:
    rows = islice(sheet_rows(path, CARD_SHEET), 1, None)
    try:
        return [(str(row[0]), row[1] if len(row) > 1 else None) for row in rows]
    except NoSheet as error:
        raise UsageError(f"{path}: an export of videval without its sheet {CARD_SHEET!r}", hint=_WITHOUT) from error
