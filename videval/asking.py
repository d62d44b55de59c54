"""What a request asks about its samples, and what is read in the answer: one question, or a pack of them.

A request's key says which it is: `sample:ID` asks one sample, `pack:...` all samples that show the same clips. Nobody
else looks into keys. What is read is pure, so that it can be done again without inference.
"""

import json
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Protocol

from videval import registry
from videval.benchmarks.base import Benchmark, Shown
from videval.benchmarks.wording import worded
from videval.packs import read_pack
from videval.plain import plain
from videval.protocols import Scorer
from videval.types import Part, Prediction, PredictionState, Reading, Said, Sample, Score, Verdict, Wording

__all__ = [
    "Asking",
    "One",
    "Pack",
    "asking",
    "is_pack",
    "newer_than",
    "one_by_one",
    "one_key",
    "packed",
    "places_in_packs",
    "rule_scorer",
]

_ONE, _PACK = "sample:", "pack:"
_CUT = "cut off while thinking"
"""What a prediction says of how it was read, where there is no answer to read."""
_REFUSED = "refused by the server"


class Asking(Protocol):
    """How samples are asked about in one request, and how its answer is read."""

    def prompt(self, samples: Sequence[Sample], shown: Shown) -> tuple[Part, ...]:
        """What is said and shown."""

    def read(self, samples: Sequence[Sample], said: Said) -> Reading:
        """A prediction for each sample, and the rule scores of those that a rule can score."""


@dataclass(frozen=True, slots=True)
class One:
    """One question: the whole response is its answer. `wording`: how a recipe puts it, in place of the page."""

    benchmark: Benchmark
    wording: Wording | None = None

    def prompt(self, samples: Sequence[Sample], shown: Shown) -> tuple[Part, ...]:
        """The published prompt of the question."""
        if self.wording:
            return worded(self.wording, self.benchmark, samples[0], shown)
        return self.benchmark.prompt(samples[0], shown)

    def read(self, samples: Sequence[Sample], said: Said) -> Reading:
        """The response as it stands, and its score."""
        state, how = PredictionState.ANSWERED, "response"
        if said.cut_thinking:
            state, how = PredictionState.TRUNCATED, _CUT
        if said.refused:
            state, how = PredictionState.REFUSED, _REFUSED
        found = Prediction(sample_id=samples[0].id, state=state, text=said.text, how=how)
        return _scored(self.benchmark, samples, (found,), said)


@dataclass(frozen=True, slots=True)
class Pack:
    """All questions about the same clips at once: each answer is taken out of the response."""

    benchmark: Benchmark

    def prompt(self, samples: Sequence[Sample], shown: Shown) -> tuple[Part, ...]:
        """The published prompt of all questions."""
        return self.benchmark.pack_prompt(samples, shown)

    def read(self, samples: Sequence[Sample], said: Said) -> Reading:
        """What was taken out of the response, each with its score; of a refused one, nothing."""
        found = read_pack("" if said.refused else said.text, [s.id for s in samples])
        if said.cut_thinking:
            found = tuple(replace(p, how=_CUT) for p in found)
        if said.refused:
            found = tuple(replace(p, state=PredictionState.REFUSED, how=_REFUSED) for p in found)
        return _scored(self.benchmark, samples, found, said)


def asking(key: str, benchmark: Benchmark, wording: Wording | None = None) -> Asking:
    """How the request with this key asks about its samples; `wording`: how a recipe puts single questions."""
    return Pack(benchmark) if is_pack(key) else One(benchmark, wording)


def is_pack(key: str) -> bool:
    """Whether the request with this key asks several questions at once."""
    return key.startswith(_PACK)


def one_key(sample_id: str) -> str:
    """The key of the request that asks a sample alone."""
    return f"{_ONE}{sample_id}"


def one_by_one(samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    """A request for each sample: its samples by its key."""
    return {one_key(sample.id): [sample] for sample in samples}


def packed(samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    """A request for all samples that show the same: its samples by its key, in order.

    The first pack about a video is named after it, as long as videval has packed; others say all that they show.
    """
    packs: dict[str, list[Sample]] = {}
    keys = _Keys()
    for sample in samples:
        packs.setdefault(keys.of(sample), []).append(sample)
    return packs


def places_in_packs(samples: Iterable[Sample]) -> "dict[str, array[int]]":
    """The same, with the places of the samples in place of them."""
    packs: dict[str, array[int]] = {}
    keys = _Keys()
    for place, sample in enumerate(samples):
        packs.setdefault(keys.of(sample), array("L")).append(place)
    return packs


class _Keys:
    """The keys of packs, as their samples come."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}

    def of(self, sample: Sample) -> str:
        """The key of the pack that a sample belongs to."""
        what = _what(sample)
        first = self._first.setdefault(sample.video, what)
        return f"{_PACK}{sample.video if what == first else what}"


def _what(sample: Sample) -> str:
    """All that a sample shows, as text."""
    return json.dumps([[plain(ref) for ref in sample.shown], sample.beside()], sort_keys=True)


@cache
def rule_scorer(name: str) -> Scorer:
    """The scorer of this name; UnknownName if there is none."""
    scorer: Scorer = registry.load("scorer", "scorers", registry.SCORERS, name)()
    return scorer


def _scored(
    benchmark: Benchmark, samples: Sequence[Sample], predictions: tuple[Prediction, ...], said: Said
) -> Reading:
    """With the rule scores; what no rule can score, or was not answered, has none."""
    by_id = {s.id: s for s in samples}
    found = {p.sample_id: _score(benchmark, by_id[p.sample_id], p, said) for p in predictions}
    return Reading(predictions=predictions, scores={name: score for name, score in found.items() if score is not None})


def _score(benchmark: Benchmark, sample: Sample, prediction: Prediction, said: Said) -> Score | None:
    name = benchmark.scorer_for(sample)
    if not name:
        return None
    scorer = rule_scorer(name)
    if said.refused:
        return Score(verdict=Verdict.REFUSED, value=None, scorer=_full_name(scorer))
    if said.cut_thinking:
        return Score(verdict=Verdict.TRUNCATED, value=None, scorer=_full_name(scorer))
    if prediction.state != PredictionState.ANSWERED or prediction.text is None:
        return None
    found = scorer.score(sample, prediction.text)
    return Score(verdict=found.verdict, value=found.value, read=found.read, scorer=_full_name(scorer))


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
