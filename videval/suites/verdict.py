"""Whether a run is as good as another: one written rule over a paired difference. Pure.

A is judged against B by the difference A - B of the headline metric over the questions that both have scored, with its
95 % interval, which is paired by question and clustered by video:

1. cannot tell, if the evidence is thin: fewer than `pairs` questions or `videos` videos are shared, or one of the runs
   has not answered at least the share `answered` of what it asks;
2. equal, if no question was judged otherwise;
3. better, if the whole interval lies above zero;
4. equal, if the whole interval lies above -`margin`: A is at worst so much worse as nobody minds;
5. worse, if the whole interval lies below zero;
6. cannot tell, otherwise: the interval holds both zero and more loss than the margin.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from videval.metrics import Difference
from videval.words import percent, plural, points

__all__ = ["Evidence", "Judgement", "Opinion", "Rule", "judge", "worst"]


class Opinion(StrEnum):
    """What can be said of a run beside another."""

    BETTER = "better"
    EQUAL = "equal"
    WORSE = "worse"
    UNCLEAR = "cannot tell"

    @property
    def exit_code(self) -> int:
        """0 better or equal, 1 worse, 4 cannot tell."""
        return {Opinion.WORSE: 1, Opinion.UNCLEAR: 4}.get(self, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """How much is asked of the evidence; `margin` and `answered` are shares of 1."""

    margin: float = 0.01
    pairs: int = 100
    videos: int = 10
    answered: float = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What a judgement rests on: A - B of the headline, whether any question was judged otherwise, and the share of
    its requests that each run has answered; `top`: see `Figure`."""

    difference: Difference
    differs: bool
    answered_a: float
    answered_b: float
    top: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What can be said of A beside B, and why, in words."""

    opinion: Opinion
    why: str


def judge(found: Evidence, rule: Rule) -> Judgement:
    """Judge A against B by the rule above."""
    if thin := _thin(found, rule):
        return Judgement(opinion=Opinion.UNCLEAR, why=thin)
    if not found.differs:
        return Judgement(opinion=Opinion.EQUAL, why="no question was judged otherwise")
    low, high = found.difference.low, found.difference.high
    assert low is not None and high is not None  # of one video only, which is thin
    between = f"the interval {points(low, found.top)} to {points(high, found.top)}"
    least = points(-rule.margin, found.top)
    if low > 0:
        return Judgement(opinion=Opinion.BETTER, why=f"{between} lies above zero")
    if low >= -rule.margin:
        return Judgement(opinion=Opinion.EQUAL, why=f"{between} lies above the margin of {least}")
    if high < 0:
        return Judgement(opinion=Opinion.WORSE, why=f"{between} lies below zero")
    return Judgement(opinion=Opinion.UNCLEAR, why=f"{between} holds zero, and reaches below the margin of {least}")


def _thin(found: Evidence, rule: Rule) -> str:
    """Why there is too little to judge by; empty if there is enough."""
    shared = found.difference
    for name, answered in (("A", found.answered_a), ("B", found.answered_b)):
        if answered < rule.answered:
            return (
                f"{name} has answered {percent(answered)} of what it asks, and {percent(rule.answered, 0)} are needed"
            )
    if shared.n < rule.pairs:
        return f"{plural(shared.n, 'question')} scored in both, and {rule.pairs:,} are needed"
    if shared.clusters < max(rule.videos, 2):
        return f"they are about {plural(shared.clusters, 'video')}, and {max(rule.videos, 2)} are needed"
    return ""


def worst(opinions: Iterable[Opinion]) -> Opinion:
    """What can be said of several together: worse if one is, else cannot tell if of one nobody can, else equal, or
    better if all are."""
    found = set(opinions)
    for opinion in (Opinion.WORSE, Opinion.UNCLEAR, Opinion.EQUAL):
        if opinion in found:
            return opinion
    return Opinion.BETTER if found else Opinion.UNCLEAR
