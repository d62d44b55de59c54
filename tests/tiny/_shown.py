"""What tests of `hf_chat` ask its tiny models: clips and images of noise, prompts, and what is seen of them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pictures

from videval.models.catalog import load_model
from videval.protocols import Model
from videval.types import Clip, Generation, GenerationSettings, Image, ModelSpec, Part, Prompt, Seen, Text, Video

__all__ = [
    "SHORT",
    "ChatModel",
    "MakeClip",
    "answer",
    "ask",
    "both",
    "chat_model",
    "made_clip",
    "made_image",
    "seen",
    "spec",
]

SHORT = GenerationSettings(max_new_tokens=4)
ChatModel = Callable[[str], Model]
MakeClip = Callable[..., Clip]


@pytest.fixture(scope="session")
def chat_model(tiny: Callable[[str], Path]) -> ChatModel:
    """The tiny model of a family, loaded once."""
    loaded: dict[str, Model] = {}

    def get(family: str) -> Model:
        if family not in loaded:
            model = load_model(spec(tiny(family)), devices=["cpu"], dtype="float32")
            assert isinstance(model, Model)
            loaded[family] = model
        return loaded[family]

    return get


@pytest.fixture(scope="session")
def made_clip(tmp_path_factory: pytest.TempPathFactory) -> MakeClip:
    """A clip of noise, of the frames of so many numbers; `size`: height and width."""
    folder = tmp_path_factory.mktemp("clips")

    def make(
        numbers: Sequence[int],
        *,
        fps: float = 10.0,
        total: int = 1000,
        span: int | None = None,
        size: tuple[int, int] = (40, 60),
        seed: int = 0,
    ) -> Clip:
        path = folder / f"{len(list(folder.iterdir()))}.npy"
        rng = np.random.default_rng([len(numbers), seed])
        np.save(path, rng.integers(0, 256, (len(numbers), *size, 3), dtype=np.uint8))
        times = tuple(number / fps for number in numbers)
        return Clip(
            path=str(path), frame_numbers=tuple(numbers), timestamps=times, total_frames=total, fps=fps,
            width=size[1], height=size[0], decoder="none", policy="stride", span_frames=span,
        )  # fmt: skip

    return make


@pytest.fixture(scope="session")
def made_image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """An image file of noise, wider than high."""
    path = tmp_path_factory.mktemp("images") / "a.png"
    pixels = np.random.default_rng(0).integers(0, 256, (50, 90, 3), dtype=np.uint8)
    Pictures.fromarray(pixels).save(path)
    return Image(path=str(path))


def spec(folder: Path) -> ModelSpec:
    """The checkpoint in a folder, by the adapter hf_chat."""
    return ModelSpec(name=folder.name, adapter="hf_chat", checkpoint=str(folder), revision="")


def ask(clip: Clip, question: str = "What?", *, system: str = "", prefix: str = "") -> Prompt:
    """A question about one clip."""
    parts: list[Part] = [Text(text=system, role="system")] if system else []
    parts += [Video(), Text(text=question)]
    return Prompt(parts=(*parts, *([Text(text=prefix, role="assistant")] if prefix else [])), clips=(clip,))


def both(*clips: Clip) -> Prompt:
    """A question about two clips, with a text between them."""
    return Prompt(parts=(Video(), Text(text="and"), Video(clip=1), Text(text="Which?")), clips=clips)


def answer(model: Model, prompt: Prompt) -> Generation:
    """What the model says, asked alone."""
    return model.generate([model.prepare(prompt, SHORT)])[0]


def seen(model: Model, prompt: Prompt) -> Seen:
    """What it sees of the one clip of a prompt."""
    (one,) = answer(model, prompt).seen
    return one
