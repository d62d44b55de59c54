"""How many tokens a clip is for a published model that somebody else serves, under the name that it is published by."""

from videval.models.budget import AT_MOST, RULES, processing_of, visual_tokens
from videval.models.cards import cards, processors
from videval.types import Pixels

__all__ = ["tokens_served"]


def tokens_served(model: str, *, frames: int, height: int, width: int) -> int | None:
    """The tokens of so many frames, sent as one video of that size; None for a model of which that is not known."""
    card = cards().get(model) or next((c for c in cards().values() if model in c.aliases), None)
    family = card.spec.family if card else ""
    if family not in RULES or family in AT_MOST:
        return None
    processing = processing_of(family, None, processors().get(family, {}))
    try:
        return visual_tokens(family, processing, Pixels(), frames=frames, height=height, width=width)
    except LookupError:
        return None
