"""Cases about what answers are worth: one score, the reference's rating of a table, the means of a report."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tools.golden.cases import Case
from tools.golden.data import Differs, Loaded, loaded
from tools.golden.runs import finished_run
from videval.asking import rule_scorer
from videval.benchmarks.base import Benchmark
from videval.report.rating import vlmevalkit_rating
from videval.report.scores import ScoreReport, score_report
from videval.scorers.vlmevalkit import RULES, Rule

__all__ = ["check_means", "check_rating", "check_score"]

POINTS = 0.051
"""How far a mean in percent may be from the recorded one, which has one or two decimals."""


def check_score(case: Case, root: Path) -> None:
    """Raise Differs unless the prediction is worth the recorded score; what cannot be read is worth 0."""
    read, expected = loaded(case, root), float(case.expected["score"])
    said = case.body["prediction"]
    if case.body["protocol"] == "vlmevalkit":
        score = _rule(read.benchmark).score(read.samples[0], said)
        if score is None:
            raise Differs(f"{said!r}: reference {expected}, videval leaves it to a judge")
        got, how = float(score), ""
    else:
        got, how = _own_score(read, said)
    if got != expected:
        raise Differs(f"{said!r}: reference {expected}, videval {got}{how}")


def check_rating(case: Case, root: Path) -> None:
    """Raise Differs unless `score --protocol vlmevalkit` gives the recorded table."""
    read = loaded(case, root)
    _rule(read.benchmark)
    with finished_run(read, case.body["predictions"]) as (database, run):
        got = json.loads(json.dumps(vlmevalkit_rating(database, run), default=_plain))
    if found := list(_differences(got, case.expected["rating"])):
        more = f"; and {len(found) - 4} more" if len(found) > 4 else ""
        raise Differs("; ".join(found[:4]) + more)


def check_means(case: Case, root: Path) -> None:
    """Raise Differs unless the report shows the recorded means, in percent, under their names."""
    with finished_run(loaded(case, root), case.body["predictions"]) as (database, run):
        shown = _means(score_report(database, run))
    problems = [
        f"{name}: reference {expected}, videval {_percent(shown.get(name))}"
        for name, expected in case.expected["means"].items()
        if (got := shown.get(name)) is None or not math.isclose(100 * got, expected, abs_tol=POINTS)
    ]
    if problems:
        raise Differs("; ".join(problems) + f" (shown: {', '.join(shown)})")


def _rule(benchmark: Benchmark) -> Rule:
    rule = RULES.get(benchmark.vlmevalkit)
    if rule is None:
        raise Differs(f"videval has no VLMEvalKit rule for {benchmark.name}")
    return rule


def _own_score(read: Loaded, said: str) -> tuple[float, str]:
    name = read.benchmark.scorer_for(read.samples[0])
    if name is None:
        raise Differs("videval does not score this question")
    score = rule_scorer(name).score(read.samples[0], said)
    return float(score.value or 0.0), f" ({score.verdict}, read {score.read!r})"


def _means(report: ScoreReport) -> dict[str, float | None]:
    shown = {"overall": report.overall.estimate.mean, "mean of the groups": _of_groups(report)}
    for groups in report.groups.values():
        shown |= {group.group: group.estimate.mean for group in groups}
    return shown


def _of_groups(report: ScoreReport) -> float | None:
    """The mean of the means of the first column's groups, whatever the page calls it."""
    found = next((f for f in report.metrics if f.about.startswith("mean of the ")), None)
    return found.estimate.mean if found else None


def _percent(mean: float | None) -> str:
    return "does not show it" if mean is None else f"{100 * mean:.2f}"


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)


def _differences(got: Any, expected: Any, path: str = "") -> Iterator[str]:
    """Where two tables differ; numbers to six digits, NaN equals NaN, and what is not expected is not looked at."""
    if isinstance(expected, Mapping):
        for key in expected:
            there = isinstance(got, Mapping) and key in got
            yield from _differences(got[key] if there else "(not there)", expected[key], f"{path}/{key}")
    elif isinstance(expected, list) and isinstance(got, list) and len(got) == len(expected):
        for number, (one, other) in enumerate(zip(got, expected, strict=True)):
            yield from _differences(one, other, f"{path}/{number}")
    elif not _same(got, expected):
        yield f"{path}: reference {expected!r}, videval {got!r}"


def _same(got: Any, expected: Any) -> bool:
    if not (isinstance(got, int | float) and isinstance(expected, int | float)):
        return bool(got == expected)
    return math.isclose(got, expected, rel_tol=1e-6, abs_tol=1e-6) or (got != got and expected != expected)
