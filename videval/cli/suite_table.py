"""The table of a suite: models x variants, each score with its interval, what is not finished marked."""

from typing import TYPE_CHECKING, Any

from videval.cli.console import explain, say
from videval.cli.table import Column, show_table
from videval.cli.words import measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from videval.suites.standing import Standing

__all__ = ["show_suite", "suite_json"]

MARK = "*"
"""Stands behind what is not finished."""


def show_suite(found: "Sequence[Standing]") -> None:
    """Print the scores of a suite's runs as a table, and where to look for what failed."""
    from videval.suites.standing import places_of

    texts = dict(zip(places_of([standing.cell for standing in found]), map(_text, found), strict=True))
    rows, columns = (list(dict.fromkeys(names)) for names in zip(*texts, strict=True))
    titles = [Column(title="model", kind="name"), *(Column(title=name, kind="number") for name in columns)]
    show_table(titles, [[row, *(texts.get((row, column), "") for column in columns)] for row in rows])
    if not all(standing.is_finished for standing in found):
        explain(f"{MARK} not finished: the score of what is answered so far, and how much that is")
    for status in (standing.status for standing in found):
        if status and status.counts.failed:
            say(f"{status.counts.failed:,} failed: videval errors {status.run.name}")


def _text(standing: "Standing") -> str:
    if standing.status is None or standing.score is None:
        return f"not begun{MARK}"
    found, top, counts = standing.score.overall.estimate, standing.score.top, standing.status.counts
    interval = f" ({measured(found.low, top)} to {measured(found.high, top)})" if found.n else ""
    said = f"{measured(found.mean, top)}{interval}"
    return said if standing.is_finished else f"{said} {counts.done + counts.failed:,}/{counts.total:,}{MARK}"


def suite_json(found: "Sequence[Standing]") -> list[dict[str, Any]]:
    """The same for scripts; docs/suites.md says what each key means."""
    return [_json(standing) for standing in found]


def _json(standing: "Standing") -> dict[str, Any]:
    import dataclasses

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
