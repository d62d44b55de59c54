"""Turns the lines of a question table into samples, or into the list of all that is wrong with them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from videval.benchmarks.prompts import LETTERS, literal_list
from videval.benchmarks.table_file import Cell, Line, Lines, read_lines
from videval.errors import InvalidTable, UsageError
from videval.scorers.options import answer_letter, option_texts
from videval.types import Sample, Scalar
from videval.video.paths import path_problem

__all__ = ["read_table"]

_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")


def read_table(path: Path) -> list[Sample]:
    """The samples of a question table; InvalidTable lists every problem of every line."""
    read = read_lines(path)
    table = _Table(columns=read.columns, problems=list(read.problems))
    table.check_header(read)
    samples = [table.sample(i, line) for i, line in enumerate(read.lines)] if not table.problems_in_header else []
    if table.problems:
        raise InvalidTable(str(path), sorted(table.problems, key=_line_number))
    return samples


def _foreign(path: str) -> str:
    drive = re.match(r"[A-Za-z]:", path)
    return f'{path!r}: folders are separated by "/", without a drive' if drive or "\\" in path else ""


def _line_number(problem: str) -> int:
    digits = problem.removeprefix("line ").partition(":")[0]
    return int(digits) if digits.isdigit() else 0


@dataclass(kw_only=True, slots=True)
class _Table:
    """Checks lines one after another; remembers the indices seen and everything that is wrong."""

    columns: Sequence[str]
    problems: list[str]
    problems_in_header: bool = False
    seen: dict[str, int] = field(default_factory=dict)

    def check_header(self, read: Lines) -> None:
        found = list(self._header_problems()) if read.columns else []
        self.problems_in_header = bool(found) or not read.columns
        self.problems += [f"line 1: {problem}" for problem in found]
        if read.columns and not read.lines and not self.problems:
            self.problems.append("line 1: the table has columns and no questions")

    def _header_problems(self) -> Iterator[str]:
        for name in ("video", "question"):
            if name not in self.columns:
                yield f"there is no column {name!r}, only {', '.join(map(repr, self.columns))}"
        if "candidates" in self.columns and self._letter_columns():
            yield "the options are in `candidates` and in `A`, `B`: keep one of them"
        if "prediction" in self.columns:
            yield "the column 'prediction' is what videval writes: rename it"

    def _letter_columns(self) -> list[str]:
        found = []
        for letter in LETTERS:
            if letter not in self.columns:
                break
            found.append(letter)
        return found if len(found) > 1 else []

    def sample(self, position: int, line: Line) -> Sample:
        """The sample of one line; what is wrong with it is added to `problems`."""
        check = _Row(line=line, problems=self.problems)
        options = self._options(check)
        row = {name: check.scalar(name) for name in line.cells}
        start, end = check.span()
        return Sample(
            id=self._id(check, position),
            video=check.video(),
            question=check.text("question"),
            answer=check.answer(options),
            candidates=options,
            start=start,
            end=end,
            row=row if "index" in row else {"index": position, **row},
        )

    def _id(self, check: "_Row", position: int) -> str:
        if "index" not in self.columns:
            return str(position)
        index = check.index()
        if index in self.seen:
            check.problem(f"index {index!r} is also that of line {self.seen[index]}")
        self.seen.setdefault(index, check.line.number)
        return index

    def _options(self, check: "_Row") -> tuple[str, ...]:
        if "candidates" in self.columns:
            return check.candidates()
        return check.lettered(self._letter_columns())


@dataclass(kw_only=True, slots=True)
class _Row:
    """One line being checked."""

    line: Line
    problems: list[str]

    def problem(self, what: str) -> None:
        self.problems.append(f"line {self.line.number}: {what}")

    def cell(self, name: str) -> Cell:
        return self.line.cells.get(name)

    def text(self, name: str) -> str:
        cell = self.cell(name)
        if isinstance(cell, (int, float)) and not isinstance(cell, bool):
            return str(cell)
        if isinstance(cell, str) and cell.strip():
            return cell
        self.problem(f"{name} is empty" if cell is None or cell == "" else f"{name} is not text: {cell!r}")
        return ""

    def video(self) -> str:
        video = self.text("video")
        if video and (wrong := path_problem(video) or _foreign(video)):
            self.problem(f"video: {wrong}")
        return video

    def index(self) -> str:
        cell = self.cell("index")
        if isinstance(cell, str | int) and not isinstance(cell, bool) and str(cell).strip():
            return str(cell)
        self.problem("index is empty" if cell is None else f"index {cell!r} is neither text nor a whole number")
        return ""

    def scalar(self, name: str) -> Scalar:
        """The cell as it travels through; a list of candidates as Python writes it, as VLMEvalKit does."""
        cell = self.cell(name)
        if not isinstance(cell, list | dict):
            return cell
        if name != "candidates":
            self.problem(f"column {name!r} holds a {type(cell).__name__}; cells are text, numbers, true, false or null")
        return repr(cell)

    def span(self) -> tuple[float | None, float | None]:
        start, end = self._seconds("start"), self._seconds("end")
        if (start is None) != (end is None):
            self.problem("start and end are given together or not at all")
        elif start is not None and end is not None and start >= end:
            self.problem(f"start {start:g} is not before end {end:g}")
        return start, end

    def _seconds(self, name: str) -> float | None:
        cell = self.cell(name)
        if cell is None or cell == "":
            return None
        if isinstance(cell, (int, float)) and not isinstance(cell, bool) and 0 <= cell < 1e9:
            return float(cell)
        if isinstance(cell, str) and _SECONDS.fullmatch(cell):
            return float(cell)
        self.problem(f"{name} {cell!r} is not a number of seconds")
        return None

    def candidates(self) -> tuple[str, ...]:
        cell = self.cell("candidates")
        if cell is None or cell == "":
            return ()
        found: Any = literal_list(cell) if isinstance(cell, str) else cell
        if not isinstance(found, list):
            self.problem(f'candidates are not a list: {str(cell)[:60]!r}; write ["one", "two"]')
            return ()
        return self._as_options(found)

    def _as_options(self, found: list[Any]) -> tuple[str, ...]:
        wrong = [c for c in found if not isinstance(c, str | int | float) or isinstance(c, bool) or not str(c).strip()]
        if wrong:
            self.problem(f"candidates hold {wrong[0]!r}, which is not text")
        if len(found) > len(LETTERS):
            self.problem(f"{len(found)} candidates, there are {len(LETTERS)} letters")
        return () if wrong else option_texts([str(c) for c in found])

    def lettered(self, columns: Sequence[str]) -> tuple[str, ...]:
        cells = [self.cell(c) for c in columns]
        while cells and cells[-1] is None:
            cells.pop()
        gaps = [c for c, cell in zip(columns, cells, strict=False) if cell is None]
        if gaps:
            self.problem(f"option {gaps[0]} is empty and a later one is not")
            return ()
        return self._as_options(list(cells))

    def answer(self, options: Sequence[str]) -> str | None:
        cell = self.cell("answer")
        if cell is None or cell == "":
            return None
        answer = self.text("answer")
        if answer and options:
            self._check_answer(answer, options)
        return answer

    def _check_answer(self, answer: str, options: Sequence[str]) -> None:
        try:
            answer_letter(Sample(id="", video="", question="", answer=answer, candidates=tuple(options)))
        except UsageError:
            self.problem(f"answer {answer!r} is none of the candidates {list(options)!r}, and no letter of theirs")
