"""Where a model's files lie and whether they are all there; reads names, JSON and headers, and loads nothing."""

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from videval.errors import ModelUnavailable
from videval.types import ModelSpec

__all__ = [
    "OBJECT",
    "checkpoint_folder",
    "checkpoint_source",
    "download_line",
    "here",
    "missing_files",
    "model_type_of",
    "read_json",
    "require_checkpoint",
    "require_settings",
    "weight_files",
]

PACKAGED = "package:"
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
PROCESSOR = ("processor_config.json", "preprocessor_config.json")
TOKENIZER = ("tokenizer.json", "tokenizer.model", "vocab.json")
SETTINGS = (*PROCESSOR, "video_preprocessor_config.json", "tokenizer_config.json", "generation_config.json")
"""JSON files that transformers passes over or stumbles on where they are cut."""
INDEX = "model.safetensors.index.json"
WEIGHTS = "model.safetensors"
OBJECT = "object"
"""The adapter of models that are objects of their user's: nobody loads them, and they have no checkpoint."""


def checkpoint_folder(spec: ModelSpec) -> Path | None:
    """The folder of a checkpoint on this machine; None for one that is named by its Hugging Face id."""
    if spec.checkpoint.startswith(PACKAGED):
        return Path(str(files("videval.models"))) / spec.checkpoint.removeprefix(PACKAGED)
    path = Path(spec.checkpoint)
    return path if path.is_absolute() else None


def here(spec: ModelSpec) -> Path | None:
    """The folder of a checkpoint as far as this machine has it, of one of the hub its snapshot in the hub's cache."""
    folder = checkpoint_folder(spec)
    if folder is not None or spec.adapter == OBJECT:
        return folder
    from huggingface_hub import constants

    if not (Path(constants.HF_HUB_CACHE) / f"models--{spec.checkpoint.replace('/', '--')}").is_dir():
        return None  # known without the library's other half, which takes longer to import than all that is done here
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(spec.checkpoint, "config.json", revision=spec.revision or None)
    return Path(found).parent if isinstance(found, str) else None


def checkpoint_source(spec: ModelSpec) -> str:
    """What `from_pretrained` takes: a complete folder, or a Hugging Face id."""
    folder = checkpoint_folder(spec)
    if folder is None:
        return spec.checkpoint
    require_checkpoint(folder)
    return str(folder)


def download_line(spec: ModelSpec) -> str:
    """The command that fetches a checkpoint of the hub."""
    which = f" --revision {spec.revision}" if spec.revision not in ("", "main") else ""
    return f"hf download {spec.checkpoint}{which}"


def read_json(path: Path) -> Mapping[str, Any]:
    """A JSON file of a checkpoint; empty if it is not there. Raises ModelUnavailable for one that cannot be read."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"{path} cannot be read: {error}", hint="was it copied whole?") from error
    if not isinstance(data, dict):
        raise ModelUnavailable(f"{path} cannot be read: it is no table of settings", hint="was it copied whole?")
    return data


def model_type_of(folder: Path) -> str:
    """The architecture that config.json names; empty if it names none."""
    return str(read_json(folder / "config.json").get("model_type", ""))


def require_checkpoint(folder: Path) -> None:
    """Raise ModelUnavailable, naming what is missing, unless `folder` holds a checkpoint in safetensors."""
    if not folder.is_dir():
        raise ModelUnavailable(f"{folder} is not a folder", hint="name the folder that holds config.json")
    missing = missing_files(folder)
    if not missing:
        return
    if any((folder / name).exists() for name in PICKLED) and not any(folder.glob("*.safetensors")):
        hint = "its weights are pickled, which videval does not load: save them as safetensors"
    else:
        hint = "point at a folder written by save_pretrained of the model and of its processor"
    raise ModelUnavailable(f"{folder} is not a complete checkpoint: no {', no '.join(missing)}", hint=hint)


def require_settings(folder: Path) -> None:
    """Raise ModelUnavailable for a file of settings that is cut: without it a model would answer otherwise."""
    for name in SETTINGS:
        read_json(folder / name)


def missing_files(folder: Path) -> list[str]:
    """What a checkpoint must have and this one has not; raises ModelUnavailable for an index that is none."""
    alternatives = (("config.json",), PROCESSOR, TOKENIZER)
    absent = [" or ".join(names) for names in alternatives if not any((folder / n).is_file() for n in names)]
    return absent + [f"{name} (weights)" for name in weight_files(folder) if not (folder / name).is_file()]


def weight_files(folder: Path) -> dict[str, list[str]]:
    """The files of the weights, with the tensors that the index expects in each (none known without an index)."""
    index = folder / INDEX
    if not index.is_file():
        return {WEIGHTS: []}
    shards: dict[str, list[str]] = {}
    try:
        for tensor, shard in json.loads(index.read_text(encoding="utf-8"))["weight_map"].items():
            shards.setdefault(shard, []).append(tensor)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ModelUnavailable(f"{index} is not an index of weights: {error}", hint="was it copied whole?") from error
    return dict(sorted(shards.items()))
