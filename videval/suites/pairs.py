"""Two runs beside each other: whether they can be compared at all, and what comes of it."""

from collections.abc import Iterator
from dataclasses import dataclass

from videval.benchmarks.catalog import find_benchmark
from videval.db import runs
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.errors import UsageError
from videval.metrics import Difference
from videval.report import CardDifference, Comparison, card_differences, compare, index_columns, load_index
from videval.report.index import SampleIndex
from videval.report.scores import score_of_questions
from videval.suites.verdict import Evidence, Judgement, Rule, judge

__all__ = ["Headline", "Pair", "compared", "refuse_other_questions"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Headline:
    """The metric that a benchmark is judged by, of both runs over the questions that they share; `top`: see
    `Figure`."""

    name: str
    top: float | None
    a: float | None
    b: float | None
    difference: Difference


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Run A beside run B; `cautions`: what makes the judgement weaker than it looks, in words."""

    a: RunInfo
    b: RunInfo
    found: Comparison
    headline: Headline
    judgement: Judgement
    cards: tuple[CardDifference, ...]
    cautions: tuple[str, ...]


def compared(database: Database, a: RunInfo, b: RunInfo, rule: Rule) -> Pair:
    """Compare two runs and judge A against B. UsageError if they cannot be compared, with what differs."""
    refuse_other_questions(a, b)
    index = load_index(database, a.snapshot_id, index_columns(a))
    found = compare(database, a, b, index)
    headline = _headline(found, a)
    answered = [_answered(database, run) for run in (a, b)]
    evidence = Evidence(
        difference=headline.difference,
        differs=bool(found.num_unlike),
        answered_a=answered[0],
        answered_b=answered[1],
        top=headline.top,
    )
    return Pair(
        a=a,
        b=b,
        found=found,
        headline=headline,
        judgement=judge(evidence, rule),
        cards=tuple(card_differences(a, b)),
        cautions=(*_cautions(database, a, b), *_not_shared(found, index)),
    )


def refuse_other_questions(a: RunInfo, b: RunInfo) -> None:
    """UsageError if two runs are one, were asked other questions, or asked by another version of their page."""
    if a.run_id == b.run_id:
        raise UsageError(f"{a.name} is compared with itself", hint="videval list runs")
    facts = ("benchmark", "number of questions", "content", "protocol version")
    of_a, of_b = _identity(a), _identity(b)
    differing = [f"{what}: {x} and {y}" for what, x, y in zip(facts, of_a, of_b, strict=True) if x != y]
    if differing or a.snapshot_id != b.snapshot_id:
        shown = "\n".join(f"  {line}" for line in differing or ("the snapshots of the questions",))
        raise UsageError(
            f"{a.name} and {b.name} cannot be compared; what differs:\n{shown}",
            hint="runs on the same questions: videval list runs",
        )


def _identity(run: RunInfo) -> tuple[str, str, str, str]:
    content = run.card.get("benchmark", {}).get("content", f"snapshot {run.snapshot_id}")
    return run.benchmark, f"{run.num_samples:,}", str(content)[:16], str(run.protocol)


def _headline(found: Comparison, run: RunInfo) -> Headline:
    """The benchmark's first metric if that has a difference, else the mean over questions."""
    bench = find_benchmark(run.benchmark)
    mean = score_of_questions(bench)
    if bench.metrics[0] != mean and found.metrics:
        m = found.metrics[0]
        return Headline(name=m.a.name, top=m.a.top, a=m.a.estimate.mean, b=m.b.estimate.mean, difference=m.difference)
    name = mean.name if bench.metrics[0] == mean else "mean over questions"
    return Headline(name=name, top=found.top, a=found.mean_a, b=found.mean_b, difference=found.difference)


def _answered(database: Database, run: RunInfo) -> float:
    """The share of its requests that a run has answered."""
    with database.read() as connection:
        counts = runs.counts(connection, run.run_id)
    return counts.done / counts.total if counts.total else 0.0


def _not_shared(found: Comparison, index: SampleIndex) -> Iterator[str]:
    """A run may be of a part of the questions: with a limit, or imported from a file that lacks some."""
    if found.difference.n < index.scorable:
        yield f"{found.difference.n:,} of {index.scorable:,} questions are scored in both"


def _cautions(database: Database, a: RunInfo, b: RunInfo) -> Iterator[str]:
    for run in (a, b):
        with database.read() as connection:
            counts = runs.counts(connection, run.run_id)
        if counts.waiting:
            yield f"{run.name} is not finished: {counts.waiting:,} of {counts.total:,} requests are not answered yet"
        if counts.failed:
            yield f"{run.name}: {counts.failed:,} requests failed and are left out"
    if a.prompts != b.prompts:
        yield f"they were asked in other words: prompt set {a.prompts} and {b.prompts}"
