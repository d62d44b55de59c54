"""What every adapter over Hugging Face transformers needs: devices, loading, and what torch raises in words."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch
from huggingface_hub import try_to_load_from_cache
from safetensors import SafetensorError
from transformers import AutoConfig
from transformers.utils import logging

from videval.errors import ModelFailure, ModelUnavailable, OutOfMemory, ProcessDied, VidevalError
from videval.models.checkpoints import (
    checkpoint_folder,
    checkpoint_source,
    download_line,
    here,
    require_settings,
)
from videval.types import ModelSpec

__all__ = [
    "explained_load",
    "explained_run",
    "free_share",
    "give_memory_back",
    "load_config",
    "load_processor",
    "load_weights",
    "neutraliser",
    "only_device",
    "placing",
    "provenance",
    "require_architecture",
    "require_dtype",
    "use_device",
]

TOLD = (OSError, ValueError, RuntimeError, SafetensorError)
"""What transformers raises with a message for people."""
CPU_OUT_OF_MEMORY = ("not enough memory", "can't allocate memory")
NOT_ALL_ON_DEVICES = ("offloaded to the disk", "dispatched on the CPU or the disk")
"""What transformers says where the weights are more than the devices hold."""
SHARE = 0.2
"""Of the memory that is free beside the weights, for what is kept of clips; the rest is for what is being generated."""
BFLOAT16_SINCE = (8, 0)
"""The compute capability of the first GPUs with bfloat16 (Ampere); torch emulates it on older ones, far slower."""


def use_device(device: str) -> torch.device:
    """The device, checked to be there; on the CPU one thread, unless OMP_NUM_THREADS says otherwise."""
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ModelUnavailable(f"unknown device {device!r}", hint="cpu, or cuda:0") from error
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        seen = os.environ.get("CUDA_VISIBLE_DEVICES", "unset")
        raise ModelUnavailable(
            f"{device}: torch sees {torch.cuda.device_count()} GPU(s) (CUDA_VISIBLE_DEVICES is {seen})",
            hint="see: nvidia-smi; or use VIDEVAL_DEVICES=cpu:0",
        )
    if found.type == "cpu" and not os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(1)
    return found


def only_device(spec: ModelSpec, devices: Sequence[str]) -> str:
    """The one device that a model is loaded on; ModelUnavailable if it was given another number of them."""
    if len(devices) != 1:
        raise ModelUnavailable(
            f"{spec.adapter} loads a model on one device, not on {len(devices)} ({', '.join(devices) or 'none'})",
            hint="name the devices one by one: VIDEVAL_DEVICES=0,1",
        )
    return devices[0]


def require_dtype(dtype: str, devices: Sequence[torch.device]) -> None:
    """Raise ModelUnavailable if a GPU does not compute in this dtype."""
    for device in devices:
        if dtype == "bfloat16" and device.type == "cuda" and torch.cuda.get_device_capability(device) < BFLOAT16_SINCE:
            raise ModelUnavailable(
                f"{torch.cuda.get_device_name(device)} does not compute in bfloat16", hint="add --dtype float16"
            )


@contextmanager
def explained_load(spec: ModelSpec) -> Iterator[None]:
    """Turn what transformers raises while loading into ModelUnavailable with the line that mends it."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _too_large(spec) from error
    except ImportError as error:
        raise ModelUnavailable(f"{spec.name} needs a package: {_first_line(error)}", hint=_install(error)) from error
    except VidevalError:
        raise
    except Exception as error:  # its files may hold anything, and make transformers raise anything
        if any(sign in str(error) for sign in (*CPU_OUT_OF_MEMORY, *NOT_ALL_ON_DEVICES)):
            raise _too_large(spec) from error
        said = (
            _first_line(error) if isinstance(error, TOLD) else f"{type(error).__name__}: {' '.join(str(error).split())}"
        )
        raise ModelUnavailable(f"{spec.name} cannot be loaded: {said}", hint=_mends(spec, error)) from error


def load_config(spec: ModelSpec) -> Any:
    """The checkpoint's config."""
    return AutoConfig.from_pretrained(checkpoint_source(spec), **_told(spec))


def require_architecture(spec: ModelSpec, model_type: str) -> None:
    """Raise ModelUnavailable if the checkpoint's config names another architecture."""
    found = load_config(spec).model_type
    if found != model_type:
        raise ModelUnavailable(
            f"{spec.checkpoint} is a {found}, not a {model_type}", hint=f"{spec.adapter} loads {model_type} only"
        )


def load_processor(cls: Any, spec: ModelSpec) -> Any:
    """The checkpoint's processor."""
    return cls.from_pretrained(checkpoint_source(spec), **_told(spec))


def load_weights(cls: Any, spec: ModelSpec, *, dtype: str, devices: Sequence[torch.device]) -> Any:
    """The model on its device or spread over several, from safetensors only.

    ModelUnavailable if a weight is absent or has another shape: transformers fills in random numbers for it, and such
    a model would answer, and its scores mean nothing. So it is if the devices are too small for it.
    """
    logging.disable_progress_bar()
    model, found = cls.from_pretrained(
        checkpoint_source(spec),
        dtype=getattr(torch, dtype),
        use_safetensors=True,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # which are named below
        **placing(devices),
        **({"attn_implementation": spec.attention} if spec.attention else {}),
        **_told(spec),
    )
    if (folder := here(spec)) is not None:
        require_settings(folder)
    absent = sorted([*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])])
    if absent:
        raise ModelUnavailable(
            f"{spec.name}: {len(absent)} of its weights are absent or misshapen, the first {absent[0]}",
            hint="the checkpoint was saved from another architecture or is incomplete",
        )
    if {"cpu", "disk"} & set(map(str, getattr(model, "hf_device_map", {}).values())) and devices[0].type != "cpu":
        raise _too_large(spec)
    return model.eval()


