"""Turns the lines of a question file into samples, or into the list of all that is wrong with them."""

import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from videval.benchmarks.clip_cells import clips_in, files_in, is_list, wrong_path
from videval.benchmarks.on_disk import kept
from videval.benchmarks.option_cells import read_options
from videval.benchmarks.option_columns import KNOWN, OptionColumns, find_options, suspects
from videval.benchmarks.prompts import LETTERS
from videval.benchmarks.table_file import Cell, Cells, JsonText, Line, read_cells
from videval.errors import InvalidTable, UsageError
from videval.scorers.options import answer_letter, option_texts
from videval.types import ClipRef, Sample, Scalar
from videval.video.paths import absent

__all__ = ["read_table"]

T = TypeVar("T")
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_MOST_MISSING = 20


def read_table(path: Path, *, videos: Path | None = None) -> Sequence[Sample]:
    """The samples of a question file; InvalidTable lists every problem of every line.

    `videos`: a folder; if there is any problem, the videos that are not in it are listed with the others.
    """
    cells = _with_known_names(read_cells(path))
    table = _Table(columns=cells.columns, problems=list(cells.problems))
    samples = table.samples(cells)
    if table.problems and videos is not None:
        table.problems += _missing(cells, samples, videos)
    if table.problems:
        raise InvalidTable(str(path), sorted(table.problems, key=_line_number))
    return samples


def _with_known_names(cells: Cells) -> Cells:
    """The names that videval knows (video, question, ...) in lower case, however the file writes them."""
    known = {name: name.strip().casefold() for name in cells.columns if name.strip().casefold() in KNOWN}
    twice = [name for name, n in Counter(known.values()).items() if n > 1]
    names = {name: known.get(name, name) for name in cells.columns if known.get(name) not in twice}
    problems = tuple(f"line 1: the column {name!r} is there twice, if upper case does not count" for name in twice)
    if not twice and all(old == new for old, new in names.items()):
        return cells

    def read(problems: list[str]) -> Iterator[Line]:
        for line in cells.read(problems):
            yield replace(line, cells={names.get(old, old): cell for old, cell in line.cells.items()})

    columns = tuple(names.get(name, name) for name in cells.columns)
    return Cells(columns=columns, read=read, problems=cells.problems + problems)


def _missing(cells: Cells, samples: Sequence[Sample], folder: Path) -> Iterator[str]:
    lines: dict[str, list[int]] = {}
    for line, sample in zip(cells.read([]), samples, strict=False):
        for file in sample.files:
            lines.setdefault(file, []).append(line.number)
    images = {image for s in samples for image in s.images}
    missing = absent(filter(None, lines), folder)
    for file in missing[:_MOST_MISSING]:
        more = f" ({len(lines[file]) - 1} more line(s) ask about it)" if len(lines[file]) > 1 else ""
        what = "image" if file in images else "video"
        yield f"line {lines[file][0]}: the {what} {file!r} is not below {folder}{more}"
    if len(missing) > _MOST_MISSING:
        last = lines[missing[_MOST_MISSING]][0]
        yield f"line {last}: ... and {len(missing) - _MOST_MISSING} more video(s) are not there"


def _shown(clips: tuple[ClipRef, ...]) -> dict[str, Any]:
    """What a question about these clips says of them; one video is named in the short form."""
    first = clips[0]
    short = {"video": first.video, "start": first.start, "end": first.end}
    return {"clips": clips} if len(clips) > 1 or first.sampling else short


def _line_number(problem: str) -> int:
    digits = problem.removeprefix("line ").partition(":")[0]
    return int(digits) if digits.isdigit() else 0


@dataclass(kw_only=True, slots=True)
class _Table:
    """Checks lines one after another; remembers everything that is wrong, and a hash of each index."""

    columns: Sequence[str]
    problems: list[str]
    options: OptionColumns = field(default_factory=OptionColumns)
    has_options: bool = False
    hashes: "array[int]" = field(default_factory=lambda: array("q"))

    def samples(self, cells: Cells) -> Sequence[Sample]:
        """The samples of all lines; none if the header does not let them be read."""
        found = list(self._header_problems()) if cells.columns else []
        if found or not cells.columns:
            for _ in cells.read(self.problems):
                pass  # what is wrong with its lines is said with it
            self.problems += [f"line 1: {problem}" for problem in found]
            return []
        about_options: list[str] = []
        self.options = find_options(self.columns, about_options)
        samples = kept(self._sample(i, line) for i, line in enumerate(cells.read(self.problems)))
        if not samples and not self.problems:
            self.problems.append("line 1: the table has columns and no questions")
        self.problems += self._repeated(cells)
        if not self.has_options and not (about_options or (self.options.names and self.problems)):
            about_options += self._hidden_options(cells)
        self.problems += [f"line 1: {problem}" for problem in about_options]
        return samples

    def _header_problems(self) -> Iterator[str]:
        for name in ("video", "question"):
            if name not in self.columns:
                yield f"there is no column {name!r}, only {', '.join(map(repr, self.columns))}"
        if "prediction" in self.columns:
            yield "the column 'prediction' is what videval writes: rename it"

    def _hidden_options(self, cells: Cells) -> Iterator[str]:
        found = suspects([c for c in self.columns if c not in self.options.names], lambda: cells.read([]))
        if found:
            yield (
                f"what looks like options stands in {', '.join(map(repr, found))}, and nobody would be shown it: "
                'options are a column candidates (["one", "two"]) or columns A, B, C, ...; rename what is none'
            )

    def _sample(self, position: int, line: Line) -> Sample:
        check = _Row(line=line, problems=self.problems)
        options = check.options(self.options)
        self.has_options |= bool(options)
        row = {name: check.travels(name) for name in line.cells}
        return Sample(
            id=self._id(check, position),
            question=check.text("question"),
            answer=check.answer(options),
            candidates=options,
            images=check.images(),
            row=row if "index" in row else {"index": position, **row},
            **_shown(check.clips()),
        )

    def _id(self, check: "_Row", position: int) -> str:
        if "index" not in self.columns:
            return str(position)
        self.hashes.append(hash(index := check.index()))
        return index

    def _repeated(self, cells: Cells) -> Iterator[str]:
        """Each index that an earlier line has, too."""
        hashes, times = np.unique(self.hashes, return_counts=True)
        twice, seen = set(hashes[times > 1].tolist()), dict[str, int]()
        for line in cells.read([]) if twice else ():
            index = _Row(line=line, problems=[]).index()
            if hash(index) in twice:
                if index in seen:
                    yield f"line {line.number}: index {index!r} is also that of line {seen[index]}"
                seen.setdefault(index, line.number)


