"""For tests of what a tiny model sees: models loaded once, clips of noise, and one question about each."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from videval.models.catalog import load_model
from videval.protocols import Model
from videval.types import Clip, Generation, GenerationSettings, ModelSpec, Pixels, Prompt, Seen, Text, Video

__all__ = ["ONE", "SMALL", "WIDE", "Loaded", "MakeClip", "answer", "clip", "four", "loaded", "seen"]

ONE = GenerationSettings(max_new_tokens=1)
RATE = 25.0
SMALL, WIDE = (48, 64), (120, 240)
"""Height and width of frames."""

Loaded = Callable[[str], Model]
MakeClip = Callable[..., Clip]


@pytest.fixture(scope="module")
def loaded(tiny: Callable[[str], Path]) -> Loaded:
    @cache
    def load(family: str) -> Model:
        spec = ModelSpec(name=family, adapter="hf_chat", checkpoint=str(tiny(family)), revision="")
        model = load_model(spec, devices=["cpu"])
        assert isinstance(model, Model)
        return model

    return load


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> MakeClip:
    """Makes clips by the numbers of their frames, at 25 frames a second: the same noise for the same count and size.

    `still`: every frame is the same.
    """
    folder = tmp_path_factory.mktemp("clips")

    def make(
        numbers: tuple[int, ...],
        size: tuple[int, int] = SMALL,
        *,
        total: int,
        span: int | None = None,
        still: bool = False,
    ) -> Clip:
        path = folder / f"{'-'.join(map(str, numbers))}-{size[0]}x{size[1]}-{still}.npy"
        frames = np.random.default_rng(0).integers(0, 256, (len(numbers), *size, 3), dtype=np.uint8)
        np.save(path, np.repeat(frames[:1], len(numbers), axis=0) if still else frames)
        return Clip(
            path=str(path), frame_numbers=numbers, timestamps=tuple(n / RATE for n in numbers), total_frames=total,
            fps=RATE, width=size[1], height=size[0], decoder="none", policy="uniform", span_frames=span,
        )  # fmt: skip

    return make


def four(clip: MakeClip, size: tuple[int, int] = SMALL) -> Clip:
    """Frames at 0, 1, 2 and 3 seconds of 4 seconds."""
    return clip((0, 25, 50, 75), size, total=100)


def answer(model: Model, shown: Clip, pixels: Pixels | None = None, settings: GenerationSettings = ONE) -> Generation:
    prompt = Prompt(parts=(Video(), Text(text="What?")), clips=(shown,), pixels=(pixels,) if pixels else ())
    return model.generate([model.prepare(prompt, settings)])[0]


def seen(model: Model, shown: Clip, pixels: Pixels | None = None) -> Seen:
    (one,) = answer(model, shown, pixels).seen
    return one
