"""gate: whether the runs of a suite are as good as their baseline."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videval.cli import complete
from videval.cli.compare import Margin, Pairs, interval_of, rule_of
from videval.cli.console import explain, opened, say, say_json, settings_with, warn
from videval.cli.enqueue import ordered
from videval.cli.table import Column, show_table
from videval.cli.words import measured
from videval.words import points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from videval.db.records import RunInfo
    from videval.db.session import Database
    from videval.settings import Settings
    from videval.suites.gate import Gate, Gated

__all__ = ["gate_command"]

GATED = (
    Column(title="model", kind="name"),
    Column(title="variant", kind="name"),
    Column(title="score", kind="number"),
    Column(title="baseline", kind="number"),
    Column(title="difference", kind="number"),
    Column(title="95 % interval", kind="number"),
    Column(title="pairs", kind="number"),
    Column(title="verdict"),
    Column(title="beside", kind="name"),
)


def gate_command(
    suite: Annotated[Path, typer.Argument(help="a suite's file")],
    baseline: Annotated[
        list[str],
        typer.Option(help="a run or a suite's file; several are allowed", autocompletion=complete.runs),
    ],
    margin: Margin = 1.0,
    pairs: Pairs = 100,
    as_json: Annotated[bool, typer.Option("--json", help="for scripts")] = False,
) -> None:
    """Say whether a suite's runs are as good as a baseline.

    Each run is compared with the baseline of its variant, as `videval compare` does. Exit code: 0 GO, all are better or
    equal; 1 NO-GO, one is worse; 4 cannot tell.
    """
    from videval.suites.files import read_suite
    from videval.suites.gate import gated
    from videval.suites.orders import found_runs

    settings = settings_with()
    cells = ordered(read_suite(suite), settings)
    with opened(settings) as database:
        others = [run for name in baseline for run in _baselines(settings, database, name)]
        gate = gated(database, cells, found_runs(database, cells), others, rule_of(margin, pairs))
    if as_json:
        say_json(_json(gate))
    else:
        _show(gate)
    raise typer.Exit(gate.opinion.exit_code)


def _baselines(settings: "Settings", database: "Database", name: str) -> "Sequence[RunInfo]":
    """The run of this name, or the runs of a suite that were asked."""
    from videval.found import find
    from videval.suites.files import names_a_suite, read_suite
    from videval.suites.orders import found_runs

    if not names_a_suite(name):
        return [find(database, name)]
    return [run for run in found_runs(database, ordered(read_suite(Path(name)), settings)) if run]


def _show(gate: "Gate") -> None:
    for caution in dict.fromkeys(c for gated in gate.found if gated.pair for c in gated.pair.cautions):
        warn(f"  {caution}")
    show_table(GATED, [_row(gated) for gated in gate.found])
    for gated in gate.found:
        explain(f"{_name(gated)}: {gated.judgement.opinion.value}, {gated.judgement.why}")
    say(gate.decision)


def _name(gated: "Gated") -> str:
    return gated.pair.a.name if gated.pair else f"{gated.cell.column} {gated.cell.row}"


def _row(gated: "Gated") -> list[str]:
    where = [gated.cell.row, gated.cell.column]
    if gated.pair is None:
        return [*where, *("-" for _ in range(5)), gated.judgement.opinion.value, gated.baseline.name]
    found = gated.pair.headline
    difference, top = found.difference, found.top
    values = (measured(found.a, top), measured(found.b, top), points(difference.mean, top))
    more = (interval_of(difference, top), f"{difference.n:,}", gated.judgement.opinion.value, gated.baseline.name)
    return [*where, *values, *more]


def _json(gate: "Gate") -> dict[str, Any]:
    """A gate for scripts; docs/suites.md says what each key means."""
    return {"decision": gate.decision, "runs": [_gated_json(gated) for gated in gate.found]}


def _gated_json(gated: "Gated") -> dict[str, Any]:
    pair = gated.pair
    return {
        "model": gated.cell.order.spec.name,
        "variant": gated.cell.order.variant.name,
        "run": pair.a.name if pair else None,
        "baseline": gated.baseline.name,
        "verdict": gated.judgement.opinion.value,
        "why": gated.judgement.why,
        "headline": dataclasses.asdict(pair.headline) if pair else None,
        "cautions": list(pair.cautions) if pair else [],
    }
