"""compare: whether one run is as good as another, what flipped, and what was asked otherwise."""

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videval.cli import complete
from videval.cli.console import explain, opened, say, say_json, warn
from videval.cli.table import Column, show_table
from videval.cli.words import measured
from videval.words import plural, points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from videval.db.browse import SampleLine
    from videval.db.records import RunInfo
    from videval.db.session import Database
    from videval.metrics import Difference
    from videval.report import Comparison
    from videval.suites.pairs import Pair
    from videval.suites.verdict import Rule

__all__ = ["Margin", "Pairs", "compare_command", "interval_of", "rule_of"]

DIFFERENCES = (
    Column(title="A - B", kind="name"),
    Column(title="A", kind="number"),
    Column(title="B", kind="number"),
    Column(title="difference", kind="number"),
    Column(title="95 % interval", kind="number"),
    Column(title="n", kind="number"),
)
CARDS = (Column(title="differs", kind="name"), Column(title="A", kind="words"), Column(title="B", kind="words"))
FLIPPED = (
    Column(title="sample", kind="name"),
    Column(title="right in"),
    Column(title="question", kind="words"),
    Column(title="answer"),
    Column(title="A said", kind="words"),
    Column(title="B said", kind="words"),
)
LONGEST = 200
"""Characters of a text in the list of what flipped."""

Margin = Annotated[float, typer.Option(min=0.0, max=100.0, help="points that A may be worse and still counts as equal")]
Pairs = Annotated[int, typer.Option(min=2, help="questions scored in both that a verdict needs")]
Run = Annotated[str, typer.Argument(help="a run, or the beginning of its name", autocompletion=complete.runs)]


def compare_command(
    a: Run,
    b: Run,
    margin: Margin = 1.0,
    pairs: Pairs = 100,
    flipped: Annotated[int, typer.Option(min=0, help="list so many of the samples that flipped")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="for scripts")] = False,
) -> None:
    """Say whether run A is as good as run B, and what differs.

    Paired over the questions that both have scored, by metric and group, with 95 % intervals clustered by video; what
    flipped; what differs in the run cards. Exit code: 0 A is better or equal, 1 worse, 4 cannot tell (the rule:
    docs/suites.md).
    """
    from videval.found import find
    from videval.suites.pairs import compared

    with opened() as database:
        pair = compared(database, find(database, a), find(database, b), rule_of(margin, pairs))
        if as_json:
            say_json(_json(database, pair, flipped))
        else:
            _show(database, pair, flipped)
    raise typer.Exit(pair.judgement.opinion.exit_code)


def rule_of(margin: float, pairs: int) -> "Rule":
    """The rule with what the user says of it; `margin` in points of 100."""
    from videval.suites.verdict import Rule

    return Rule(margin=margin / 100, pairs=pairs)


def interval_of(found: "Difference", top: float | None) -> str:
    """The interval of a difference in words."""
    if found.low is None or found.high is None:
        return "-"
    return f"{points(found.low, top).removesuffix(' pts')} to {points(found.high, top)}"


def _show(database: "Database", pair: "Pair", flipped: int) -> None:
    say(f"A  {pair.a.name}")
    say(f"B  {pair.b.name}")
    for caution in pair.cautions:
        warn(f"  {caution}")
    show_table(DIFFERENCES, _rows(pair))
    _show_flipped(database, pair, flipped)
    if pair.cards:
        show_table(CARDS, [[card.what, card.a, card.b] for card in pair.cards])
    else:
        say("they were asked for in the same way")
    explain(f"{_in_words(pair)}: {pair.judgement.why}")


def _in_words(pair: "Pair") -> str:
    opinion = pair.judgement.opinion.value
    return "cannot tell whether A is as good as B" if opinion == "cannot tell" else f"A is {_beside_b(opinion)}"


def _beside_b(opinion: str) -> str:
    return "equal to B" if opinion == "equal" else f"{opinion} than B"


def _rows(pair: "Pair") -> list[list[str]]:
    """The headline, further metrics, then each group with no values of its own."""
    found, first = pair.found, pair.headline
    rows = [_row(first.name, first.difference, first.top, first.a, first.b)]
    rows += [
        _row(m.a.name, m.difference, m.a.top, m.a.estimate.mean, m.b.estimate.mean)
        for m in found.metrics
        if m.a.name != first.name
    ]
    for column, groups in found.groups.items():
        rows += [_row(f"{column}: {g.group}", g.difference, found.top) for g in groups if len(groups) > 1]
    return rows


def _row(
    name: str, found: "Difference", top: float | None, a: float | None = None, b: float | None = None
) -> list[str]:
    values = (measured(a, top), measured(b, top), points(found.mean, top), interval_of(found, top), f"{found.n:,}")
    return [name, *values]


def _show_flipped(database: "Database", pair: "Pair", most: int) -> None:
    found = pair.found
    wrong = found.difference.n - found.both_right - found.num_only_a - found.num_only_b
    explain(
        f"{found.num_only_a:,} right only in A, {found.num_only_b:,} only in B, {found.both_right:,} in both, "
        f"{wrong:,} in none, of {plural(found.difference.n, 'question')} (McNemar's exact p {found.p:.3g})"
    )
    lines = _flipped(database, pair, most)
    if lines:
        show_table(FLIPPED, [_flipped_row(found, of_a, of_b) for of_a, of_b in lines])


def _flipped(database: "Database", pair: "Pair", most: int) -> "Sequence[tuple[SampleLine, SampleLine]]":
    """The first samples that flipped, as each run has them, in the benchmark's order."""
    from videval.db import browse

    ids = sorted((*pair.found.only_a, *pair.found.only_b))[:most]
    with database.read() as connection:
        of_a, of_b = (browse.lines_of(connection, run, ids) for run in (pair.a, pair.b))
    return list(zip(of_a, of_b, strict=True))


def _flipped_row(found: "Comparison", a: "SampleLine", b: "SampleLine") -> list[str]:
    said = (a.question, a.answer or "-", a.prediction or "-", b.prediction or "-")
    return [a.key, _right_in(found, a), *(" ".join(text.split())[:LONGEST] for text in said)]


def _right_in(found: "Comparison", line: "SampleLine") -> str:
    return "A" if line.row_id in found.only_a else "B"


def _json(database: "Database", pair: "Pair", flipped: int) -> dict[str, Any]:
    """A comparison for scripts; docs/suites.md says what each key means."""
    found = pair.found
    return {
        "a": _run_json(pair.a),
        "b": _run_json(pair.b),
        "verdict": pair.judgement.opinion.value,
        "why": pair.judgement.why,
        "headline": dataclasses.asdict(pair.headline),
        "metrics": [
            {
                "name": m.a.name,
                "top": m.a.top,
                "a": m.a.estimate.mean,
                "b": m.b.estimate.mean,
                "difference": dataclasses.asdict(m.difference),
            }
            for m in found.metrics
        ],
        "groups": {
            column: [{"group": g.group, "difference": dataclasses.asdict(g.difference)} for g in groups]
            for column, groups in found.groups.items()
        },
        "flipped": {
            "only_a": found.num_only_a,
            "only_b": found.num_only_b,
            "both_right": found.both_right,
            "p": found.p,
            "samples": [
                {"index": a.key, "right_in": _right_in(found, a), "a": a.prediction, "b": b.prediction}
                for a, b in _flipped(database, pair, flipped)
            ],
        },
        "cards": [dataclasses.asdict(card) for card in pair.cards],
        "cautions": list(pair.cautions),
    }


def _run_json(run: "RunInfo") -> dict[str, Any]:
    return {"run": run.name, "model": run.model, "variant": run.variant}
