"""Stage 1: the vision tower alone learns to tell background, colour, shape and place of single frames."""

from __future__ import annotations

import logging
import random
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import CLIPVisionModel

from tools.demo_model.data import NO_COLOUR, NO_SHAPE, look_labels, pixels, random_scene
from tools.demo_model.model import FEATURE_LAYER
from tools.demo_model.training import Training, adamw, cosine, shown
from videval.benchmarks.shapes.scenes import BACKGROUNDS, SAMPLED

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


def train_vision(
    tower: CLIPVisionModel,
    path: Path,
    *,
    steps: int,
    seed: int,
    frames: int = 192,
    rate: float = 2e-3,
    stop: int | None = None,
) -> None:
    """Train the tower in place; the state is kept at `path` and taken up from there. `stop`: as if cut there."""
    width = tower.config.hidden_size
    heads, patches = SightHeads(width), SightHeads(width)
    parts = nn.ModuleDict({"tower": tower, "cls": heads, "patches": patches})
    training = Training(path=path, parts=parts, optimizer=adamw((parts, 1.0)), rate=rate)
    training.resume()
    for step in training.steps(steps if stop is None else stop):
        images, labels = _batch(seed, step, frames)
        hidden = encode(tower, images)
        loss, right = heads.losses(hidden[:, 0], labels)
        more, _ = patches.losses(hidden[:, 1:].mean(1), labels)
        training.descend(loss + more, cosine(step, steps))
        if step % 50 == 0:
            log.info("vision %d loss %.3f %.0f s | %s", step, loss.item(), training.seconds, shown(right))


def _batch(seed: int, step: int, frames: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Images and labels of this step, two frames of each scene."""
    rng, noise = random.Random(f"vision {seed} {step}"), np.random.default_rng((seed, step))
    looks = []
    for _ in range(frames // 2):
        scene = random_scene(rng)
        looks += [scene.look(rng.random() * SAMPLED), scene.look(rng.random() * SAMPLED)]
    return pixels(looks, noise, clip=2), look_labels(looks)
