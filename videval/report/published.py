"""Whether a run reproduces the number that was published for its recipe.

The rule. The run's interval is that of its score (`videval/metrics/intervals.py`). The published number has a sampling
error of its own where it is said of how many questions it is (Wilson's interval); the two intervals together give that
of the difference (MOVER: Newcombe 1998). Both are of one test set as a rule, so that this is wider than need be, and
"not reproduced" is said with care.

1. Nothing is scored, or the number is of a metric that is not made here: cannot tell.
2. The difference's interval does not hold 0: not reproduced.
3. Else the run's interval reaches more than 5 points to a side: cannot tell with so few questions.
4. Else: reproduced.

A run that is not complete, or deviates from its recipe, is judged all the same, and that it does so is said beside it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from videval.metrics import Estimate, Figure
from videval.metrics.intervals import interval
from videval.types import Published, RecipeUsed
from videval.words import measured, percent

__all__ = ["Outcome", "Reproduction", "reproductions"]

NEAR = 0.05
"""How far a run's interval may reach for a number in it to be reproduced, as a share of the scale."""


class Outcome(StrEnum):
    """What can be said of a published number."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"
    UNKNOWN = "cannot tell"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reproduction:
    """A published number beside the run's: what can be said of it, in words too, and what is to be known of the run.

    `value` is the published one in 0..1, as the run's `estimate`; None: it cannot be compared.
    """

    recipe: str
    published: Published
    value: float | None
    estimate: Estimate | None
    outcome: Outcome
    said: str
    caveats: tuple[str, ...]


def reproductions(
    recipe: RecipeUsed | None, figures: Mapping[str, Figure], *, scored: int, scorable: int
) -> tuple[Reproduction, ...]:
    """Each number that is published for a recipe beside the run's; `figures` by metric, "" is the headline."""
    if recipe is None:
        return ()
    caveats = [f"not as the recipe says: {deviation}" for deviation in recipe.deviations]
    if scored < scorable:
        caveats.insert(0, f"so far, by {scored:,} of {scorable:,} questions ({percent(scored / scorable)})")
    return tuple(_judged(recipe, published, figures.get(published.metric), caveats) for published in recipe.published)


def _judged(recipe: RecipeUsed, published: Published, figure: Figure | None, caveats: list[str]) -> Reproduction:
    estimate = figure.estimate if figure else None
    value = None if figure is None else published.value / (figure.top or 100.0)
    outcome, why = _outcome(published, value, estimate, figure.top if figure else None)
    where = ", ".join(filter(None, (published.source, published.date)))
    shown = f"{published.value:g}" if figure is None else measured(value, figure.top)
    name = f"{published.metric} " if published.metric else ""
    return Reproduction(
        recipe=recipe.name,
        published=published,
        value=value,
        estimate=estimate,
        outcome=outcome,
        said=f"{outcome}: the published {name}{shown} ({where}) {why}",
        caveats=tuple(caveats),
    )


def _outcome(
    published: Published, value: float | None, found: Estimate | None, top: float | None
) -> tuple[Outcome, str]:
    """What can be said by the rule above, and why."""
    if value is None or found is None:
        return Outcome.UNKNOWN, f"is of a metric that this run does not have: {published.metric}"
    if found.mean is None or found.low is None or found.high is None:
        return Outcome.UNKNOWN, "has nothing beside it: no answer is scored"
    span = f"{measured(found.low, top)} to {measured(found.high, top)}"
    inside = found.low <= value <= found.high
    if not inside and not _near(published, value, found):
        return Outcome.NOT_REPRODUCED, f"lies outside of this run's {span}"
    reach = max(found.high - found.mean, found.mean - found.low)
    if reach > NEAR:
        would = math.ceil(found.n * (reach / NEAR) ** 2 / 100) * 100
        fits = f"fits {span}" if inside else f"of only {published.questions:,} questions may fit {span}"
        return Outcome.UNKNOWN, f"{fits}, which {found.n:,} questions leave too wide: about {would:,} would tell"
    if inside:
        return Outcome.REPRODUCED, f"lies inside this run's {span}"
    return Outcome.REPRODUCED, f"is as near to this run's {span} as its own {published.questions:,} questions can tell"


def _near(published: Published, value: float, found: Estimate) -> bool:
    """Whether the difference's interval holds 0, for a published number that says of how many questions it is."""
    if not published.questions or found.mean is None or found.low is None or found.high is None:
        return False
    size = published.questions
    own = interval(value, clustered=0.0, independent=value * (1 - value) / size, n=size, clusters=size)
    assert own.low is not None and own.high is not None
    if value > found.mean:
        return value - found.mean <= math.hypot(value - own.low, found.high - found.mean)
    return found.mean - value <= math.hypot(own.high - value, found.mean - found.low)
