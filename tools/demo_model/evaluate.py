"""The gate: held-out questions on really encoded clips, with right, shuffled, reversed, black and other frames.

A clip is written as h264, its 8 frames are read back by decord, pass the real processor and the model answers greedily,
one question at a time. An answer is right if it is the option's words.
"""

from __future__ import annotations

import json
import logging
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import decord
import numpy as np
import torch
from transformers import VideoLlavaForConditionalGeneration, VideoLlavaProcessor

from tools.demo_model.data import random_scene
from tools.demo_model.forms import Form, after, before, reply
from videval.benchmarks.shapes.questions import TASKS, Question, questions
from videval.benchmarks.shapes.scenes import FPS, SAMPLED, Frames, render
from videval.video.encode import write_video

log = logging.getLogger(__name__)

HELD_OUT = 1_000_003


@dataclass(frozen=True, kw_only=True)
class Item:
    """One question and the number of its clip."""

    clip: int
    question: Question


@dataclass(frozen=True, kw_only=True)
class Report:
    """Shares of right answers of one task over `n` questions; `reversed` counts the time-reversed option as right."""

    task: str
    form: Form
    n: int
    chance: float
    order_free: float
    right: float
    shuffled: float
    reversed: float | None
    black: float
    other: float

    @property
    def passes(self) -> bool:
        """Whether the task may ship."""
        turned = self.reversed is None or self.reversed >= 0.85
        blind = max(self.black, self.other) <= self.chance + 0.10
        return self.right >= 0.95 and self.shuffled <= self.order_free + 0.10 and turned and blind


def evaluate(
    model: VideoLlavaForConditionalGeneration,
    processor: VideoLlavaProcessor,
    *,
    n: int,
    seed: int,
    forms: Sequence[Form],
) -> list[Report]:
    """Ask `n` held-out questions per task under each condition."""
    items, frames = held_out(n, seed)
    return [_report(model, processor, form, items[task], frames) for form in forms for task in sorted(items)]


def write_reports(path: Path, reports: Sequence[Report]) -> None:
    """Write results as JSON."""
    path.write_text(json.dumps([{**asdict(r), "passes": r.passes} for r in reports], indent=1) + "\n")


def read_reports(path: Path) -> list[Report]:
    """What `write_reports` wrote."""
    rows = json.loads(path.read_text())
    return [Report(**{k: v for k, v in row.items() if k != "passes"}) for row in rows]


def held_out(n: int, seed: int) -> tuple[dict[str, list[Item]], list[Frames]]:
    """`n` questions per task, at most two per clip and task, and every clip's 8 decoded frames [8, 96, 96, 3]."""
    rng = random.Random(f"held out {HELD_OUT + seed}")
    items: dict[str, list[Item]] = {task: [] for task in TASKS}
    frames: list[Frames] = []
    with tempfile.TemporaryDirectory() as folder:
        while any(len(some) < n for some in items.values()):
            scene = random_scene(rng)
            used = False
            asked: dict[str, int] = {}
            for question in questions(scene, rng):
                some = items[question.task]
                asked[question.task] = asked.get(question.task, 0) + 1
                if len(some) < n and asked[question.task] <= 2:
                    some.append(Item(clip=len(frames), question=question))
                    used = True
            if used:
                path = Path(folder) / "clip.mp4"
                write_video(path, render(scene), FPS)
                frames.append(read_back(path))
    return items, frames


def read_back(path: Path) -> Frames:
    """The 8 frames that Video-LLaVA's stride policy takes, by decord."""
    reader = decord.VideoReader(str(path), num_threads=1)
    numbers = [int(i * len(reader) / SAMPLED) for i in range(SAMPLED)]
    frames: Frames = reader.get_batch(numbers).asnumpy()
    return frames


def _report(
    model: VideoLlavaForConditionalGeneration,
    processor: VideoLlavaProcessor,
    form: Form,
    items: list[Item],
    frames: list[Frames],
) -> Report:
    started = time.monotonic()
    rng = np.random.default_rng(HELD_OUT)
    back = [item.question.reversed_answer for item in items]
    true = [item.question.answer for item in items]
    other = [items[(k + 2) % len(items)].clip for k in range(len(items))]

    def share(wanted: list[str], shown: list[Frames]) -> float:
        said = answers(model, processor, form, shown, [i.question for i in items])
        right = (reply(form, i.question, w) for i, w in zip(items, wanted, strict=True))
        return sum(map(same, said, right)) / len(items)

    report = Report(
        task=items[0].question.task,
        form=form,
        n=len(items),
        chance=sum(i.question.chance for i in items) / len(items),
        order_free=sum(i.question.order_free for i in items) / len(items),
        right=share(true, [frames[i.clip] for i in items]),
        shuffled=share(true, [frames[i.clip][rng.permutation(SAMPLED)] for i in items]),
        reversed=share([b or t for b, t in zip(back, true, strict=True)], [frames[i.clip][::-1] for i in items])
        if all(back)
        else None,
        black=share(true, [np.zeros_like(frames[i.clip]) for i in items]),
        other=share(true, [frames[k] for k in other]),
    )
    log.info("%s %s %.0f s", "pass" if report.passes else "FAIL", asdict(report), time.monotonic() - started)
    return report


@torch.inference_mode()
def answers(
    model: VideoLlavaForConditionalGeneration,
    processor: VideoLlavaProcessor,
    form: Form,
    shown: Sequence[Frames],
    asked: Sequence[Question],
    batch: int = 25,
) -> list[str]:
    """What the model says to each question about its 8 frames, greedily; worded as the Video-LLaVA adapter does it."""
    said: list[str] = []
    for k in range(0, len(asked), batch):
        texts = [f"{before(form)}<video>\n{after(form, question)}" for question in asked[k : k + batch]]
        videos = [np.ascontiguousarray(frames) for frames in shown[k : k + batch]]
        inputs = processor(text=texts, videos=videos, padding=True, return_tensors="pt")
        out = model.generate(**inputs, max_new_tokens=10, do_sample=False)[:, inputs["input_ids"].shape[1] :]
        said += [text.strip() for text in processor.batch_decode(out, skip_special_tokens=True)]
    return said


def same(said: str, option: str) -> bool:
    """Whether two texts are equal but for case, outer blanks and a full stop."""
    return said.strip().rstrip(".").casefold() == option.strip().rstrip(".").casefold()
