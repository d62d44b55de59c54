"""What would keep a model from answering, said before a worker tries: of a checkpoint from its names, JSON and headers
alone, of an endpoint without asking it.

What this machine does not have of it is no trouble while the hub can be asked: the first worker fetches it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from videval.errors import ModelUnavailable
from videval.models.checkpoints import (
    PICKLED,
    checkpoint_folder,
    download_line,
    here,
    missing_files,
    read_json,
    require_settings,
    weight_files,
)
from videval.models.endpoints import endpoint_of, key_of
from videval.models.families import family_of
from videval.models.headers import what_is_cut
from videval.models.on_vllm import ADAPTER as VLLM
from videval.models.on_vllm import INSTALL
from videval.types import ModelSpec

__all__ = ["Trouble", "refuse_troubles", "troubles"]

ONE_ARCHITECTURE: Mapping[str, str] = {"video_llava": "video_llava"}
"""Adapter -> the only `model_type` that it loads."""
OF_TEMPLATES = frozenset({"hf_chat", "vllm"})
"""Adapters that ask by the checkpoint's own chat template."""
OF_HUGGING_FACE = frozenset({*OF_TEMPLATES, *ONE_ARCHITECTURE})
"""Adapters whose checkpoints have the form that is looked at here."""
SEES = ("vision", "vit_", "image_token", "video_token", "thinker")
"""How keys of config.json begin, of a model that is shown something."""
TEMPLATES = ("chat_template.jinja", "chat_template.json")
TEMPLATE_HOLDERS = ("tokenizer_config.json", "processor_config.json")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """What is wrong with a checkpoint, and the line that mends it; one that is not `fatal` is only to be known."""

    says: str
    mend: str = ""
    fatal: bool = True

    def in_words(self, spec: ModelSpec) -> str:
        """In one line, with the model's name."""
        return f"{spec.name}: {self.says}" + (f" -> {self.mend}" if self.mend else "")


def refuse_troubles(spec: ModelSpec) -> list[str]:
    """Raise ModelUnavailable for what keeps it from answering; else what is to be known of it, in words."""
    found = troubles(spec)
    for trouble in found:
        if trouble.fatal:
            raise ModelUnavailable(f"{spec.name}: {trouble.says}", hint=trouble.mend)
    return [trouble.in_words(spec) for trouble in found]


def troubles(spec: ModelSpec) -> list[Trouble]:
    """All that is wrong with a model's checkpoint as far as it is on this machine, the most telling first; of a model
    at an endpoint, with its entry and key."""
    try:
        if spec.remote is not None:
            key_of(endpoint_of(spec))
        if spec.adapter not in OF_HUGGING_FACE:
            return []
        folder = here(spec)
        if folder is None:
            return [*_of_engine(spec), _absent(spec)]
        is_own = checkpoint_folder(spec) is not None
        require_settings(folder)
        return [*_of_engine(spec), *_of_config(spec, folder), *_of_files(spec, folder, is_own=is_own)]
    except ModelUnavailable as error:
        return [Trouble(says=str(error), mend=error.hint)]


def _of_engine(spec: ModelSpec) -> Iterator[Trouble]:
    """The package that is to answer for it."""
    if spec.adapter == VLLM and find_spec("vllm") is None:
        yield Trouble(says="vLLM is not installed here", mend=f"{INSTALL}, or leave --use-vllm out")


def _is_offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def _absent(spec: ModelSpec) -> Trouble:
    what = f"{spec.checkpoint} at {spec.revision or 'main'}"
    if _is_offline():
        return Trouble(
            says=f"{what} is not in this machine's cache, and HF_HUB_OFFLINE forbids to fetch it",
            mend=f"HF_HUB_OFFLINE=0 {download_line(spec)}",
        )
    size = f" ({spec.weights_gb:.0f} GB)" if spec.weights_gb else ""
    return Trouble(
        says=f"{what} is not here yet, the first worker fetches it{size}", mend=download_line(spec), fatal=False
    )


