"""What VLMEvalKit calls its models and video datasets, as the installed package says itself.

To ask it takes as long as to import it, so the answer is kept in VIDEVAL_HOME, for the version that gave it.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from videval.errors import UnknownName
from videval.models.vlmevalkit.toolkit import PREFIX, folder, require, toolkit, version
from videval.types import ModelSpec

__all__ = ["ADAPTER", "all_names", "dataset_name", "kept_names", "spec_of"]

ADAPTER = "vlmevalkit"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Names:
    """Model -> whether it takes videos and whether it runs elsewhere; the datasets."""

    models: Mapping[str, tuple[bool, bool]]
    datasets: tuple[str, ...]


def spec_of(name: str) -> ModelSpec:
    """The model that VLMEvalKit calls so. UnknownName with close matches; EnvironmentProblem if it is not here."""
    models = _names(require()).models
    if name not in models:
        raise _unknown("model", name, models)
    takes_videos, is_api = models[name]
    return ModelSpec(
        name=f"{PREFIX}{name}",
        adapter=ADAPTER,
        checkpoint=name,
        revision="",
        form="video" if takes_videos else "frames",
        sound=True,
        needs_device=not is_api,
        told=True,
        note="VLMEvalKit's own model class, which generates as it likes",
    )


def dataset_name(name: str) -> str:
    """As VLMEvalKit writes the name of one of its video datasets: `VideoMME_8frame` is its `Video-MME_8frame`."""
    known = _names(require()).datasets
    if name in known:
        return name
    alike = [own for own in known if _folded(own) == _folded(name)]
    if len(alike) != 1:
        raise _unknown("benchmark", name, known)
    return alike[0]


def all_names() -> tuple[list[str], list[str]]:
    """Models and datasets with the prefix. EnvironmentProblem if VLMEvalKit is not here."""
    return _prefixed(_names(require()))


def kept_names() -> tuple[list[str], list[str]]:
    """Models and datasets with the prefix, as far as they were asked for before; nothing is started for that."""
    found = folder()
    names = _kept(found) if found else None
    return _prefixed(names) if names else ([], [])


def _prefixed(names: _Names) -> tuple[list[str], list[str]]:
    return [f"{PREFIX}{name}" for name in names.models], [f"{PREFIX}{name}" for name in names.datasets]


def _unknown(what: str, name: str, known: Iterable[str]) -> UnknownName:
    error = UnknownName(what, f"{PREFIX}{name}", [f"{PREFIX}{own}" for own in known])
    if not error.close_matches:
        error.hint = f"as VLMEvalKit {version()} names it"
    return error


def _folded(name: str) -> str:
    return re.sub(r"[-_ ]", "", name).casefold()


@cache
def _names(place: Path) -> _Names:
    """As they are kept, else as the package says."""
    kept = _kept(place)
    if kept is not None:
        return kept
    said = toolkit().ask("lists")
    with suppress(OSError):  # it is asked again next time
        _keep(said | {"of": _stamp(place)})
    return _read(said)


def _stamp(place: Path) -> list[str]:
    """What another version, or an edited list of models, is known by."""
    files = (place / "__init__.py", place / "config.py", place / "dataset" / "video_dataset_config.py")
    times = [str(path.stat().st_mtime_ns) if path.is_file() else "" for path in files]
    return [str(place), version(), *times]


def _file() -> Path:
    from videval.settings import Settings  # which the engine's process does without

    return Settings().home_path / "vlmevalkit-names.json"


def _kept(place: Path) -> _Names | None:
    try:
        said = json.loads(_file().read_text(encoding="utf-8"))
        return _read(said) if said["of"] == _stamp(place) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(said: Mapping[str, Any]) -> None:
    path = _file()
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(said), encoding="utf-8")
    draft.replace(path)


def _read(said: Mapping[str, Any]) -> _Names:
    models = {str(name): (bool(kinds[0]), bool(kinds[1])) for name, kinds in said["models"].items()}
    return _Names(models=models, datasets=tuple(map(str, said["datasets"])))
