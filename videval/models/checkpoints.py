"""Where a model's files lie and whether they are all there; looks at names only and loads nothing."""

import json
from importlib.resources import files
from pathlib import Path

from videval.errors import ModelUnavailable
from videval.types import ModelSpec

__all__ = ["checkpoint_folder", "checkpoint_source", "require_checkpoint"]

PACKAGED = "package:"
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
PROCESSOR = ("processor_config.json", "preprocessor_config.json")
TOKENIZER = ("tokenizer.json", "tokenizer.model")
INDEX = "model.safetensors.index.json"


def checkpoint_folder(spec: ModelSpec) -> Path | None:
    """The folder of a checkpoint on this machine; None for one that is named by its Hugging Face id."""
    if spec.checkpoint.startswith(PACKAGED):
        return Path(str(files("videval.models"))) / spec.checkpoint.removeprefix(PACKAGED)
    path = Path(spec.checkpoint)
    return path if path.is_absolute() else None


def checkpoint_source(spec: ModelSpec) -> str:
    """What `from_pretrained` takes: a complete folder, or a Hugging Face id."""
    folder = checkpoint_folder(spec)
    if folder is None:
        return spec.checkpoint
    require_checkpoint(folder)
    return str(folder)


def require_checkpoint(folder: Path) -> None:
    """Raise ModelUnavailable, naming what is missing, unless `folder` holds a checkpoint in safetensors."""
    if not folder.is_dir():
        raise ModelUnavailable(f"{folder} is not a folder", hint="name the folder that holds config.json")
    missing = _missing(folder)
    if not missing:
        return
    if any((folder / name).exists() for name in PICKLED) and not any(folder.glob("*.safetensors")):
        hint = "its weights are pickled, which videval does not load: save them as safetensors"
    else:
        hint = "point at a folder written by save_pretrained of the model and of its processor"
    raise ModelUnavailable(f"{folder} is not a complete checkpoint: no {', no '.join(missing)}", hint=hint)


def _missing(folder: Path) -> list[str]:
    alternatives = (("config.json",), PROCESSOR, TOKENIZER)
    absent = [" or ".join(names) for names in alternatives if not any((folder / n).is_file() for n in names)]
    return absent + _missing_weights(folder)


def _missing_weights(folder: Path) -> list[str]:
    index = folder / INDEX
    if not index.is_file():
        return [] if (folder / "model.safetensors").is_file() else ["model.safetensors (weights)"]
    try:
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ModelUnavailable(f"{index} is not an index of weights: {error}") from error
    return sorted(f"{shard} (weights)" for shard in shards if not (folder / shard).is_file())
