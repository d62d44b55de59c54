"""An xlsx file written in one go: rows become XML here, cell by cell, and go into the archive as they come.

A library's calls for each cell took two thirds of an export; it still makes the parts of a workbook that are no sheets.
Form: ECMA-376, part 1, 18.3 (worksheets).
"""

import contextlib
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from io import BufferedWriter, BytesIO
from pathlib import Path
from string import ascii_uppercase
from typing import BinaryIO
from xml.sax.saxutils import escape

from videval.types import Scalar

__all__ = ["Sheet", "Workbook", "open_workbook"]

_LEVEL = 3  # of zlib: its usual 6 takes a quarter longer over an export, and saves a tenth (perf/RESULTS.md)
_BUFFER = 1 << 16
_CREATED = datetime(2000, 1, 1)
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetViews>'
    '<sheetView{selected} workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
    '<selection pane="bottomLeft"/></sheetView></sheetViews><sheetFormatPr defaultRowHeight="15"/><sheetData>'
)
_TAIL = (
    '</sheetData><ignoredErrors><ignoredError sqref="A1:XFD1048576" numberStoredAsText="1"/></ignoredErrors>'
    "</worksheet>"
)
_TEXT = '<t xml:space="preserve">'
_ESCAPE = re.compile("(?<=_)(?=x[0-9A-Fa-f]{4}_)")


class Workbook:
    """Sheets one after the other, then the parts that know of all of them; the same bytes for the same content."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._names: list[str] = []

    @contextlib.contextmanager
    def sheet(self, name: str, columns: int) -> "Iterator[Sheet]":
        """A sheet to be filled from its first row, which stays in sight, to its last."""
        selected = "" if self._names else ' tabSelected="1"'
        self._names.append(name)
        part = self._archive.open(f"xl/worksheets/sheet{len(self._names)}.xml", "w")
        with part, BufferedWriter(part, _BUFFER) as file:
            file.write(_HEAD.format(selected=selected).encode())
            yield Sheet(file, columns)
            file.write(_TAIL.encode())

    def finish(self, properties: Mapping[str, str]) -> None:
        """Write all that is no sheet, with the document's own properties."""
        with zipfile.ZipFile(_frame(self._names, properties)) as frame:
            for name in frame.namelist():
                if not name.startswith("xl/worksheets/"):
                    with self._archive.open(name, "w") as part:
                        part.write(frame.read(name))


class Sheet:
    """The rows of one worksheet; `size` is how many bytes they take."""

    def __init__(self, file: BinaryIO, columns: int) -> None:
        self._file = file
        self._cells = [f'<c r="{_letters(n)}' for n in range(columns)]
        self._rows = 0
        self.size = 0

    def write(self, values: Sequence[Scalar]) -> None:
        """Write the next row: text as text and numbers as numbers, whatever they look like; None is no cell."""
        self._rows += 1
        end = f'{self._rows}"'
        pairs = zip(self._cells, values, strict=True)
        cells = [f"{start}{end}{_content(value)}" for start, value in pairs if value is not None]
        if values[-1] is None:  # all rows have their last cell, so that all are of one length for every reader
            cells.append(f"{self._cells[-1]}{end}/>")
        self.size += self._file.write(f'<row r="{end}>{"".join(cells)}</row>'.encode())


def open_workbook(path: Path) -> zipfile.ZipFile:
    """The archive of a new workbook; LargeZipFile past what every reader takes."""
    return zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED, allowZip64=False, compresslevel=_LEVEL)


def _letters(column: int) -> str:
    """The name of a column that counts from 0: A, Z, AA."""
    return (_letters(column // 26 - 1) if column >= 26 else "") + ascii_uppercase[column % 26]


def _content(value: str | int | float) -> str:
    """What follows a cell's place: its type and value."""
    if isinstance(value, str):
        text = escape(value)
        if "_x" in text:  # in pieces, so that no reader takes _x0041_ for an escape
            runs = _ESCAPE.split(text)
            if len(runs) > 1:
                return ' t="inlineStr"><is>' + "".join(f"<r>{_TEXT}{run}</t></r>" for run in runs) + "</is></c>"
        return f' t="inlineStr"><is>{_TEXT}{text}</t></is></c>'
    if isinstance(value, bool):
        return f' t="b"><v>{value:d}</v></c>'
    return f"><v>{float.__repr__(value) if isinstance(value, float) else value}</v></c>"


def _frame(names: Sequence[str], properties: Mapping[str, str]) -> BytesIO:
    """A workbook with these sheets, all empty."""
    import xlsxwriter

    made = BytesIO()
    with xlsxwriter.Workbook(made, {"in_memory": True}) as book:
        book.set_properties({"created": _CREATED, "author": "videval"})
        for key, value in properties.items():
            book.set_custom_property(key, value, "text")
        for name in names:
            book.add_worksheet(name)
    return made