def _of_config(spec: ModelSpec, folder: Path) -> Iterator[Trouble]:
    """What config.json says against it."""
    config = read_json(folder / "config.json")
    model_type, only = str(config.get("model_type", "")), ONE_ARCHITECTURE.get(spec.adapter)
    if not (folder / "config.json").is_file():
        return
    if not model_type:
        yield Trouble(says="its config.json names no architecture (model_type)", mend="was it copied whole?")
    elif only is not None and model_type != only:
        yield Trouble(
            says=f"it is a {model_type}, and the adapter {spec.adapter} loads {only} only",
            mend=f"hf_chat:{spec.checkpoint}",
        )
    elif not _is_native(model_type):
        yield from _foreign(spec, config, model_type)
    elif not _sees(config, model_type):
        yield Trouble(says=f"it is a {model_type}, which is shown nothing: it takes no video", mend="another model")


def _foreign(spec: ModelSpec, config: Mapping[str, Any], model_type: str) -> Iterator[Trouble]:
    """An architecture that the installed transformers has no class for."""
    if "auto_map" not in config:
        known = "your transformers is older than it" if family_of(model_type) else "your transformers does not know it"
        yield Trouble(
            says=f"its architecture is {model_type}, and {known}",
            mend="pip install --upgrade transformers",
        )
    elif not spec.trust_remote_code:
        yield Trouble(
            says=f"it needs code that comes with it ({model_type}), which is not run unless you say so",
            mend="read its code, then --trust-remote-code; or the same model in the form of transformers (-hf)",
        )


def _is_native(model_type: str) -> bool:
    """Whether the installed transformers has classes for an architecture; known by its folder, since to import
    transformers takes seconds."""
    library = find_spec("transformers")
    folders = library.submodule_search_locations if library and library.submodule_search_locations else ()
    name = model_type.replace("-", "_")
    return name.isidentifier() and any((Path(folder) / "models" / name).is_dir() for folder in folders)


def _sees(config: Mapping[str, Any], model_type: str) -> bool:
    return family_of(model_type) is not None or any(key.startswith(SEES) for key in config)


def _of_files(spec: ModelSpec, folder: Path, *, is_own: bool) -> Iterator[Trouble]:
    """What is missing or cut. Of a checkpoint in the hub's cache, missing files are fetched if the hub may be asked."""
    missing = missing_files(folder)
    fetched = not is_own and not _is_offline()
    if any((folder / name).exists() for name in PICKLED) and not any(folder.glob("*.safetensors")):
        yield Trouble(says="its weights are pickled, which videval does not load", mend="save them as safetensors")
    elif missing:
        mend = "was it copied whole?" if is_own else download_line(spec)
        yield Trouble(says=f"it is not all here: no {', no '.join(missing)}", mend=mend, fatal=not fetched)
    if spec.adapter in OF_TEMPLATES and not _has_template(folder) and not (fetched and missing):
        yield Trouble(
            says="it has no chat template: it is a base model, or the template was not copied",
            mend=f"an instruct model, or put {TEMPLATES[0]} into {folder}",
        )
    for name, tensors in weight_files(folder).items():
        if (folder / name).is_file() and (cut := what_is_cut(folder / name, tensors)):
            yield Trouble(says=f"its weights are cut short: {cut}", mend=_again(spec, name, is_own=is_own))


def _has_template(folder: Path) -> bool:
    if any(_has_text(folder / name) for name in TEMPLATES) or (folder / "chat_templates").is_dir():
        return True
    return any(read_json(folder / name).get("chat_template") for name in TEMPLATE_HOLDERS)


def _has_text(path: Path) -> bool:
    return path.is_file() and bool(path.read_bytes().strip())


def _again(spec: ModelSpec, name: str, *, is_own: bool) -> str:
    return f"copy {name} again" if is_own else f"{download_line(spec)} --force-download"
