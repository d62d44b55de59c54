"""From a response to predictions and rule scores; pure, so that both can be done again without inference."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from videval import registry
from videval.benchmarks.base import Benchmark
from videval.packs import read_pack
from videval.protocols import Scorer
from videval.types import Prediction, PredictionState, Sample, Score

__all__ = ["newer_than", "predict", "rule_scorer", "score"]


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
            said = scorer.score(by_id[p.sample_id], p.text)
            found[p.sample_id] = replace(said, scorer=_full_name(scorer))
    return found


def newer_than(benchmark: Benchmark, stored: str) -> str:
    """The scorer that this videval has in place of one that is stored with its version; empty: it has none newer.

    "rule@1", of before scorers had versions, is the first one of whatever the benchmark's page chooses.
    """
    name, _, version = stored.partition("@")
    own = benchmark.scorer if name == "rule" else name
    if own not in registry.names("scorers", registry.SCORERS):
        return ""
    scorer = rule_scorer(own)
    full = _full_name(scorer)
    return full if int(full.partition("@")[2]) > int(version) else ""


def _full_name(scorer: Scorer) -> str:
    """As scores are stored under it."""
    return f"{scorer.name}@{getattr(scorer, 'version', 1)}"  # a plugin of before scorers had versions has none
