"""Controls: the tiny model's score stands on the right frames in the right order, and falls with any other.

They guard decode, cache, frame order, preprocessing, prompts and batching: whoever breaks one of these breaks a score.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from videval.benchmarks.base import Shown
from videval.benchmarks.pages.moving_shapes import MovingShapes
from videval.benchmarks.shapes.clips import DemoClip
from videval.benchmarks.shapes.questions import Question
from videval.models.catalog import load_model, model_spec
from videval.protocols import Model
from videval.scorers.choice import WordsScorer
from videval.types import Clip, FrameSampling, Prompt, Sample, Verdict
from videval.video.cache import FrameCache, load_frames

CLIPS = 60
FRAMES = FrameSampling(policy="stride", num_frames=8)


@dataclass(frozen=True)
class Asked:
    """A question of the demo benchmark with the clip that answers it."""

    sample: Sample
    question: Question
    clip: Clip


@dataclass(frozen=True)
class World:
    """The demo benchmark, its first clips as the model sees them, and the model."""

    bench: MovingShapes
    root: Path
    asked: list[Asked]
    model: Model

    def share(self, show: Callable[[Asked], Clip], answer: Callable[[Asked], str], batch: int = 8) -> float:
        """The share of order questions whose answer is `answer` when the model is shown `show`."""
        order = [a for a in self.asked if a.question.reversed_answer is not None]
        said = [text for i in range(0, len(order), batch) for text in self._answers(order[i : i + batch], show)]
        scorer = WordsScorer()
        wanted = [replace(a.sample, answer=answer(a)) for a in order]
        return float(np.mean([scorer.score(s, t).verdict == Verdict.RIGHT for s, t in zip(wanted, said, strict=True)]))

    def _answers(self, some: list[Asked], show: Callable[[Asked], Clip]) -> list[str]:
        settings = model_spec("Video-LLaVA-tiny").generation
        prompts = []
        for asked in some:
            clip = show(asked)
            shown = Shown(clip=clip, form="video", root=self.root)
            prompts.append(Prompt(parts=self.bench.prompt(asked.sample, shown), clip=clip, row=asked.sample.row))
        return [g.text for g in self.model.generate([self.model.prepare(p, settings) for p in prompts])]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Encoded clips, read back through the real decoders and the real cache; the shipped weights."""
    root, cache = tmp_path_factory.mktemp("MovingShapes"), FrameCache(tmp_path_factory.mktemp("frames"), 1.0)
    bench = MovingShapes()
    bench.write(root)
    of_video: dict[str, DemoClip] = {f"clips/{c.video}": c for c in bench.clips()[:CLIPS]}
    samples = [s for s in bench.load(root, bench.variant(num_frames=8)) if s.video in of_video]
    asked = []
    for sample in samples:
        question = next(q for q in of_video[sample.video].questions if q.text == sample.question)
        clip = cache.clip(root / sample.video, FRAMES, sample.span, folder_fps=bench.folder_fps)
        asked.append(Asked(sample, question, clip))
    model = load_model(model_spec("Video-LLaVA-tiny"), devices=["cpu"])
    assert isinstance(model, Model)
    yield World(bench, root, asked, model)


def changed(folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Asked], Clip]:
    """Show the same clip with its frames changed."""

    def show(asked: Asked) -> Clip:
        path = folder / f"{asked.sample.id}.npy"
        np.save(path, change(np.array(load_frames(asked.clip))))
        return replace(asked.clip, path=str(path))

    return show


def right(asked: Asked) -> str:
    """The answer."""
    return asked.question.answer


def test_with_the_right_frames_the_tiny_model_is_right(world: World) -> None:
    assert world.share(lambda a: a.clip, right) >= 0.95


def test_one_at_a_time_says_the_same_as_in_batches(world: World) -> None:
    some = World(world.bench, world.root, world.asked[:12], world.model)
    assert some._answers(some.asked, lambda a: a.clip) == [some._answers([a], lambda a: a.clip)[0] for a in some.asked]


def test_with_reversed_frames_it_gives_the_time_reversed_answer(world: World, tmp_path: Path) -> None:
    backwards = changed(tmp_path, lambda frames: frames[::-1])
    assert world.share(backwards, right) <= 0.35
    assert world.share(backwards, lambda a: a.question.reversed_answer or "") >= 0.85


def test_with_shuffled_frames_it_falls_to_what_the_order_free_know(world: World, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    assert world.share(changed(tmp_path, lambda frames: frames[rng.permutation(len(frames))]), right) <= 0.6


def test_with_black_frames_it_guesses(world: World, tmp_path: Path) -> None:
    assert world.share(changed(tmp_path, np.zeros_like), right) <= 0.35


def test_with_another_clips_frames_it_guesses(world: World) -> None:
    clips = [a.clip for a in world.asked]
    position = {a.sample.id: i for i, a in enumerate(world.asked)}

    def other(asked: Asked) -> Clip:
        return next(c for c in clips[position[asked.sample.id] :: -1] + clips[::-1] if c.path != asked.clip.path)

    assert world.share(other, right) <= 0.4


def test_with_the_first_eight_frames_it_falls(world: World, tmp_path: Path) -> None:
    cache = FrameCache(tmp_path, 1.0)
    first = FrameSampling(policy="uniform", num_frames=8)

    def show(asked: Asked) -> Clip:
        fps = asked.clip.fps
        return cache.clip(world.root / asked.sample.video, first, (0.0, 7 / fps), folder_fps=world.bench.folder_fps)

    assert world.share(show, right) <= 0.6


def test_with_frames_shifted_by_half_a_clip_it_falls(world: World, tmp_path: Path) -> None:
    assert world.share(changed(tmp_path, lambda frames: np.roll(frames, 4, axis=0)), right) <= 0.7
