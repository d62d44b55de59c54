"""A suite against a baseline: each of its runs beside the one that it replaces, and one decision for all."""

from collections.abc import Sequence
from dataclasses import dataclass

from videval.db.records import RunInfo
from videval.db.session import Database
from videval.errors import UsageError
from videval.suites.crossing import words_of
from videval.suites.orders import Cell
from videval.suites.pairs import Pair, compared
from videval.suites.verdict import Judgement, Opinion, Rule, worst

__all__ = ["Gate", "Gated", "gated"]

DECISIONS = {Opinion.BETTER: "GO", Opinion.EQUAL: "GO", Opinion.WORSE: "NO-GO", Opinion.UNCLEAR: "cannot tell"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Gated:
    """A run of a suite beside its baseline; `pair` is None where it was never asked."""

    cell: Cell
    baseline: RunInfo
    judgement: Judgement
    pair: Pair | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """All runs of a suite beside their baselines."""

    found: tuple[Gated, ...]

    @property
    def opinion(self) -> Opinion:
        """What can be said of all together."""
        return worst(gated.judgement.opinion for gated in self.found)

    @property
    def decision(self) -> str:
        """GO if every run is better or equal, NO-GO if one is worse, else cannot tell."""
        return DECISIONS[self.opinion]


def gated(
    database: Database,
    cells: Sequence[Cell],
    runs: Sequence[RunInfo | None],
    baselines: Sequence[RunInfo],
    rule: Rule,
) -> Gate:
    """Judge each run of a suite against its baseline, but for those that are one.

    UsageError where a run has no baseline or several, or one that it cannot be compared with.
    """
    others = list(
        {run.run_id: run for run in baselines}.values()
    )  # a run may be named, and be of a suite that is named
    ids = {run.run_id for run in others}
    new = [(cell, run) for cell, run in zip(cells, runs, strict=True) if run is None or run.run_id not in ids]
    if not new:
        raise UsageError("every run of the suite is a baseline itself", hint="--baseline with the runs of another")
    pairs = [(cell, run, _baseline_of(cell, others)) for cell, run in new]
    return Gate(found=tuple(_gated(database, cell, run, base, rule) for cell, run, base in pairs))


def _gated(database: Database, cell: Cell, run: RunInfo | None, base: RunInfo, rule: Rule) -> Gated:
    if run is None:
        nothing = Judgement(opinion=Opinion.UNCLEAR, why="it was not asked yet: videval run the suite first")
        return Gated(cell=cell, baseline=base, judgement=nothing, pair=None)
    pair = compared(database, run, base, rule)
    return Gated(cell=cell, baseline=base, judgement=pair.judgement, pair=pair)


def _baseline_of(cell: Cell, baselines: Sequence[RunInfo]) -> RunInfo:
    """The baseline of the same variant, else of the same benchmark; of several, that of the same model."""
    spec, variant = cell.order.spec, cell.order.variant
    close = [run for run in baselines if run.variant == variant.name]
    close = close or [run for run in baselines if run.benchmark == variant.benchmark]
    if len(close) > 1:
        close = [run for run in close if run.model == spec.name] or close
    if len(close) == 1:
        return close[0]
    said = "\n".join(f"  {run.name}" for run in close or baselines)
    what = f"has {len(close)} baselines" if close else "has no baseline"
    raise UsageError(
        f"{words_of(cell.asked)} {what}; there are:\n{said}",
        hint="--baseline RUN, once for each variant of the suite",
    )
