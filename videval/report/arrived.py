"""Whether all frames arrived at the endpoint that answered: what it counts of prompts against what frames should cost.

A server that drops frames, or makes them smaller, says nothing of it, and its answers look like any others.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from statistics import median

from videval.db.records import RunInfo
from videval.db.responses import PromptCost, prompt_costs
from videval.db.session import Database
from videval.models.served import tokens_served
from videval.words import plural

__all__ = ["frames_lost", "lost_of"]

LOOKED_AT = 300
"""The newest answers, of which a run may have a million."""
LEAST = 3
"""Answers of a kind, fewer of which say nothing."""
MORE = 1.25
"""Times the frames that must cost more tokens."""
SHARE = 0.95
"""Of what frames should cost: a server may count a token here and there otherwise."""
_Shape = tuple[int, int, int]


def frames_lost(database: Database, run: RunInfo) -> str:
    """What is to be said of a run whose newest answers took fewer tokens than their frames cost; else empty."""
    asked = run.card.get("endpoint", {})
    if asked.get("sampled_by") != "videval":
        return ""
    with database.read() as connection:
        found = prompt_costs(connection, run.run_id, limit=LOOKED_AT)
    model = str(run.card["model"]["checkpoint"]) if asked.get("transport") == "video" else ""
    said = lost_of(found, model)
    return f"{said}: the server drops frames or makes them smaller -> videval endpoint check {run.endpoint}" * bool(
        said
    )


def lost_of(costs: Sequence[PromptCost], model: str = "") -> str:
    """What does not fit together in what prompts took; `model`: as it is published, if it was sent videos."""
    shapes: dict[_Shape, list[int]] = {}
    for cost in costs:
        shapes.setdefault((cost.frames, cost.width, cost.height), []).append(cost.tokens)
    enough = {shape: tokens for shape, tokens in sorted(shapes.items()) if len(tokens) >= LEAST}
    return next(chain(_too_few(enough, model), _no_more(enough)), "")


def _too_few(shapes: Mapping[_Shape, Sequence[int]], model: str) -> Iterator[str]:
    """Prompts that took less than their frames alone should by the rule of the model's family."""
    for (frames, width, height), tokens in shapes.items():
        due = tokens_served(model, frames=frames, height=height, width=width) if model else None
        if due is not None and median(tokens) < SHARE * due:
            yield (
                f"{plural(len(tokens), 'question')} with {frames} frames of {width}x{height} pixels took "
                f"{median(tokens):,.0f} tokens each, and the frames alone are {due:,} of {model}"
            )


def _no_more(shapes: Mapping[_Shape, Sequence[int]]) -> Iterator[str]:
    """Prompts that took no more than others with fewer frames of the same size."""
    for (few, width, height), low in shapes.items():
        for (many, *size), high in shapes.items():
            if [width, height] == size and many >= MORE * few and median(high) <= median(low):
                yield (
                    f"questions with {many} frames of {width}x{height} pixels took {median(high):,.0f} tokens each, "
                    f"those with {few} took {median(low):,.0f}"
                )
