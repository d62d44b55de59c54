"""Finds benchmarks, models' adapters and scorers by name, importing a module only when its name is asked for.

Third parties add theirs by the entry-point groups `videval.benchmarks`, `videval.models` and `videval.scorers`.
"""

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from videval.errors import UnknownName

__all__ = ["ADAPTERS", "SCORERS", "load", "names", "resolve"]

ADAPTERS: Mapping[str, str] = {
    "fake": "videval.models.fake:load",
    "fake_api": "videval.models.fake_server:load",
    "fake_server": "videval.models.fake_server:load",
    "hf_chat": "videval.models.hf_chat:load",
    "openai_api": "videval.models.openai_api:load",
    "video_llava": "videval.models.video_llava:load",
    "vllm": "videval.models.vllm_engine:load",
    "vlmevalkit": "videval.models.vlmevalkit.adapter:load",
}
"""Model adapter -> the function `load(spec, *, devices, dtype) -> Model | Server`; modules here may import torch."""

SCORERS: Mapping[str, str] = {
    "choice": "videval.scorers.choice:ChoiceScorer",
    "letter": "videval.scorers.choice:LetterScorer",
    "yes_no": "videval.scorers.exact:YesNoScorer",
    "exact": "videval.scorers.exact:ExactScorer",
    "number": "videval.scorers.exact:NumberScorer",
    "words": "videval.scorers.choice:WordsScorer",
    "final_choice": "videval.scorers.choice:FinalChoiceScorer",
    "open_answer": "videval.scorers.open_answer:OpenAnswerScorer",
}
"""Scorer name -> its class."""


def resolve(target: str) -> Any:
    """Import what `module:attribute` names."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


@cache
def _plugins(group: str) -> dict[str, Callable[[], Any]]:
    return {ep.name: ep.load for ep in entry_points(group=f"videval.{group}")}


def names(group: str, builtin: Mapping[str, str]) -> list[str]:
    """All registered names of a group, sorted."""
    return sorted({*builtin, *_plugins(group)})


def load(what: str, group: str, builtin: Mapping[str, str], name: str) -> Any:
    """The object registered as `name`; UnknownName with close matches if there is none."""
    if name in builtin:
        return resolve(builtin[name])
    if name in _plugins(group):
        return _plugins(group)[name]()
    raise UnknownName(what, name, names(group, builtin))