def placing(devices: Sequence[torch.device]) -> dict[str, Any]:
    """How `from_pretrained` lays the weights out: all on one device, or layer by layer over several GPUs."""
    if len(set(devices)) == 1:
        return {"device_map": {"": devices[0]}}
    free = {device.index or 0: torch.cuda.mem_get_info(device)[0] for device in devices}
    return {"device_map": "auto", "max_memory": free}


def free_share(model: Any) -> int:
    """The bytes that may be kept of clips beside a model: a share of what is free on its devices.

    On the CPU of its part of it, as there may be a worker for each core.
    """
    devices = {weights.device for weights in model.parameters()}
    gpus = [device for device in devices if device.type == "cuda"]
    if gpus:
        return int(SHARE * sum(torch.cuda.mem_get_info(device)[0] for device in gpus))
    return int(SHARE * psutil.virtual_memory().available / (os.cpu_count() or 1))


def give_memory_back(device: torch.device) -> None:
    """Free what torch holds without need."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def provenance(spec: ModelSpec, *, dtype: str, device: torch.device) -> dict[str, str]:
    """What answers depend on besides the prompt."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    about = {"adapter": spec.adapter, "checkpoint": spec.checkpoint, "dtype": dtype, "device": name}
    libraries = {library: version(library) for library in ("torch", "torchvision", "transformers", "tokenizers")}
    commit = _commit(spec)
    return about | ({"commit": commit} if commit else {}) | libraries


def neutraliser(special_tokens: Sequence[str]) -> Callable[[str], str]:
    """A function that puts a space into every special token of a text, so that it is read as the words it is.

    Else `<video>` in a question would be one more place for a video, and `</s>` the end of the prompt.
    """
    longest_first = sorted((t for t in special_tokens if len(t) > 1), key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
    return lambda text: pattern.sub(lambda token: f"{token[0][0]} {token[0][1:]}", text)


@contextmanager
def explained_run(device: torch.device, what: str) -> Iterator[None]:
    """Turn what torch raises while generating into OutOfMemory or ModelFailure.

    A broken CUDA context is ProcessDied: nothing that follows in this process would work, so whoever owns it ends it.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _out_of_memory(device, what) from error
    except torch.AcceleratorError as error:
        raise ProcessDied(f"the device broke at {what}: {_first_line(error)}") from error
    except RuntimeError as error:
        if any(sign in str(error) for sign in CPU_OUT_OF_MEMORY):
            raise _out_of_memory(device, what) from error
        raise ModelFailure(f"the model raised on {what}: {_first_line(error)}") from error
    except (ValueError, IndexError) as error:
        raise ModelFailure(f"the model raised on {what}: {_first_line(error)}") from error


def _out_of_memory(device: torch.device, what: str) -> OutOfMemory:
    if device.type != "cuda":
        return OutOfMemory(f"out of memory on the CPU at {what}")
    give_memory_back(device)
    free, total = (n / 2**30 for n in torch.cuda.mem_get_info(device))
    return OutOfMemory(f"out of memory on {device} at {what}: {free:.1f} of {total:.1f} GiB are free without it")


def _commit(spec: ModelSpec) -> str:
    """The commit of a checkpoint in the Hugging Face cache: the name of its snapshot's folder."""
    if checkpoint_folder(spec) is not None:
        return ""
    config = try_to_load_from_cache(spec.checkpoint, "config.json", revision=spec.revision or None)
    return Path(config).parent.name if isinstance(config, str) else ""


def _told(spec: ModelSpec) -> dict[str, Any]:
    """What `from_pretrained` is told of the files; code of a checkpoint runs only if the spec says so.

    That it may not is said too: transformers would else ask for it on the terminal.
    """
    revision = {} if checkpoint_folder(spec) is not None or not spec.revision else {"revision": spec.revision}
    return revision | {"trust_remote_code": spec.trust_remote_code}


def _mends(spec: ModelSpec, error: Exception) -> str:
    """The line that mends what kept a checkpoint from loading."""
    if "trust_remote_code" in str(error):
        return "read the checkpoint's code, then add --trust-remote-code"
    if "does not recognize this architecture" in str(error):
        return "pip install --upgrade transformers"
    if "gated repo" in str(error):
        return f"accept its terms at https://huggingface.co/{spec.checkpoint}, then: hf auth login"
    if "not a valid model identifier" in str(error):
        return f"is the name right, and yours to read? https://huggingface.co/{spec.checkpoint}; hf auth whoami"
    if checkpoint_folder(spec) is None:
        return download_line(spec)
    return "point at a folder written by save_pretrained of the model and of its processor"


def _install(error: ImportError) -> str:
    """The line that installs what an ImportError misses; transformers names it in its message."""
    told = r"pip install (?:-U |--upgrade )?([\w.\-\[\]]+)|package `?([\w.\-]+)"
    named = re.search(told, str(error))
    package = (named[1] or named[2]) if named else error.name
    return f"pip install {package}" if package else "install the package that it names"


def _too_large(spec: ModelSpec) -> ModelUnavailable:
    return ModelUnavailable(
        f"{spec.name}: its devices have too little free memory for its weights",
        hint="a larger group of devices (--devices 0+1), or see what else runs there: nvidia-smi",
    )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
