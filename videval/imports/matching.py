"""Which question of the benchmark each row of a result file answers. Pure.

VLMEvalKit's rows are matched by index, and only if the question's text is the same; those of a pickle, which has no
texts, by index alone, or by video where a pack's answers are kept. lmms-eval's rows are matched by the text that the
model was told: it counts its documents task by task. What matches nothing, or two questions, is not imported.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from videval.errors import UsageError
from videval.imports.rows import ResultFile, Row
from videval.types import Sample
from videval.words import plural

__all__ = ["Matched", "match"]

_ESCAPE = re.compile(r"_x[0-9A-Fa-f]{4}_")
_SPACE = re.compile(r"\s+")
SHOWN = 10
"""How many rows are named in a message."""


@dataclass(kw_only=True)
class Matched:
    """What result files say of a benchmark's questions.

    `answers`: by sample id; `packs`: whole responses to packs, by video; `failed`: how many rows have no answer, by
    why; `twice`: rows that repeat an answer; `unmatched`: rows that are of no question, each with why.
    """

    answers: dict[str, str] = field(default_factory=dict)
    packs: dict[str, str] = field(default_factory=dict)
    failed: Counter[str] = field(default_factory=Counter)
    twice: list[str] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)
    by_index_alone: int = 0

    @property
    def found(self) -> int:
        """How many answers there are."""
        return len(self.answers) + len(self.packs)


def match(files: Sequence[ResultFile], samples: Sequence[Sample], *, pack: bool) -> Matched:
    """Match all rows of files about the same questions.

    UsageError if a question has two different answers, or if no row is of any of the questions.
    """
    questions = _Questions(samples, pack=pack)
    matched = Matched()
    clashes: list[str] = []
    for file in files:
        ids = questions.of_log(file.rows) if file.tool == "lmms-eval" else map(questions.of_row, file.rows)
        for row, (found, why) in zip(file.rows, ids, strict=True):
            where = f"{file.name}, {row.where} (index {row.index})"
            if found is None:
                matched.unmatched.append(f"{where}: {why}")
            else:
                _take(matched, row, found, where, clashes, is_pack=why == _PACK)
    _check(matched, files, clashes)
    return matched


_PACK = "pack"
"""What is said of a row that answers all questions of a video."""
Found = tuple[str | None, str]
"""The id of a sample, or None and why there is none."""


def _take(matched: Matched, row: Row, found: str, where: str, clashes: list[str], *, is_pack: bool) -> None:
    """Keep a row's answer; the same one again is listed, another one a clash."""
    if row.text is None:
        matched.failed[row.why] += 1
        return
    matched.by_index_alone += row.question is None and not row.told
    kept = matched.packs if is_pack else matched.answers
    if found in kept:
        (matched.twice if kept[found] == row.text else clashes).append(where)
    kept.setdefault(found, row.text)


def _check(matched: Matched, files: Sequence[ResultFile], clashes: Sequence[str]) -> None:
    names = ", ".join(file.name for file in files)
    if clashes:
        raise UsageError(
            f"{names}: {plural(len(clashes), 'row')} with another answer to a question than one before:\n"
            f"{_listed(clashes)}",
            hint="leave one of them out",
        )
    if not matched.found and matched.failed:
        failed = ", ".join(f"{why} {count:,}" for why, count in sorted(matched.failed.items()))
        raise UsageError(f"{names}: not one answer: {failed}", hint="is it the file of a run that failed?")
    if not matched.found:
        raise UsageError(
            f"{names}: no row is of a question of this benchmark:\n{_listed(matched.unmatched)}",
            hint="--benchmark VARIANT says of which benchmark the file is",
        )


def _listed(rows: Sequence[str]) -> str:
    more = [f"  ... and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else []
    return "\n".join([*(f"  {row}" for row in rows[:SHOWN]), *more])


class _Questions:
    """The benchmark's questions by what rows know of them."""

    def __init__(self, samples: Sequence[Sample], *, pack: bool) -> None:
        self._by_id = {s.id: s for s in samples}
        self._by_text: dict[str, list[Sample]] = {}
        for sample in samples:
            self._by_text.setdefault(_folded(_question(sample)), []).append(sample)
        names = (name for s in samples for name in (s.video, str(s.row.get("video", ""))))
        self._videos = frozenset(names) if pack else frozenset()

    def of_row(self, row: Row) -> Found:
        """The question of a row with an index of the benchmark's own."""
        sample = self._by_id.get(row.index)
        if sample is None:
            in_pack = row.question is None and row.index in self._videos
            return (row.index, _PACK) if in_pack else (None, "no question has this index")
        if row.question is not None and _folded(row.question) != _folded(_question(sample)):
            return None, f"another question: {row.question[:60]!r}, the benchmark's is {_question(sample)[:60]!r}"
        return sample.id, ""

    def of_log(self, rows: Sequence[Row]) -> Iterable[Found]:
        """The questions of lmms-eval's rows: by text, and by number where that fits every row."""
        candidates = [self._told(row) for row in rows]
        counted = all(not c or row.index in {s.id for s in c} for row, c in zip(rows, candidates, strict=True))
        for row, found in zip(rows, candidates, strict=True):
            if counted and found:
                yield row.index, ""
            elif len(found) == 1:
                yield found[0].id, ""
            else:
                yield None, f"could be {len(found)} questions" if found else "no question of the benchmark is in it"

    def _told(self, row: Row) -> list[Sample]:
        """The questions that a prompt may have asked."""
        lines = [row.question] if row.question is not None else row.told.splitlines()
        texts = dict.fromkeys(_folded(text) for line in lines for text in (line, line.partition(":")[2]) if text)
        found = [s for text in texts for s in self._by_text.get(text, ())]
        told = _folded(row.told)
        for fits in (_has_options, _has_answer):
            narrower = [s for s in found if fits(s, row, told)]
            found = narrower if len(found) > 1 and narrower else found
        return list({s.id: s for s in found}.values())


def _has_options(sample: Sample, row: Row, told: str) -> bool:
    return all(_folded(option) in told for option in sample.candidates)


def _has_answer(sample: Sample, row: Row, told: str) -> bool:
    return sample.answer is not None and _folded(sample.answer) == _folded(row.answer)


def _question(sample: Sample) -> str:
    """A question as it stands in the benchmark's own column."""
    own: Mapping[str, object] = sample.row
    return str(own.get("question") or sample.question)


def _folded(text: str) -> str:
    """A text without what files do to texts: white space, and the escapes of a workbook."""
    return _SPACE.sub(" ", _ESCAPE.sub(" ", text)).strip()
