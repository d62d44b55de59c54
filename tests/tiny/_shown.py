"""Tiny models loaded once, and clips of random frames to show them: for tests of what a processor makes of a clip."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from videval.models.catalog import load_model, model_spec
from videval.models.hf_chat.model import HfChat
from videval.types import Clip, Generation, GenerationSettings, Pixels, Prompt, Seen, Text, Video

__all__ = ["ONE", "SMALL", "WIDE", "ClipAt", "Loaded", "answer", "clip_at", "four", "loaded", "seen"]

SMALL, WIDE = (48, 64), (120, 240)
"""Height and width of frames."""
ONE = GenerationSettings(max_new_tokens=1)

Loaded = Callable[[str], HfChat]
ClipAt = Callable[..., Clip]


@pytest.fixture(scope="session")
def loaded(tiny: Callable[[str], Path]) -> Loaded:
    """The model of a family, loaded once."""

    @cache
    def load(family: str) -> HfChat:
        model = load_model(model_spec(f"hf_chat:{tiny(family)}"), devices=["cpu"])
        assert isinstance(model, HfChat)
        return model

    return load


@pytest.fixture(scope="session")
def clip_at(tmp_path_factory: pytest.TempPathFactory) -> ClipAt:
    """Clips of the frames with these numbers of a video of 25 frames a second; `still`: they all show the same."""
    folder = tmp_path_factory.mktemp("clips")

    def make(
        numbers: tuple[int, ...],
        size: tuple[int, int] = SMALL,
        *,
        total: int,
        span: int | None = None,
        still: bool = False,
    ) -> Clip:
        path = folder / f"{numbers}-{size[0]}-{total}-{span}-{still}.npy"
        shape = (1 if still else len(numbers), *size, 3)
        frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        np.save(path, np.repeat(frames, len(numbers) if still else 1, axis=0))
        return Clip(
            path=str(path), frame_numbers=numbers, timestamps=tuple(n / 25 for n in numbers), total_frames=total,
            fps=25.0, width=size[1], height=size[0], decoder="none", policy="uniform", span_frames=span,
        )  # fmt: skip

    return make


def answer(model: HfChat, shown: Clip, pixels: Pixels | None = None, settings: GenerationSettings = ONE) -> Generation:
    """What is said to a question about a clip."""
    prompt = Prompt(parts=(Video(), Text(text="What?")), clips=(shown,), pixels=(pixels,) if pixels else ())
    return model.generate([model.prepare(prompt, settings)])[0]


def seen(model: HfChat, shown: Clip, pixels: Pixels | None = None) -> Seen:
    """What a model sees of a clip, as it is stored with its answer."""
    (one,) = answer(model, shown, pixels).seen
    return one


def four(clip_at: ClipAt, size: tuple[int, int] = SMALL) -> Clip:
    """Frames at 0, 1, 2 and 3 seconds of 4 seconds."""
    return clip_at((0, 25, 50, 75), size, total=100)
