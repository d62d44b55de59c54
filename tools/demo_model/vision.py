"""Stage 1: the vision tower alone learns to tell background, colour, shape and place of single frames."""

from __future__ import annotations

import logging
import math
import random
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import CLIPVisionModel

from tools.demo_model.data import NO_COLOUR, NO_SHAPE, look_labels, pixels, random_scene
from tools.demo_model.model import FEATURE_LAYER
from videval.benchmarks.shapes import BACKGROUNDS, SAMPLED

log = logging.getLogger(__name__)


def encode(tower: CLIPVisionModel, images: torch.Tensor) -> torch.Tensor:
    """The tower's features as Video-LLaVA takes them, float [n, 10, 96], without running the layers above."""
    hidden = tower.pre_layrnorm(tower.embeddings(images))
    for layer in tower.encoder.layers[: FEATURE_LAYER + 1]:
        hidden = layer(hidden, None)
    features: torch.Tensor = hidden
    return features


class SightHeads(nn.Module):
    """Linear read-outs of one frame, used in training only; each reads the class token and the mean of the patches."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.background = nn.Linear(width, len(BACKGROUNDS))
        self.colour = nn.Linear(width, NO_COLOUR + 1)
        self.shape = nn.Linear(width, NO_SHAPE + 1)
        self.place = nn.Linear(width, 3)

    def losses(self, hidden: torch.Tensor, labels: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, float]]:
        """Summed loss and the share of right answers; hidden is [n, width]."""
        total = torch.zeros(())
        right: dict[str, float] = {}
        for name in ("background", "colour", "shape"):
            logits = getattr(self, name)(hidden)
            total = total + F.cross_entropy(logits, labels[name])
            right[name] = (logits.argmax(-1) == labels[name]).float().mean().item()
        there = (labels["colour"] != NO_COLOUR).float()[:, None]
        error = (self.place(hidden) - labels["place"]) * there
        total = total + error.square().mean() * 2
        right["place"] = error.abs().mean().item()
        return total, right


def cosine(step: int, steps: int, warm: int) -> float:
    """Learning rate factor: linear warm-up, then half a cosine down to 2 %."""
    if step < warm:
        return (step + 1) / warm
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def train_vision(
    tower: CLIPVisionModel, path: Path, *, steps: int, seed: int, frames: int = 192, rate: float = 2e-3
) -> None:
    """Train the tower in place; the state is kept at `path` and taken up from there."""
    width = tower.config.hidden_size
    heads, patches = SightHeads(width), SightHeads(width)
    parts = nn.ModuleDict({"tower": tower, "cls": heads, "patches": patches})
    optimizer = torch.optim.AdamW(parts.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.05)
    step, started = 0, time.monotonic()
    if path.exists():
        state = torch.load(path, weights_only=True)
        parts.load_state_dict(state["parts"])
        optimizer.load_state_dict(state["optimizer"])
        step, started = state["step"], started - state["seconds"]
    while step < steps:
        rng, noise = random.Random(f"vision {seed} {step}"), np.random.default_rng((seed, step))
        looks = []
        for _ in range(frames // 2):
            scene = random_scene(rng)
            looks += [scene.look(rng.random() * SAMPLED), scene.look(rng.random() * SAMPLED)]
        hidden = encode(tower, pixels(looks, noise, clip=2))
        labels = look_labels(looks)
        loss, right = heads.losses(hidden[:, 0], labels)
        more, _ = patches.losses(hidden[:, 1:].mean(1), labels)
        for group in optimizer.param_groups:
            group["lr"] = rate * cosine(step, steps, 100)
        optimizer.zero_grad()
        torch.autograd.backward(loss + more)
        nn.utils.clip_grad_norm_(parts.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % 50 == 0:
            log.info("vision %d loss %.3f %s %.0f s", step, loss.item(), _short(right), time.monotonic() - started)
        if step % 200 == 0 or step == steps:
            spent = time.monotonic() - started
            state = {"parts": parts.state_dict(), "optimizer": optimizer.state_dict()}
            save_state(path, {**state, "step": step, "seconds": spent})


def save_state(path: Path, state: dict[str, object]) -> None:
    """Write a checkpoint under another name first, so that a cut leaves the old one."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def _short(shares: dict[str, float]) -> str:
    return " ".join(f"{k} {v:.2f}" for k, v in shares.items())
