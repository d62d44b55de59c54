"""Training data, made as it is needed: scenes are drawn at the model's own 48 pixels, then roughened."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from tools.demo_model.model import IMAGE
from videval.benchmarks.shapes.scenes import (
    BACKGROUNDS,
    COLOURS,
    LENGTH,
    SAMPLED,
    SHAPES,
    Frames,
    Look,
    Scene,
    draw,
    random_change,
    random_parade,
)

MEAN = np.array(OPENAI_CLIP_MEAN, np.float32)
STD = np.array(OPENAI_CLIP_STD, np.float32)
NO_COLOUR, NO_SHAPE = len(COLOURS), len(SHAPES)


def random_scene(rng: random.Random, parades: float = 0.5) -> Scene:
    """A parade, in this share of cases, or a change."""
    return random_parade(rng) if rng.random() < parades else random_change(rng)


def clip_looks(scene: Scene, rng: random.Random) -> list[Look]:
    """What the 8 chosen frames show, off by up to one frame of 32, the same for all."""
    slip = rng.choice((-1, 0, 0, 1)) * SAMPLED / LENGTH
    return [scene.look(max(0.0, i + slip)) for i in range(SAMPLED)]


def pixels(looks: Sequence[Look], rng: np.random.Generator, *, clip: int) -> torch.Tensor:
    """Draw looks and roughen them as encoders do, the same for each `clip` frames; float [n, 3, 48, 48], normalized."""
    frames = roughen(draw(looks, IMAGE), rng, clip=clip)
    return torch.from_numpy((frames - MEAN) / STD).permute(0, 3, 1, 2).contiguous()


def roughen(frames: Frames, rng: np.random.Generator, *, clip: int) -> npt.NDArray[np.float32]:
    """Noise, gain, shift, blurred colour and GIF's 8-bit palette, drawn per clip; [n, H, W, 3] uint8 to 0..1 floats."""
    x = frames.astype(np.float32).reshape(-1, clip, *frames.shape[1:])
    n = len(x)
    per_clip = (n, 1, 1, 1, 1)
    x = x * rng.uniform(0.94, 1.06, per_clip).astype(np.float32)
    x += rng.normal(0, 5, (n, 1, 1, 1, 3)).astype(np.float32)
    x += rng.standard_normal(x.shape, np.float32) * rng.uniform(0, 8, per_clip).astype(np.float32)
    soft = rng.random(n) < 0.3
    if soft.any():
        y = x[soft]
        x[soft] = (y + np.roll(y, 1, 2) + np.roll(y, 1, 3) + np.roll(y, (1, 1), (2, 3))) / 4
    gif = rng.random(n) < 0.12
    if gif.any():
        x[gif] = palette(x[gif] + rng.uniform(-18, 18, x[gif].shape).astype(np.float32))
    rough: npt.NDArray[np.float32] = (np.clip(x, 0, 255).reshape(frames.shape) / 255).astype(np.float32)
    return rough


def palette(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Round colours to 3 bits of red, 3 of green and 2 of blue."""
    steps = np.array([7, 7, 3], np.float32) / 255
    rounded: npt.NDArray[np.float32] = (np.round(np.clip(x, 0, 255) * steps) / steps).astype(np.float32)
    return rounded


def look_labels(looks: Sequence[Look]) -> dict[str, torch.Tensor]:
    """What a vision tower should see: background, colour, shape (class numbers) and place (x, y, radius; [n, 3])."""
    figures = [k.figure for k in looks]
    place = [[(f.x - 0.5) * 4, (f.y - 0.5) * 4, (f.radius - 0.22) * 10] if f else [0.0] * 3 for f in figures]
    return {
        "background": torch.tensor([list(BACKGROUNDS).index(k.background) for k in looks]),
        "colour": torch.tensor([list(COLOURS).index(f.colour) if f else NO_COLOUR for f in figures]),
        "shape": torch.tensor([SHAPES.index(f.shape) if f else NO_SHAPE for f in figures]),
        "place": torch.tensor(place),
    }
