"""Which columns of a question table hold options: those that are read, and those that only look like it.

Options that are there and are not shown would have letters scored against nothing, so whatever looks like options
and is not read as such is refused.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from string import ascii_lowercase

from videval.benchmarks.option_cells import read_options
from videval.benchmarks.table_file import Line

__all__ = ["LONE_LETTER", "OptionColumns", "find_options", "suspects"]

LONE_LETTER = re.compile(r"\s*\(?([A-Za-z])\)?[.:]?\s*")
KNOWN = ("index", "video", "image", "question", "answer", "start", "end", "task_type", "prediction")
"""The columns that have a meaning of their own, and so are never options."""

_LIST_NAMES = ("candidates", "options", "choices", "answer choices", "answer options")
_LABELLED = re.compile(r"((?:answer |)(?:option|choice)|candidate|opt|a(?=\d)|) ?([a-z]|\d{1,2})")
_ANY_LABELLED = re.compile(r"(?P<before>.*?)(?P<last>(?<![a-z])[a-z]|\d{1,2})|(?P<first>[a-z])(?P<after> .*)")
_OPTION_WORD = re.compile(r"option|choice|candidate|alternative|distractor|(?:wrong|incorrect|false) answer")
_PARTED = re.compile(r"\s*[;|/\n]\s*")
_NUMBER = re.compile(r"[-+]?[\d.]+")
_LAST_BARE = "h"
"""Single letters beyond this are columns of their own (x, y, w), and no options after a gap."""


Answered = Callable[[], Iterator[tuple[str, Line]]]
"""The lines that have an answer, each behind it, from the first one on whenever it is called."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OptionColumns:
    """Where the options stand: in one column of lists, or in one column for each. None if there are none."""

    list_column: str = ""
    lettered: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns."""
        return (self.list_column,) if self.list_column else self.lettered


def find_options(columns: Sequence[str], problems: list[str]) -> OptionColumns:
    """The columns whose names say that they hold options; what stands against reading them is added to `problems`."""
    lists = [OptionColumns(list_column=name) for name in columns if _plain(name) in _LIST_NAMES]
    found = [*lists, *(OptionColumns(lettered=names) for names in _series(columns, problems))]
    if len(found) > 1:
        places = " and in ".join(", ".join(f"`{name}`" for name in each.names[:2]) for each in found)
        problems.append(f"the options are in {places}: keep one of them")
    return found[0] if len(found) == 1 else OptionColumns()


def _plain(name: str) -> str:
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])|[\W_]+", " ", name)
    return apart.casefold().strip()


def _series(columns: Sequence[str], problems: list[str]) -> Iterator[tuple[str, ...]]:
    """Columns in a row by their labels: A, B, C or option_a, option_b or a0, a1, a2."""
    for prefix, labels in _labelled(columns, problems):
        first = _in_a_row(labels)
        later = [n for label, n in labels.items() if n not in first and (prefix or label <= _LAST_BARE)]
        says_so = bool(_OPTION_WORD.search(prefix))
        if (later and (says_so or len(first) > 1)) or (says_so and len(labels) == 1):
            there = ", ".join(map(repr, [*first, *later]))
            problems.append(f"of the options only {there} is there: one between, before or after is missing")
        elif len(first) > 1:
            yield first


def _labelled(columns: Sequence[str], problems: list[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Columns by what stands before their label, then by their label."""
    series: dict[tuple[str, bool], dict[str, str]] = {}
    for name in columns:
        found = None if _plain(name) in _LIST_NAMES else _LABELLED.fullmatch(_plain(name))
        if found and (found[1] or found[2] in ascii_lowercase):
            labels = series.setdefault((found[1], found[2].isdigit()), {})
            if labels.get(found[2], name) != name:  # the same name twice is the header's problem
                problems.append(f"columns {labels[found[2]]!r} and {name!r} are the same option: rename one of them")
            labels.setdefault(found[2], name)
    return ((prefix, labels) for (prefix, _), labels in series.items())


def _in_a_row(labels: Mapping[str, str]) -> tuple[str, ...]:
    """The columns from label a, 0 or 1 on, without a gap."""
    orders = (list(ascii_lowercase), [str(i) for i in range(26)], [str(i) for i in range(1, 27)])
    order = next((order for order in orders if order[0] in labels), [])
    end = next((i for i, label in enumerate(order) if label not in labels), len(order))
    return tuple(labels[label] for label in order[:end])


def suspects(columns: Sequence[str], lines: Callable[[], Iterator[Line]]) -> list[str]:
    """Columns that look like options of these lines, in a table where no column's name says so."""
    answered = partial(_answered, lines)
    others = [name for name in columns if name not in KNOWN]
    if next(answered(), None) is None:
        return []
    return [name for name in others if _lists_options(name, answered)] or _unnamed_series(others, answered)


def _answered(lines: Callable[[], Iterator[Line]]) -> Iterator[tuple[str, Line]]:
    return ((str(line.cells["answer"]), line) for line in lines() if line.cells.get("answer"))


def _lists_options(name: str, answered: Answered) -> bool:
    """Whether each cell lists texts that the answer is one of, or a letter for; in a column named so, whether any
    cell lists anything."""
    cells = ((answer, str(cell)) for answer, line in answered() if (cell := line.cells.get(name)) is not None)
    if _OPTION_WORD.search(_plain(name)):
        return any(len(_listed(cell)) > 1 or _fits(answer, _PARTED.split(cell.strip())) for answer, cell in cells)
    first = next(cells, None)
    return first is not None and all(_fits(answer, _listed(cell)) for answer, cell in chain((first,), cells))


def _listed(cell: str) -> Sequence[str]:
    try:
        return read_options(cell)
    except ValueError:
        return ()


def _fits(answer: str, options: Sequence[str]) -> bool:
    place = _place(answer)
    if place is not None and not all(map(_NUMBER.fullmatch, options)):
        return place < len(options) > 1
    return len(options) > 1 and answer in options


def _place(answer: str) -> int | None:
    """0 for an answer A, 1 for (b), ...; None if it is no letter."""
    letter = LONE_LETTER.fullmatch(answer)
    return ascii_lowercase.index(letter[1].lower()) if letter else None


def _unnamed_series(names: Sequence[str], answered: Answered) -> list[str]:
    """Columns of texts with one name but for a letter or a number, if that name says so or if each answer names one
    of them or repeats it."""
    series: dict[tuple[str, str, bool], dict[str, str]] = {}
    for name in names:
        if found := _ANY_LABELLED.fullmatch(_plain(name)):
            label = found["last"] or found["first"]
            series.setdefault((found["before"] or "", found["after"] or "", label.isdigit()), {})[label] = name
    for (before, after, _), labels in series.items():
        says_so = bool(_OPTION_WORD.search(f"{before} {after}"))
        named = all(_names_one(answer, line, labels, otherwise=says_so) for answer, line in answered())
        if named and (len(labels) > 1 or not before + after):
            return list(labels.values())
    return []


def _names_one(answer: str, line: Line, labels: Mapping[str, str], *, otherwise: bool) -> bool:
    cells = [str(line.cells.get(name)) for name in labels.values()]
    place = _place(answer)
    if answer in cells or answer in labels or (place is not None and ascii_lowercase[place] in labels):
        return True
    return (otherwise if place is None else place < len(cells)) and not all(map(_NUMBER.fullmatch, cells))
