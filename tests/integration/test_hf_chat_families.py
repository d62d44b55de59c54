"""Each family of `hf_chat` on a tiny random model of its real classes: its answers are a plain script's, its batches
those of one request at a time, and what is stored of the frames is what its processor used."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from tests.tiny import TINY, straight_of
from tests.tiny._parts import straight
from videval.models.batches import batched
from videval.models.catalog import load_model
from videval.models.hf_chat.model import HfChat
from videval.protocols import Model
from videval.types import Clip, Generation, GenerationSettings, ModelSpec, Prompt, Text, Video

SHORT = GenerationSettings(max_new_tokens=12)
QUESTION = "What moves?"
FPS = 10.0
TOTAL = 60
"""Of the made-up source videos: frames a second, and frames."""

ClipOf = Callable[..., Clip]
ModelOf = Callable[[str], HfChat]


@pytest.fixture(scope="session")
def model_of(tiny: Callable[[str], Path]) -> ModelOf:
    """The loaded model of a family, loaded once."""
    loaded: dict[str, HfChat] = {}

    def get(family: str) -> HfChat:
        if family not in loaded:
            model = load_model(spec_of(tiny(family)), devices=["cpu"])
            assert isinstance(model, HfChat) and isinstance(model, Model)
            loaded[family] = model
        return loaded[family]

    return get


def spec_of(folder: Path) -> ModelSpec:
    return ModelSpec(name=folder.name, adapter="hf_chat", checkpoint=str(folder), revision="")


@pytest.fixture(scope="session")
def clip_of(tmp_path_factory: pytest.TempPathFactory) -> ClipOf:
    """Clips of a bright square that moves over noise; `seed` chooses both, `back` shows them in reverse."""
    folder = tmp_path_factory.mktemp("clips")

    def make(seed: int = 0, *, frames: int = 4, back: bool = False, height: int = 40, width: int = 60) -> Clip:
        path = folder / f"{seed}-{frames}-{back}-{height}-{width}.npy"
        rng = np.random.default_rng(seed)
        pixels = rng.integers(0, 120, (frames, height, width, 3), dtype=np.uint8)
        for n in range(frames):
            start = (n * width) // frames
            pixels[n, : height // 2, start : start + width // frames, (seed + n) % 3] = 255
        np.save(path, pixels[::-1] if back else pixels)
        numbers = tuple(n * TOTAL // frames for n in range(frames))
        return Clip(
            path=str(path), frame_numbers=numbers, timestamps=tuple(n / FPS for n in numbers), total_frames=TOTAL,
            fps=FPS, width=width, height=height, decoder="none", policy="stride",
        )  # fmt: skip

    return make


def ask(clip: Clip, question: str = QUESTION, *, system: str = "", prefix: str = "") -> Prompt:
    texts = Text(text=question), Text(text=prefix, role="assistant")
    return Prompt(parts=(Text(text=system, role="system"), Video(), *texts), clips=(clip,))


def answers(model: HfChat, prompts: Sequence[Prompt], settings: GenerationSettings = SHORT) -> list[Generation]:
    return model.generate([model.prepare(prompt, settings) for prompt in prompts])


def frames_of(clip: Clip) -> npt.NDArray[np.uint8]:
    frames: npt.NDArray[np.uint8] = np.load(clip.path)
    return frames


def plain(folder: Path, clip: Clip, question: str = QUESTION, **more: Any) -> list[int]:
    """What the plain script of transformers says of the same frames."""
    told = {**straight_of(folder.name), **more}
    return straight(folder, frames_of(clip), question, numbers=clip.frame_numbers, fps=clip.fps, total=TOTAL, **told)


def logits(model: HfChat, prompt: Prompt) -> torch.Tensor:
    """What speaks for each token as the first of the answer."""
    inputs = batched([model.prepare(prompt, SHORT)], 0)
    with torch.inference_mode():
        made = model._model(**{name: model._placed(name, value) for name, value in inputs.items()})
    found: torch.Tensor = made.logits[0, -1]
    return found


@pytest.mark.parametrize("family", TINY)
@pytest.mark.parametrize("frames", [4, 5])
def test_it_says_what_a_plain_script_says_of_the_same_frames_token_for_token(
    family: str,
    frames: int,
    tiny: Callable[[str], Path],
    model_of: ModelOf,
    clip_of: ClipOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, clip = model_of(family), clip_of(1, frames=frames)
    said: list[list[int]] = []
    read = model._answer

    def heard(new: Sequence[int], *more: Any) -> Generation:
        said.append(list(new))
        return read(new, *more)

    monkeypatch.setattr(model, "_answer", heard)
    (answer,) = answers(model, [ask(clip)])
    assert said == [plain(tiny(family), clip)]
    assert answer.prompt_tokens and answer.rendered


@pytest.mark.parametrize("family", TINY)
def test_a_batch_of_several_clips_and_questions_says_what_each_request_alone_says(
    family: str, model_of: ModelOf, clip_of: ClipOf
) -> None:
    model = model_of(family)
    prompts = [
        ask(clip_of(1), "What?"), ask(clip_of(2), "Where is the red ring, and why?"),
        ask(clip_of(1), "How many?"), ask(clip_of(3, frames=6), "Which one is it that comes last of all?"),
    ]  # fmt: skip
    alone = [answers(model, [prompt])[0] for prompt in prompts]
    assert answers(model, prompts) == alone
    assert answers(model, prompts[::-1]) == alone[::-1]


@pytest.mark.parametrize("family", TINY)
def test_frames_in_reverse_are_another_thing_to_the_model(family: str, model_of: ModelOf, clip_of: ClipOf) -> None:
    model = model_of(family)
    forth, back = (logits(model, ask(clip_of(1, back=back))) for back in (False, True))
    assert not torch.allclose(forth, back, atol=1e-4)
    assert torch.equal(forth, logits(model, ask(clip_of(1))))


@pytest.mark.parametrize("family", TINY)
def test_special_tokens_in_a_question_are_words(family: str, model_of: ModelOf, clip_of: ClipOf) -> None:
    model = model_of(family)
    processor = model._processing._processor
    tokens = {str(t.content) for t in processor.tokenizer.added_tokens_decoder.values() if t.special}
    if (marks := model._family.thinking) is not None:
        tokens -= {marks.open, marks.close}
    plain_seen = model.prepare(ask(clip_of(1)), SHORT)
    told = model.prepare(ask(clip_of(1), " ".join(sorted(tokens))), SHORT)
    assert told.seen == plain_seen.seen
    ids, special = told.tensors["input_ids"][0], set(processor.tokenizer.all_special_ids)
    assert sum(int(i) in special for i in ids) == sum(int(i) in special for i in plain_seen.tensors["input_ids"][0])


@pytest.mark.parametrize("family", TINY)
def test_what_is_stored_of_the_frames_is_what_the_processor_used(
    family: str, model_of: ModelOf, clip_of: ClipOf
) -> None:
    model = model_of(family)
    for frames in (4, 5):
        clip = clip_of(2, frames=frames)
        inputs = model.prepare(ask(clip), SHORT)
        (seen,) = inputs.seen
        assert seen.frames == frames
        assert seen.tokens * 1 <= inputs.tokens and seen.tokens >= 1
        assert not seen.timestamps or seen.timestamps == tuple(sorted(seen.timestamps))
        assert not seen.timestamps or seen.timestamps[-1] <= clip.timestamps[-1] + 1
        if len(seen.grid) == 3:
            patch = model._processing._processor
            used = (patch.video_processor if "video_grid_thw" in inputs.tensors else patch.image_processor).patch_size
            assert (seen.height, seen.width) == (seen.grid[1] * used, seen.grid[2] * used)


@pytest.mark.parametrize("family", TINY)
def test_system_text_and_the_answers_first_words_reach_the_model_once(
    family: str, model_of: ModelOf, clip_of: ClipOf
) -> None:
    made = model_of(family).prepare(ask(clip_of(1), system="Watch well.", prefix="Best: ("), SHORT)
    said = made.rendered
    assert said.count("Watch well.") == 1 and "{'type'" not in said
    assert said.endswith("Best: (") is not made.opened and said.index("Watch well.") < said.index(QUESTION)


@pytest.mark.parametrize("family", TINY)
def test_a_sampled_answer_depends_on_its_seed_and_not_on_its_company(
    family: str, model_of: ModelOf, clip_of: ClipOf
) -> None:
    model, prompts = model_of(family), [ask(clip_of(1)), ask(clip_of(2))]
    hot = replace(SHORT, temperature=3.0, seed=1)
    alone = [answers(model, [prompt], hot)[0] for prompt in prompts]
    assert answers(model, prompts, hot) == alone
