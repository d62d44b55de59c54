"""What every adapter over Hugging Face transformers needs: devices, loading, batching, reading answers, memory."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache
from safetensors import SafetensorError
from transformers import AutoConfig, GenerationConfig
from transformers.utils import logging

from videval.errors import ModelFailure, ModelUnavailable, OutOfMemory, ProcessDied
from videval.models.checkpoints import checkpoint_folder, checkpoint_source
from videval.types import Generation, GenerationSettings, ModelSpec

__all__ = [
    "explained_load",
    "explained_run",
    "generation_config",
    "left_padded",
    "load_processor",
    "load_weights",
    "neutraliser",
    "only_device",
    "provenance",
    "read_answer",
    "require_architecture",
    "use_device",
]

CPU_OUT_OF_MEMORY = ("not enough memory", "can't allocate memory")


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


@contextmanager
def explained_load(spec: ModelSpec) -> Iterator[None]:
    """Turn what transformers raises while loading into ModelUnavailable with the line that mends it."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        if checkpoint_folder(spec) is None:
            hint = f"hf download {spec.checkpoint} --revision {spec.revision}"
        else:
            hint = "point at a folder written by save_pretrained of the model and of its processor"
        raise ModelUnavailable(f"{spec.name} cannot be loaded: {_first_line(error)}", hint=hint) from error


def require_architecture(spec: ModelSpec, model_type: str) -> None:
    """Raise ModelUnavailable if the checkpoint's config names another architecture."""
    found = AutoConfig.from_pretrained(checkpoint_source(spec), **_revision(spec)).model_type
    if found != model_type:
        raise ModelUnavailable(
            f"{spec.checkpoint} is a {found}, not a {model_type}", hint=f"{spec.adapter} loads {model_type} only"
        )


def load_processor(cls: Any, spec: ModelSpec) -> Any:
    """The checkpoint's processor."""
    return cls.from_pretrained(checkpoint_source(spec), **_revision(spec))


def load_weights(cls: Any, spec: ModelSpec, *, dtype: str, device: torch.device) -> Any:
    """The model on its device, from safetensors only; ModelUnavailable if a weight is absent or has another shape.

    transformers fills in random numbers for absent weights; such a model would answer, and its scores mean nothing.
    """
    logging.disable_progress_bar()
    model, found = cls.from_pretrained(
        checkpoint_source(spec),
        dtype=getattr(torch, dtype),
        use_safetensors=True,
        output_loading_info=True,
        **_revision(spec),
    )
    absent = sorted(str(name) for key in ("missing_keys", "mismatched_keys") for name in found[key])
    if absent:
        raise ModelUnavailable(
            f"{spec.name}: {len(absent)} of its weights are absent or misshapen, the first {absent[0]}",
            hint="the checkpoint was saved from another architecture or is incomplete",
        )
    return model.to(device).eval()


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


def left_padded(rows: Sequence[torch.Tensor], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids [n] of several lengths as one [batch, longest], pads in front, and the mask (1: not a pad)."""
    longest = max(len(row) for row in rows)
    ids = torch.full((len(rows), longest), pad, dtype=torch.long)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for place, row in enumerate(rows):
        ids[place, longest - len(row) :] = row
        mask[place, longest - len(row) :] = 1
    return ids, mask


def generation_config(settings: GenerationSettings, *, pad: int, eos: Sequence[int]) -> GenerationConfig:
    """Greedy at temperature 0, else sampling from all tokens (no top-k) within top_p."""
    common = {"max_new_tokens": settings.max_new_tokens, "pad_token_id": pad, "eos_token_id": list(eos)}
    if settings.temperature <= 0:
        return GenerationConfig(do_sample=False, **common)
    sampling = {"temperature": settings.temperature, "top_p": settings.top_p, "top_k": 0}
    return GenerationConfig(do_sample=True, **sampling, **common)


def read_answer(tokenizer: Any, new: Sequence[int], *, eos: Sequence[int], prompt_tokens: int) -> Generation:
    """The answer in the newly generated tokens, up to the first end token; without one it was cut off.

    The text is what was said, to the character: only special tokens are left out.
    """
    end = next((place for place, token in enumerate(new) if token in eos), None)
    said = list(new) if end is None else list(new[:end])
    text = tokenizer.decode(said, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    count = len(new) if end is None else end + 1
    return Generation(text=text, prompt_tokens=prompt_tokens, new_tokens=count, truncated=end is None)


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
    torch.cuda.empty_cache()
    free, total = (n / 2**30 for n in torch.cuda.mem_get_info(device))
    return OutOfMemory(f"out of memory on {device} at {what}: {free:.1f} of {total:.1f} GiB are free without it")


def _commit(spec: ModelSpec) -> str:
    """The commit of a checkpoint in the Hugging Face cache: the name of its snapshot's folder."""
    if checkpoint_folder(spec) is not None:
        return ""
    config = try_to_load_from_cache(spec.checkpoint, "config.json", revision=spec.revision or None)
    return Path(config).parent.name if isinstance(config, str) else ""


def _revision(spec: ModelSpec) -> dict[str, str]:
    return {} if checkpoint_folder(spec) is not None or not spec.revision else {"revision": spec.revision}


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
