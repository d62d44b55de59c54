"""The run card of an export of ours, by dotted names: from the workbook's second sheet or the file beside."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from videval.errors import UsageError
from videval.export.files import CARD, beside
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
    from openpyxl import load_workbook

    book = load_workbook(path, read_only=True)
    try:
        if CARD_SHEET not in book.sheetnames:
            raise UsageError(f"{path}: an export of videval without its sheet {CARD_SHEET!r}", hint=_WITHOUT)
        rows = book[CARD_SHEET].iter_rows(min_row=2, values_only=True)
        return [(str(row[0]), row[1] if len(row) > 1 else None) for row in rows]
    finally:
        book.close()
