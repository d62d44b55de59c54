"""The clips and rows of the benchmark MovingShapes, other than those that the tiny model was trained on."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from videval.benchmarks.shapes.questions import Question, questions
from videval.benchmarks.shapes.scenes import FPS, LENGTH, Frames, Parade, Scene, random_change, random_parade, render

CODEC_SUFFIX = {"h264": ".mp4", "av1": ".mp4", "vp9": ".webm", "gif": ".gif", "frames": ""}
HELD_OUT = 20_000_003


@dataclass(frozen=True, kw_only=True)
class DemoClip:
    """A clip of the demo benchmark: its scene, the scenes shown before and after it, its questions and its file.

    `video` is a file name, or a folder's where `codec` is `frames`; the other codecs are those of `write_video`.
    """

    video: str
    codec: str
    scene: Scene
    before: tuple[Scene, ...]
    after: tuple[Scene, ...]
    questions: tuple[Question, ...]

    @property
    def span(self) -> tuple[float, float] | None:
        """Start and end of the scene in seconds; None if it is the whole clip."""
        if not self.before and not self.after:
            return None
        return len(self.before) * LENGTH / FPS, (len(self.before) + 1) * LENGTH / FPS

    def frames(self) -> Frames:
        """All frames, uint8 [32 per scene, 96, 96, 3], to be shown at FPS."""
        return np.concatenate([render(scene) for scene in (*self.before, self.scene, *self.after)])


@dataclass(frozen=True, kw_only=True)
class DemoRow:
    """One question in MVBench's column layout."""

    index: int
    video: str
    question: str
    answer: str
    candidates: str
    task_type: str
    prefix: str
    data_type: str
    bound: bool
    start: float | None
    end: float | None


def demo_clips(*, clips: int = 100, asked: int = 300, bounded: bool = False, seed: int = 0) -> list[DemoClip]:
    """The demo benchmark's clips with `asked` questions in all, other than those trained on; the same each time.

    `bounded`: each scene stands somewhere in a clip three times as long, beside two others of the same kind.
    Change scenes are asked all that they can be; parades one question of each task and then more about the order.
    """
    rng = random.Random(f"demo {HELD_OUT} {seed} {bounded}")
    kinds = [random_parade if number * 43 % 100 < 43 else random_change for number in range(clips)]
    scenes = [kind(rng) for kind in kinds]
    found = [_in_turn(questions(scene, rng)) for scene in scenes]
    counts = _shares(scenes, found, asked)
    made = []
    for number, (scene, kind, some, count) in enumerate(zip(scenes, kinds, found, counts, strict=True)):
        codec = _codec(number)
        others = tuple(kind(rng) for _ in range(2)) if bounded else ()
        cut = rng.randrange(3) if bounded else 0
        clip = DemoClip(
            video=f"{number:03d}{CODEC_SUFFIX[codec]}",
            codec=codec,
            scene=scene,
            before=others[:cut],
            after=others[cut:],
            questions=tuple(some[:count]),
        )
        made.append(clip)
    return made


def demo_rows(clips: Sequence[DemoClip], prefix: str) -> list[DemoRow]:
    """The questions of clips whose files lie in the folder `prefix`, in MVBench's column layout."""
    rows: list[DemoRow] = []
    for clip in clips:
        start, end = clip.span or (None, None)
        for question in clip.questions:
            row = DemoRow(
                index=len(rows),
                video=clip.video,
                question=question.text,
                answer=question.answer,
                candidates=str(list(question.options)),
                task_type=question.task,
                prefix=prefix,
                data_type="frame" if clip.codec == "frames" else "video",
                bound=clip.span is not None,
                start=start,
                end=end,
            )
            rows.append(row)
    return rows


def _codec(number: int) -> str:
    """Four clips in 33 are not h264, one of each other kind."""
    return {5: "av1", 13: "vp9", 21: "gif", 29: "frames"}.get(number % 33, "h264")


def _in_turn(some: list[Question]) -> list[Question]:
    """One question of each task, then the others about the order."""
    first = {q.task: q for q in some}
    return [*first.values(), *(q for q in some if q.task == "Action Sequence" and q is not first[q.task])]


def _shares(scenes: Sequence[Scene], found: Sequence[list[Question]], asked: int) -> list[int]:
    """How many questions each clip is asked: what parades get beyond three makes up for changes with fewer."""
    counts = [min(3, len(some)) for some in found]
    parades = [k for k, scene in enumerate(scenes) if isinstance(scene, Parade)]
    spare = asked - sum(counts)
    for turn in range(max(0, spare)):
        counts[parades[turn % len(parades)]] += 1
    return counts
