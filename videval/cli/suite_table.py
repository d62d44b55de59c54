"""The table of a suite: models x variants, each score with its interval, what is not finished marked."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videval.cli.console import explain, opened, say_json, settings_with
from videval.cli.table import Column, show_table
from videval.cli.words import measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from videval.suites.standing import Standing

__all__ = ["show_scores_of", "show_suite"]

MARK = "*"
"""Stands behind what is not finished."""


def show_suite(found: "Sequence[Standing]") -> None:
    """Print the scores of a suite's runs as a table."""
    from videval.suites.standing import places_of

    texts = dict(zip(places_of([standing.cell for standing in found]), map(_text, found), strict=True))
    rows, columns = (list(dict.fromkeys(names)) for names in zip(*texts, strict=True))
    titles = [Column(title="model", kind="name"), *(Column(title=name, kind="number") for name in columns)]
    show_table(titles, [[row, *(texts.get((row, column), "") for column in columns)] for row in rows])
    if not all(standing.is_finished for standing in found):
        explain(f"{MARK} not finished: the score of what is answered so far (the longest first), and how much that is")


def _text(standing: "Standing") -> str:
    if standing.status is None or standing.score is None:
        return f"not begun{MARK}"
    found, top, counts = standing.score.overall.estimate, standing.score.top, standing.status.counts
    interval = f" ({measured(found.low, top)} to {measured(found.high, top)})" if found.n else ""
    said = f"{measured(found.mean, top)}{interval}"
    return said if standing.is_finished else f"{said} {counts.done + counts.failed:,}/{counts.total:,}{MARK}"


def show_scores_of(file: Path, *, as_json: bool) -> None:
    """Print where the runs of a suite's file stand, as a table, or for scripts (README, "For scripts")."""
    from videval.cli.enqueue import ordered
    from videval.suites.files import read_suite
    from videval.suites.orders import found_runs
    from videval.suites.standing import standings

    settings = settings_with()
    cells = ordered(read_suite(file), settings)
    with opened(settings) as database:
        found = standings(database, cells, found_runs(database, cells))
    if as_json:
        say_json([_json(standing) for standing in found])
    else:
        show_suite(found)


def _json(standing: "Standing") -> dict[str, Any]:
    cell, status, score = standing.cell, standing.status, standing.score
    recipe = cell.order.recipe
    return {
        "model": cell.order.spec.name,
        "variant": cell.order.variant.name,
        "recipe": recipe.name if recipe else None,
        "run": status.run.name if status else None,
        "counts": dataclasses.asdict(status.counts) | {"total": status.counts.total} if status else None,
        "finished": standing.is_finished,
        "score": dataclasses.asdict(score.overall.estimate) if score else None,
        "coverage": score.coverage if score else 0.0,
    }