@dataclass(kw_only=True, slots=True)
class _Row:
    """One line being checked."""

    line: Line
    problems: list[str]

    def problem(self, what: str) -> None:
        self.problems.append(f"line {self.line.number}: {what}")

    def cell(self, name: str) -> Cell:
        return self.line.cells.get(name)

    def is_empty(self, name: str) -> bool:
        return self.cell(name) in (None, "")

    def travels(self, name: str) -> Scalar:
        """The cell as it is stored and comes back."""
        cell = self.cell(name)
        return str(cell) if isinstance(cell, str | list | dict) else cell

    def text(self, name: str) -> str:
        cell = self.cell(name)
        if isinstance(cell, int | float) and not isinstance(cell, bool):
            return str(cell)
        if isinstance(cell, str) and cell.strip() and not isinstance(cell, JsonText):
            return cell
        self.problem(f"{name} is empty" if self.is_empty(name) else f"{name} is not text: {cell!r}")
        return ""

    def clips(self) -> tuple[ClipRef, ...]:
        """What is shown: one video with the span of the row, or the clips of a list with spans of their own."""
        cell, (start, end) = self.cell("video"), self.span()
        if not is_list(cell):
            return (ClipRef(video=self._path("video"), start=start, end=end),)
        if start is not None:
            self.problem("start and end of several clips stand in their list")
        return self._listed_files("video", clips_in) or (ClipRef(video=""),)

    def images(self) -> tuple[str, ...]:
        """The images that are shown beside the video; none if the cell is empty."""
        if self.is_empty("image"):
            return ()
        return self._listed_files("image", files_in) if is_list(self.cell("image")) else (self._path("image"),)

    def _listed_files(self, name: str, read: Callable[[str], tuple[T, ...]]) -> tuple[T, ...]:
        try:
            return read(str(self.cell(name)))
        except ValueError as error:
            self.problem(f"{name} {error}")
            return ()

    def _path(self, name: str) -> str:
        path = self.text(name)
        wrong = wrong_path(path) if path else ""
        if wrong:
            self.problem(f"{name}: {wrong}")
        return "" if wrong else path

    def index(self) -> str:
        cell = self.cell("index")
        if isinstance(cell, str | int) and not isinstance(cell, bool | JsonText) and str(cell).strip():
            return str(cell)
        self.problem("index is empty" if cell is None else f"index {cell!r} is neither text nor a whole number")
        return ""

    def span(self) -> tuple[float | None, float | None]:
        start, end = self._seconds("start"), self._seconds("end")
        if (start is None) != (end is None):
            self.problem("start and end are given together or not at all")
        elif start is not None and end is not None and start >= end:
            self.problem(f"start {start:g} is not before end {end:g}")
        return start, end

    def _seconds(self, name: str) -> float | None:
        cell = self.cell(name)
        if self.is_empty(name):
            return None
        if isinstance(cell, int | float) and not isinstance(cell, bool) and 0 <= cell < 1e9:
            return float(cell)
        if isinstance(cell, str) and _SECONDS.fullmatch(cell.strip()):
            return float(cell)
        self.problem(f"{name} {cell!r} is not a number of seconds")
        return None

    def options(self, columns: OptionColumns) -> tuple[str, ...]:
        """The options of this row; none if there are none, or if something is wrong with them."""
        name = columns.list_column
        found = self._listed(name) if name else self._lettered(columns.lettered)
        if len(found) > len(LETTERS):
            self.problem(f"{len(found)} {name or 'options'}, there are {len(LETTERS)} letters")
            return ()
        return option_texts(found)

    def _listed(self, name: str) -> tuple[str, ...]:
        if self.is_empty(name):
            return ()
        try:
            return read_options(str(self.cell(name)))
        except ValueError as error:
            self.problem(f"{name} {error}")
            return ()

    def _lettered(self, columns: Sequence[str]) -> tuple[str, ...]:
        filled = list(columns)
        while filled and self.is_empty(filled[-1]):
            filled.pop()
        gaps = [name for name in filled if self.is_empty(name)]
        if gaps:
            self.problem(f"option {gaps[0]} is empty and a later one is not")
            return ()
        return tuple(self.text(name) for name in filled)

    def answer(self, options: Sequence[str]) -> str | None:
        if self.is_empty("answer"):
            return None
        answer = self.text("answer")
        if answer and options and not _is_one_of(answer, options):
            mend = "; numbers are not places: write A for the first one" if answer.isdecimal() else ""
            self.problem(
                f"answer {answer!r} is none of the candidates {list(options)!r}, and no letter of theirs{mend}"
            )
        return answer


def _is_one_of(answer: str, options: Sequence[str]) -> bool:
    if answer in options or answer in LETTERS[: len(options)]:
        return True
    try:
        answer_letter(Sample(id="", video="", question="", answer=answer, candidates=tuple(options)))
    except UsageError:
        return False
    return True
