"""Tiny models with heads of 32 numbers: vLLM's attention on a CPU takes no 16, which those of `tests.tiny` have."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

__all__ = ["widen"]

WIDTH = 2
"""Half as many heads, twice as wide: all matrices keep their shape, so that only per-head norms are drawn out."""
NORMS = ("q_norm.weight", "k_norm.weight")


def widen(narrow: Path, folder: Path) -> None:
    """Copy a checkpoint of `tests.tiny` to `folder` with wider heads in its language model."""
    shutil.copytree(narrow, folder)
    config = json.loads((folder / "config.json").read_text())
    text = config.get("text_config", config)
    _widen_config(text)
    (folder / "config.json").write_text(json.dumps(config))
    weights = load_file(folder / "model.safetensors")
    head = text.get("head_dim") or text["hidden_size"] // text["num_attention_heads"]
    save_file({n: _widened(n, w, head) for n, w in weights.items()}, folder / "model.safetensors", {"format": "pt"})


def _widen_config(text: dict[str, Any]) -> None:
    for name in ("num_attention_heads", "num_key_value_heads"):
        text[name] //= WIDTH
    if text.get("head_dim"):
        text["head_dim"] *= WIDTH
    for rope in (text.get("rope_parameters") or {}, text.get("rope_scaling") or {}):
        if "mrope_section" in rope:
            rope["mrope_section"] = [WIDTH * part for part in rope["mrope_section"]]


def _widened(name: str, weight: torch.Tensor, head: int) -> torch.Tensor:
    is_of_text = "visual" not in name and "vision" not in name
    if is_of_text and name.endswith(NORMS) and weight.shape[-1] * WIDTH == head:
        return weight.repeat(WIDTH)
    return weight
