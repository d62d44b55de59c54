"""A benchmark whose data others publish: where it lies, how its question table is built and read.

The question table is `NAME.tsv` in the benchmark's folder, with VLMEvalKit's columns in VLMEvalKit's order, so
that what is exported is what its evaluators expect. If it is not there, the same rows are built from the files
that were published (JSON, JSON lines, parquet).
"""

import json
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from videval.benchmarks.base import Benchmark
from videval.benchmarks.built import Row, as_row, as_text, scalar, write_table
from videval.benchmarks.prompts import literal_list
from videval.benchmarks.table_file import Line, parse_lines, read_lines
from videval.errors import DataMissing, InvalidTable, UsageError
from videval.scorers.options import answer_letter, option_texts
from videval.types import ClipRef, Sample, Scalar, Variant
from videval.video.paths import path_problem
from videval.words import plural

__all__ = ["Archive", "Download", "PublishedBenchmark", "Row", "as_row", "part_of", "read_records", "write_table"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Archive:
    """Files to unpack: which ones (a glob below the root), into which folder, with or without their folders.

    A pattern that ends in `.part*` names the pieces of one archive. `skip`: members with this in their path are
    left out.
    """

    pattern: str
    into: str = ""
    flat: bool = False
    skip: str = "__MACOSX"


@dataclass(frozen=True, kw_only=True, slots=True)
class Download:
    """What to fetch from the Hugging Face hub: a dataset repository, a revision, and which of its files.

    `also`: other names under which the same data set is or was published, tried in turn.
    """

    repo: str
    also: tuple[str, ...] = ()
    revision: str = "main"
    only: tuple[str, ...] = ()


class PublishedBenchmark(Benchmark):
    """The part that all published benchmarks share: from a folder of files to samples."""

    downloads: ClassVar[tuple[Download, ...]]
    sources: ClassVar[tuple[str, ...]] = ()
    """The published files that the question table is built from; empty: the table itself is published."""
    archives: ClassVar[tuple[Archive, ...]] = ()
    md5: ClassVar[str] = ""
    """MD5 of the question table as VLMEvalKit knows it; empty: not known."""
    part_md5: ClassVar[Mapping[str, str]] = {}
    """The same for a table that VLMEvalKit has in parts: name of the part -> MD5; see `part`."""
    not_included: ClassVar[str] = ""
    """Which videos the published data set does not hold, and where they are to be had."""
    lmu_folder: ClassVar[str] = ""
    """Its folder below LMUData/datasets, where that is not its name."""
    is_drawn: ClassVar[bool] = False
    """Whether `write` makes the data on this machine, and nothing is fetched."""
    leaves_out: ClassVar[bool] = False
    """Whether published rows without a question, or whose answer is no option, are left out and named; else they
    are problems, and nothing is enqueued."""
    lettered: ClassVar[bool] = False
    """Whether the published options carry their letters (`A. ...`); the prompt then shows them as they stand."""

    @property
    def table(self) -> str:
        """The file name of the question table."""
        return f"{self.name}.tsv"

    def is_here(self, root: Path) -> bool:
        """Whether this folder holds the benchmark's questions, as a table or as they were published."""
        if (root / self.table).is_file():
            return True
        return bool(self.sources) and all((root / source).is_file() for source in self.sources)

    def write(self, root: Path, progress: Callable[[str], None] = lambda _: None) -> None:
        """Make the data below root, for a benchmark that is drawn; what is there already stays."""

    def files(self, root: Path) -> Iterator[tuple[str, bytes]]:
        """Files that are published inside the question files: path below the root, and content."""
        yield from ()

    def build(self, root: Path) -> list[Row]:
        """The rows of the question table, from the published files."""
        raise DataMissing(f"{root}: there is no {self.table}", hint=f"videval prepare {self.name}")

    @abstractmethod
    def video_path(self, row: Mapping[str, Scalar], root: Path) -> str:
        """The video of a row, relative to the root; where several layouts are in use, the one that is there."""

    def rows(self, root: Path) -> list[Row]:
        """The question table's rows: read if the table is there, else built."""
        path = root / self.table
        read = read_lines(path) if path.is_file() else parse_lines(as_text(self.build(root)), ".tsv")
        if read.problems:
            raise InvalidTable(str(path), read.problems)
        return [_typed(line) for line in read.lines]

    def part(self, name: str, rows: Sequence[Row]) -> list[Row]:
        """The rows of one of VLMEvalKit's parts, with that part's columns."""
        raise NotImplementedError(f"{self.name} has no parts")

    def load(self, root: Path, variant: Variant) -> list[Sample]:
        read = self._read(root, variant)
        if read.problems or not read.samples:
            raise InvalidTable(str(root / self.table), read.problems or ["the table has no questions"])
        return read.samples

    def left_out(self, root: Path, variant: Variant) -> tuple[str, ...]:
        return tuple(self._read(root, variant).left_out) if self.leaves_out else ()

    def _read(self, root: Path, variant: Variant) -> "_Read":
        rows = self.rows(root)
        read = _Read(problems=_repeated(rows))
        for row in rows:
            try:
                read.samples.append(self._checked(row, root, variant))
            except (ValueError, KeyError, UsageError) as error:
                unaskable = self.leaves_out and isinstance(error, _Unaskable)
                said = read.left_out if unaskable else read.problems
                said.append(f"row with index {row.get('index')!r}: {_said(error)}")
        return read

    def _checked(self, row: Row, root: Path, variant: Variant) -> Sample:
        sample = self.sample(row, root)
        for file in sample.files:
            if problem := path_problem(file):
                raise ValueError(f"video: {problem}")
        if not sample.question.strip():
            raise _Unaskable("the question is empty")
        if sample.candidates and sample.answer is not None:
            _check_answer(sample)
        if variant.subtitles:
            self.check_subtitles(row, root)
        return sample

    def check_subtitles(self, row: Mapping[str, Scalar], root: Path) -> None:
        """Raise ValueError if the row's subtitles are there and cannot be read."""

    subtitle_folder: ClassVar[str] = ""
    """Where subtitles are unpacked to, below the root."""

    def subtitle_notes(self, samples: Sequence[Sample], root: Path) -> Iterator[str]:
        """What is to be said about subtitle files that are not there."""
        files = dict.fromkeys(str(s.row["subtitle_path"]) for s in samples if s.row.get("subtitle_path"))
        lacking = [file for file in files if self.supports_subtitles and not (root / file).is_file()]
        if lacking:
            some = ", ".join(lacking[:5])
            yield f"{plural(len(lacking), 'subtitle file')} not there; _subs asks without them: {some}"

    def sample(self, row: Row, root: Path = Path()) -> Sample:
        """One row as a sample; ValueError or KeyError says what is wrong with it."""
        clips = self.clips_of(row, root)
        start, end = (None, None) if clips else self.bound(row)
        return Sample(
            id=str(row["index"]),
            video="" if clips else self.video_path(row, root),
            question=str(row["question"] or ""),
            answer=self.answer(row),
            candidates=self.options(row),
            start=start,
            end=end,
            clips=clips,
            row=row,
        )

    def clips_of(self, row: Mapping[str, Scalar], root: Path) -> tuple[ClipRef, ...]:
        """The clips of a row that shows several, in place of `video_path` and `bound`."""
        return ()

    def answer(self, row: Mapping[str, Scalar]) -> str | None:
        """The row's right answer as it is published; None if it is not public."""
        answer = row.get("answer")
        return None if answer is None or answer == "" else str(answer)

    def options(self, row: Mapping[str, Scalar]) -> tuple[str, ...]:
        """The row's options as a scorer compares them: without the letters they were published with."""
        published = self.published_options(row)
        return option_texts(published) if self.lettered else published

    def published_options(self, row: Mapping[str, Scalar]) -> tuple[str, ...]:
        """The row's options as they stand in its `candidates`; ValueError if these are not a list."""
        cell = row.get("candidates")
        if cell is None or cell == "":
            return ()
        found = literal_list(str(cell))
        if found is None:
            raise ValueError(f"candidates are not a list: {str(cell)[:60]!r}")
        return tuple(str(option) for option in found)

    def bound(self, row: Mapping[str, Scalar]) -> tuple[float | None, float | None]:
        """The seconds between which the row asks; (None, None) is the whole video."""
        return None, None


def part_of(name: str, rows: Sequence[Row], columns: Sequence[str]) -> list[Row]:
    """The rows of a merged table that come from the part of this name, as that part has them."""
    own = [row for row in rows if row.get("SUB_DATASET") == name]
    return [{**{c: row.get(c) for c in columns}, "index": row.get("original_index")} for row in own]


class _Unaskable(ValueError):
    """A row that stands as it was published and cannot be asked or scored."""


@dataclass(kw_only=True, slots=True)
class _Read:
    """What became of a table's rows."""

    samples: list[Sample] = field(default_factory=list)
    problems: list[str]
    left_out: list[str] = field(default_factory=list)


def _check_answer(sample: Sample) -> None:
    try:
        answer_letter(sample)
    except UsageError as error:
        raise _Unaskable(_said(error)) from error


def read_records(path: Path, keys: Iterable[str]) -> list[dict[str, Any]]:
    """The records of a .json (list), .jsonl or .parquet file.

    Raises DataMissing if it is not there, InvalidTable if it cannot be read or a record lacks one of the keys.
    """
    if not path.is_file():
        raise DataMissing(f"{path}: there is no such file", hint="videval prepare fetches what is missing")
    try:
        found = _READERS[path.suffix](path)
    except (ValueError, OSError) as error:
        raise InvalidTable(str(path), [f"cannot be read: {error}"]) from error
    problems = [
        f"question {i}: has no {key!r}"
        for i, record in enumerate(found)
        for key in keys
        if not isinstance(record, dict) or key not in record
    ]
    if problems:
        raise InvalidTable(str(path), problems)
    return found


def _typed(line: Line) -> Row:
    """A line of a table that pandas wrote: True and False are no texts."""
    words: dict[object, bool] = {"True": True, "False": False}
    return {name: words.get(cell, cell) if isinstance(cell, str) else scalar(cell) for name, cell in line.cells.items()}


def _repeated(rows: Sequence[Row]) -> list[str]:
    counts = Counter(str(row.get("index")) for row in rows)
    return [f"row with index {index!r}: {n} rows have it" for index, n in counts.items() if n > 1]


def _said(error: Exception) -> str:
    hint = getattr(error, "hint", "")
    said = f"there is no column {error}" if isinstance(error, KeyError) else str(error)
    return f"{said} ({hint})" if hint else said


def _read_json(path: Path) -> list[Any]:
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, list):
        raise ValueError(f"a {type(found).__name__}, not a list of questions")
    return found


def _read_json_lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]


def _read_parquet(path: Path) -> list[Any]:
    from pyarrow import ArrowException, parquet

    try:
        return list(parquet.read_table(path).to_pylist())
    except ArrowException as error:
        raise ValueError(str(error)) from error


_READERS = {".json": _read_json, ".jsonl": _read_json_lines, ".parquet": _read_parquet}
