"""From a question file on disk to its lines: what it is, in which encoding it is written, else what mends it."""

import codecs
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

from videval.errors import EnvironmentProblem, InvalidTable, UsageError
from videval.paths import expanded

__all__ = ["SUFFIXES", "TextFile", "names_a_table", "text_of"]

SUFFIXES = (".tsv", ".csv", ".jsonl")

_WITH_PANDAS = 'python -c "import pandas; pandas.{reads}.{writes}"'
_WORKBOOK = _WITH_PANDAS.format(reads="read_excel('{path}', dtype=str)", writes="to_csv('{path}.csv', index=False)")
_CONVERSIONS = {
    ".json": "jq -c '.[]' {old} > {stem}.jsonl",
    ".ndjson": "mv {old} {stem}.jsonl",
    ".txt": "mv {old} {stem}.csv",
    ".tab": "mv {old} {stem}.tsv",
    ".gz": "gunzip --keep {old}",
    ".zip": "unzip {old}",
    ".xls": "save it in the spreadsheet as 'CSV UTF-8'",
    ".ods": "save it in the spreadsheet as 'CSV UTF-8'",
    ".xlsx": f"save it in the spreadsheet as 'CSV UTF-8', or: {_WORKBOOK}",
    ".parquet": _WITH_PANDAS.format(
        reads="read_parquet('{path}')", writes="to_json('{path}.jsonl', orient='records', lines=True)"
    ),
}
_BINARY = {
    b"PK\x03\x04": "a zip archive, which is what an Excel workbook is",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"PAR1": "a parquet file",
    b"\x1f\x8b": "a gzip archive",
    b"SQLite format 3\x00": "an SQLite database",
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"\x1a\x45\xdf\xa3": "a video",
}
_MARKS = {  # the longer ones first: a mark of UTF-32 begins like one of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_LINE_ENDS = re.compile(rb"\r\n|\r|\n")
_FIRST, _SOME = 16, 1 << 20
"""Bytes of a file that say what it is, and that are looked at together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TextFile:
    """A question file that is text throughout: its lines can be read as often as one likes, and none is kept."""

    path: Path
    encoding: str

    def lines(self) -> Iterator[str]:
        """Each with its end; raises EnvironmentProblem, and InvalidTable if the file is another one by now."""
        try:
            with _opened(self.path, encoding=self.encoding) as file:
                yield from (first.removeprefix("\ufeff") for first in islice(file, 1))
                yield from file
        except UnicodeDecodeError as error:
            raise InvalidTable(str(self.path), ["line 1: the file was changed while it was read"]) from error


def names_a_table(text: str) -> bool:
    """Whether a word of the command line names a question file, be it one to convert first, or the folder of one."""
    is_folder = "/" in text and expanded(text).is_dir()
    return is_folder or Path(text).suffix.casefold() in (*SUFFIXES, *_CONVERSIONS)


def text_of(path: Path) -> TextFile:
    """A question file as text.

    Raises UsageError if it is none, InvalidTable if its bytes are no text, EnvironmentProblem if it cannot be read.
    """
    _refuse_other_kinds(path)
    with _opened(path) as file:
        first: bytes = file.read(_FIRST)
        _refuse_binary(path, first)
        encoding = _encoding(first)
        file.seek(0)
        if not _decodes(file, encoding):
            raise InvalidTable(str(path), [_not_text(path, encoding)])
    return TextFile(path=path, encoding=encoding)


@contextmanager
def _opened(path: Path, *, encoding: str = "") -> Iterator[IO[Any]]:
    try:
        with path.open(encoding=encoding, newline="") if encoding else path.open("rb") as file:
            yield file
    except OSError as error:
        raise EnvironmentProblem(f"{path}: cannot be read: {error.strerror}", hint=f"ls -l {_quoted(path)}") from error


def _decodes(file: IO[bytes], encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        while some := file.read(_SOME):
            decoder.decode(some)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _refuse_other_kinds(path: Path) -> None:
    suffix = path.suffix.casefold()
    if path.is_dir():
        inside = [p.name for p in sorted(path.iterdir()) if p.suffix.casefold() in SUFFIXES]
        raise UsageError(f"{path}: a folder, not a question file", hint=f"name the file in it: {_some(inside)}")
    if suffix not in SUFFIXES:
        mend = _CONVERSIONS.get(suffix, "rename or convert the file")
        hint = mend.format(path=path, old=_quoted(path), stem=_quoted(path.with_suffix("")))
        raise UsageError(f"{path}: a question table is {', '.join(SUFFIXES)}", hint=hint)
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file", hint="--data takes a file with a column video and question")


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + ", ..." * (len(names) > 3) if names else f"there is no {', '.join(SUFFIXES)} yet"


def _refuse_binary(path: Path, raw: bytes) -> None:
    found = [what for start, what in _BINARY.items() if raw.startswith(start)]
    found += ["a video"] if raw[4:8] == b"ftyp" else []
    if found:
        raise UsageError(
            f"{path}: {found[0]}, not text, whatever its name says",
            hint=f"save it as text ({', '.join(SUFFIXES)}), in a spreadsheet as 'CSV UTF-8'",
        )


def _encoding(raw: bytes) -> str:
    """UTF-8, or UTF-16 and UTF-32 where a mark or the zeros between plain letters prove it."""
    for mark, encoding in _MARKS.items():
        if raw.startswith(mark):
            return encoding
    start = raw[:16]
    if len(start) >= 4 and b"\x00" in start:
        if not any(start[1::2]) and all(start[::2]):
            return "utf-16-le"
        if not any(start[::2]) and all(start[1::2]):
            return "utf-16-be"
    return "utf-8"


def _not_text(path: Path, encoding: str) -> str:
    """What is wrong with a file that is not text in this encoding, and what mends it."""
    raw = path.read_bytes()
    try:
        raw.decode(encoding)
    except UnicodeDecodeError as error:
        return _misread(path, raw, error)
    return "line 1: the file was changed while it was read"


def _misread(path: Path, raw: bytes, error: UnicodeDecodeError) -> str:
    if error.encoding not in ("utf-8", "utf8"):
        return f"line 1: begins as {error.encoding.upper()} and is none at byte {error.start}: {error.reason}"
    before = _LINE_ENDS.split(raw[: error.start])
    line = before[-1] + _LINE_ENDS.split(raw[error.start :], maxsplit=1)[0]
    said = f"line {len(before)}: not UTF-8 text (byte {raw[error.start]:#04x})"
    foreign = sum(byte > 0x7F for byte in raw)
    to = _quoted(path.with_name(f"{path.stem}-utf8{path.suffix}"))
    if 5 * foreign > len(raw):
        return f"{said} -> iconv -f GB18030 -t UTF-8 {_quoted(path)} > {to}   (or BIG5, SHIFT_JIS, WINDOWS-1251, ...)"
    reads = line.decode("windows-1252", "replace")[:80]
    return f"{said}; as WINDOWS-1252 it is {reads!r} -> iconv -f WINDOWS-1252 -t UTF-8 {_quoted(path)} > {to}"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
