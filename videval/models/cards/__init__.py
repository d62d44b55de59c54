"""The published checkpoints as data: a TOML file for each family, its models named as the hub names them.

A file has `family` (the `model_type` of config.json), `shared` (what all its models have) and `models`. Their keys are
the fields of a ModelSpec, and `aliases`: what VLMEvalKit calls the same model. `processor`: the settings of their
processors by which tokens are counted where a checkpoint's own files are not here. Comments say where numbers are from.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from videval.models.families import Family, family_of
from videval.plain import Unreadable, restored
from videval.types import ModelSpec

__all__ = ["ADAPTER", "ModelCard", "cards", "family_facts", "processors", "read_family"]

ADAPTER = "hf_chat"
HUB = "https://huggingface.co/"
KEYS = frozenset({"family", "processor", "shared", "models"})


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCard:
    """A published checkpoint, and the other names that it goes by."""

    spec: ModelSpec
    aliases: tuple[str, ...] = ()


@cache
def cards() -> Mapping[str, ModelCard]:
    """Every published checkpoint by its name on the hub, family by family."""
    return {c.spec.name: c for name, text in _texts().items() for c in read_family(name, text)}


@cache
def processors() -> Mapping[str, Mapping[str, Any]]:
    """What the processors of a family's published checkpoints do, by the names that their files have for it."""
    read = map(tomllib.loads, _texts().values())
    return {data["family"]: data.get("processor", {}) for data in read}


def _texts() -> dict[str, str]:
    found = sorted((f for f in files(__name__).iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    return {file.name: file.read_text(encoding="utf-8") for file in found}


def read_family(file: str, text: str) -> list[ModelCard]:
    """The checkpoints of one file. Raises ValueError, naming it, for what is no TOML and for a key that has no use."""
    try:
        data = tomllib.loads(text)
        unknown = data.keys() - KEYS
        if unknown:
            raise ValueError(f"unknown key {', '.join(sorted(unknown))}")
        return list(_cards(data))
    except Unreadable as error:
        raise ValueError(f"{file}: unknown or missing key {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file}: {error}") from error


def family_facts(model_type: str) -> dict[str, Any]:
    """What a spec says of its family: its name, how and beside what it is shown a clip, and whether it takes limits in
    pixels."""
    family = family_of(model_type) or Family()
    shown = {"form": family.form, "clips": family.videos, "images": family.mixed}
    return {"family": model_type, "resizes": bool(family.pixels), **shown}


def _cards(data: Mapping[str, Any]) -> Iterator[ModelCard]:
    for model in data["models"]:
        about = {**data.get("shared", {}), **model}
        aliases = tuple(about.pop("aliases", ()))
        name = about["name"]
        own = {"adapter": ADAPTER, "checkpoint": name, "source": HUB + name, **family_facts(data["family"])}
        yield ModelCard(spec=restored(ModelSpec, {**own, **about}), aliases=aliases)
