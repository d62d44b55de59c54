"""From a response to predictions and rule scores; pure, so that both can be done again without inference."""

from collections.abc import Sequence
from functools import cache

from videval import registry
from videval.benchmarks.base import Benchmark
from videval.packs import read_pack
from videval.protocols import Scorer
from videval.types import Prediction, PredictionState, Sample, Score

__all__ = ["predict", "rule_scorer", "score"]


def predict(samples: Sequence[Sample], text: str, *, packed: bool) -> tuple[Prediction, ...]:
    """The answer of each sample: the whole response, or in pack mode what was taken out of it."""
    if packed:
        return read_pack(text, [s.id for s in samples])
    return (Prediction(sample_id=samples[0].id, state=PredictionState.ANSWERED, text=text),)


@cache
def rule_scorer(name: str) -> Scorer:
    """The scorer of this name; UnknownName if there is none."""
    scorer: Scorer = registry.load("scorer", "scorers", registry.SCORERS, name)()
    return scorer


def score(benchmark: Benchmark, samples: Sequence[Sample], predictions: Sequence[Prediction]) -> dict[str, Score]:
    """Rule scores by sample id; what no rule can score, or was not answered, has none."""
    by_id = {s.id: s for s in samples}
    found: dict[str, Score] = {}
    for p in predictions:
        name = benchmark.scorer_for(by_id[p.sample_id])
        scorer = rule_scorer(name) if name else None
        if scorer is not None and p.state == PredictionState.ANSWERED and p.text is not None:
            found[p.sample_id] = scorer.score(by_id[p.sample_id], p.text)
    return found
