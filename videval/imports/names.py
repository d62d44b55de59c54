"""Of which model and variant a result file is: by its name, as VLMEvalKit names files; by its card; by its columns."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from videval.benchmarks.catalog import TABLE, benchmark_names, find_benchmark, parse_variant
from videval.datasets.prepare import locate
from videval.errors import DataMissing, UnknownName, UsageError
from videval.imports.rows import ResultFile
from videval.models.catalog import model_spec
from videval.options import Asked
from videval.settings import Settings
from videval.types import GenerationSettings, Pixels

__all__ = ["asked_of", "known_model"]

_RANK = re.compile(r"\d{2,}_(?=.)")
_ENDS = re.compile(r"(_PREV|_supp)+$")


def asked_of(file: ResultFile, given: Asked, settings: Settings, *, unknown_model: bool = False) -> Asked:
    """What was asked for, so that these are its answers: as the user says, else as the file does. UsageError if
    neither says it. `unknown_model`: a name that is no model's will do."""
    by_name = _of_name(file)
    if file.card is not None:
        return _of_card(file.card, given)
    what = given.what if given.what or given.data else by_name[1]
    if what is None and given.data is None:
        raise UsageError(f"{file.name}: {_by_columns(file, settings)}", hint="--benchmark MVBench_8frame, say")
    named = by_name[0] or file.folder.replace("__", "/")  # lmms-eval names the folder after the model
    model = given.model or known_model(named) or (by_name[0] if unknown_model else None)
    if not model:
        said = f"no model is called {by_name[0]!r}" if by_name[0] else "its name does not say of which model it is"
        more = "any name beside --unknown-model" if unknown_model else "or to compare it only: --unknown-model"
        hint = f"--model NAME (videval list models), {more}"
        raise UsageError(f"{file.name}: {said}", hint=hint)
    return replace(given, what=what, model=model)


def _of_name(file: ResultFile) -> tuple[str, str | None]:
    """The model's and the variant's name of MODEL_VARIANT; nothing if no variant is in it."""
    path = Path(file.name)
    stem = _ENDS.sub("", path.stem)
    if path.suffix == ".pkl":
        stem = _RANK.sub("", stem, count=1)
    places = [i for i, sign in enumerate(stem) if sign == "_" and i]
    for at in places:
        try:
            return stem[:at], parse_variant(stem[at + 1 :]).name
        except UsageError:
            continue
    return "", None


def known_model(name: str) -> str | None:
    """The name, if it is a model's."""
    try:
        return model_spec(name).name if name else None
    except (UnknownName, UsageError):
        return None


def _of_card(card: Mapping[str, Any], given: Asked) -> Asked:
    """The order that an export of ours was made by, as far as options can say it; what the user says counts."""
    said: dict[str, Any] = {name: card.get(f"generation.{name}") for name in _names(GenerationSettings)}
    said |= {name: card.get(f"model.pixels.{name}") for name in _names(Pixels)}
    said |= {"prompts": card.get("benchmark.prompts"), "dtype": card.get("model.dtype") or "auto"}
    said |= {"max_pixels": card.get("frames.max_pixels") or said["max_pixels"], "recipe": card.get("recipe.name")}
    said |= {"attention": card.get("model.attention") or None, "stop": _texts(card.get("generation.stop"))}
    said |= {"what": None if given.data else card.get("benchmark.variant"), "model": card.get("model.name")}
    if card.get("benchmark.name") == TABLE and given.data is None:
        raise UsageError("an export of a run on a table", hint="--data questions.tsv --frames 8, as the run had it")
    own = {f.name: getattr(given, f.name) for f in fields(Asked) if getattr(given, f.name) != f.default}
    own = {name: value for name, value in own.items() if value is not None}
    return replace(given, **{name: value for name, value in (said | own).items() if value is not None})


def _names(kind: type[Any]) -> Sequence[str]:
    known = {f.name for f in fields(Asked)}
    return [f.name for f in fields(kind) if f.name in known]


def _texts(stop: Any) -> tuple[str, ...] | None:
    """Texts as a card has them: a list, or in a workbook its JSON."""
    if isinstance(stop, str):
        stop = re.findall(r'"((?:[^"\\]|\\.)*)"', stop)
    return tuple(map(str, stop)) if stop else None


def _by_columns(file: ResultFile, settings: Settings) -> str:
    """What the columns tell where the name does not: the benchmark, but not how many frames were shown."""
    likely = [name for name in benchmark_names() if _has_columns(name, file.columns, settings)]
    if not likely:
        return "neither its name nor its columns say of which benchmark it is"
    shown = [v for name in likely for v in find_benchmark(name).published] or likely
    return f"by its columns it is of {' or '.join(likely)}, but with how many frames? One of {', '.join(shown)}"


def _has_columns(name: str, columns: Sequence[str], settings: Settings) -> bool:
    """Whether a benchmark that is on this machine has just these columns, beside the answers."""
    bench = find_benchmark(name)
    root = locate(bench, settings)
    if root is None:
        return False
    try:
        first = bench.load(root, bench.variant(num_frames=8))[0]
    except (UsageError, DataMissing):
        return False
    return set(first.row) == set(columns) - {"prediction"}
