"""What VLMEvalKit's rule paths say of the same answers, so that old and new numbers can be compared.

Written from the behaviour recorded in tests/golden and from reading VLMEvalKit (Apache-2.0, as of 2026); no judge model
is asked (its `exact_matching`). Its mistakes are kept on purpose: see the docstrings. A rule gets a response as it was
said, to the character, and does its own stripping, or none, as there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from videval.scorers.vlmevalkit import mvbench, tempcompass, videomme, videommmu
from videval.types import Sample

__all__ = ["RULES", "Rule"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One of VLMEvalKit's rule paths: the score of a prediction (None: the request failed), the table of all rows.

    The score is 1 right, 0 wrong, -1 what VLMEvalKit calls failed, None where only a judge can tell.
    """

    score: Callable[[Sample, str | None], int | None]
    rating: Callable[[Sequence[Mapping[str, Any]]], Mapping[str, Any]]


RULES: Mapping[str, Rule] = {
    "mvbench": Rule(score=mvbench.mvbench_score, rating=mvbench.mvbench_rating),
    "mvtamperbench": Rule(score=mvbench.mvbench_score, rating=mvbench.tamperbench_rating),
    "mlvu": Rule(score=mvbench.mlvu_score, rating=mvbench.mlvu_rating),
    "videomme": Rule(score=videomme.videomme_score, rating=videomme.videomme_rating),
    "worldsense": Rule(score=videomme.videomme_score, rating=videomme.worldsense_rating),
    "longvideobench": Rule(score=videomme.longvideobench_score, rating=videomme.longvideobench_rating),
    "tempcompass": Rule(score=tempcompass.tempcompass_score, rating=tempcompass.tempcompass_rating),
    "videommmu": Rule(score=videommmu.videommmu_score, rating=videommmu.videommmu_rating),
}
"""What a benchmark's `vlmevalkit` names."""
