"""Batches for joint training: clips, their questions as tokens, and what each token and frame should know."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from tools.demo_model.data import NO_COLOUR, NO_SHAPE, clip_looks, look_labels, pixels
from tools.demo_model.forms import Form, after, before, reply
from tools.demo_model.model import FRAME_TOKENS
from videval.benchmarks.shapes.questions import Question, questions
from videval.benchmarks.shapes.scenes import (
    ACTIONS,
    BACKGROUNDS,
    COLOURS,
    DIRECTIONS,
    SAMPLED,
    SHAPES,
    Look,
    Parade,
    Scene,
)

T = TypeVar("T")

IGNORE = -100
ABSENT = 4
DOINGS = ("nothing", *DIRECTIONS, *ACTIONS)
HEADS = {
    "background": len(BACKGROUNDS),
    "colour": NO_COLOUR + 1,
    "shape": NO_SHAPE + 1,
    "number": SAMPLED,
    "colour_before": NO_COLOUR + 1,
    "shape_before": NO_SHAPE + 1,
    "background_before": len(BACKGROUNDS) + 1,
    "colour_first": NO_COLOUR + 1,
    "shape_first": NO_SHAPE + 1,
    "doing": len(DOINGS),
}


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Clips with `asked` questions each; tokens of all questions of a clip stand in slots of equal length.

    images: float [clips * 8, 3, 48, 48]; prefix: int [prefix tokens]; tokens: int [clips, asked, slot];
    targets: the same shape, IGNORE outside answers; frames: labels for HEADS, int [clips, 8].
    marks: the same shape, at the mark after an option 1 if it is the right one and 0 if not, else IGNORE.
    turns: the same shape, at the end of a figure's name in a parade's questions its turn, 0..3, or ABSENT; else IGNORE.
    """

    images: torch.Tensor
    prefix: torch.Tensor
    tokens: torch.Tensor
    targets: torch.Tensor
    frames: dict[str, torch.Tensor]
    place: torch.Tensor
    marks: torch.Tensor
    turns: torch.Tensor
    tasks: list[list[str]]


def make_batch(
    scenes: Sequence[Scene],
    tokenizer: PreTrainedTokenizerFast,
    rng: random.Random,
    noise: np.random.Generator,
    *,
    asked: int,
    form: Form = "words",
) -> Batch:
    """Draw, question and label scenes."""
    clips = [clip_looks(scene, rng) for scene in scenes]
    chosen = [_choose(scene, rng, asked) for scene in scenes]
    tokens, targets, marks = _slots(chosen, tokenizer, form)
    looks = [look for clip in clips for look in clip]
    labels = [frame_labels(scene, clip) for scene, clip in zip(scenes, clips, strict=True)]
    frames = {k: torch.tensor([label[k] for label in labels]) for k in HEADS if k in labels[0]}
    seen = look_labels(looks)
    for name in ("background", "colour", "shape"):
        frames[name] = seen[name].view(len(scenes), SAMPLED)
    return Batch(
        images=pixels(looks, noise, clip=SAMPLED),
        prefix=torch.tensor(prefix_tokens(tokenizer, form)),
        tokens=tokens,
        targets=targets,
        frames=frames,
        place=seen["place"].view(len(scenes), SAMPLED, 3),
        marks=marks,
        turns=_turns(scenes, tokens, tokenizer),
        tasks=[[q.task for q in some] for some in chosen],
    )


def _choose(scene: Scene, rng: random.Random, asked: int) -> list[Question]:
    """`asked` questions: of each task one, then others; where a scene has fewer, some again with other options."""
    found: list[Question] = []
    while len(found) < asked:
        some = questions(scene, rng)
        first = {q.task: q for q in some}
        found += [*first.values(), *(q for q in some if q is not first[q.task] and q.task == "Action Sequence")]
    return found[:asked]


def prefix_tokens(tokenizer: PreTrainedTokenizerFast, form: Form) -> list[int]:
    """What comes before every question, to the line feed after the 80 video tokens."""
    video = tokenizer.convert_tokens_to_ids("<video>")
    start = tokenizer(before(form))["input_ids"]
    end = tokenizer("\n", add_special_tokens=False)["input_ids"]
    return [*start, *[video] * (SAMPLED * FRAME_TOKENS), *end]


def _slots(
    chosen: list[list[Question]], tokenizer: PreTrainedTokenizerFast, form: Form
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tokens, targets and marks of a batch, each [clips, asked, slot]."""
    flat = [q for some in chosen for q in some]
    if not flat:
        empty = torch.zeros(len(chosen), 0, 0, dtype=torch.long)
        return empty, empty, empty
    asks = tokenizer([after(form, q) for q in flat], add_special_tokens=False)["input_ids"]
    answers = tokenizer([reply(form, q, q.answer) + "</s>" for q in flat], add_special_tokens=False)["input_ids"]
    slot = max(len(a) + len(b) for a, b in zip(asks, answers, strict=True))
    ends = _option_ends(tokenizer, form)
    tokens = torch.full((len(flat), slot), tokenizer.pad_token_id)
    targets = torch.full((len(flat), slot), IGNORE)
    marks = torch.full((len(flat), slot), IGNORE)
    for row, (question, ask, answer) in enumerate(zip(flat, asks, answers, strict=True)):
        tokens[row, : len(ask) + len(answer)] = torch.tensor(ask + answer)
        targets[row, len(ask) - 1 : len(ask) + len(answer) - 1] = torch.tensor(answer)
        places = [k for k, token in enumerate(ask) if token in ends][-len(question.options) :]
        marks[row, places] = torch.tensor([int(o == question.answer) for o in question.options])
    shape = (len(chosen), len(chosen[0]), slot)
    return tokens.view(shape), targets.view(shape), marks.view(shape)


def _option_ends(tokenizer: PreTrainedTokenizerFast, form: Form) -> list[int]:
    """The tokens that end an option; the last ones of a question are its options'."""
    return [tokenizer(mark, add_special_tokens=False)["input_ids"][0] for mark in (";." if form == "words" else "\n")]


def _turns(scenes: Sequence[Scene], tokens: torch.Tensor, tokenizer: PreTrainedTokenizerFast) -> torch.Tensor:
    """Labels [clips, asked, slot] at both words of each `colour shape` in the tokens."""
    colours, shapes = (
        torch.tensor([tokenizer(f" {word}", add_special_tokens=False)["input_ids"][0] for word in words])
        for words in (COLOURS, SHAPES)
    )
    table = torch.full((len(scenes), len(COLOURS), len(SHAPES)), IGNORE)
    for number, scene in enumerate(scenes):
        if isinstance(scene, Parade):
            table[number] = ABSENT
            for turn, figure in enumerate(scene.figures):
                table[number, list(COLOURS).index(figure.colour), SHAPES.index(figure.shape)] = turn
    labels = torch.full_like(tokens, IGNORE)
    colour = (tokens[..., :-1, None] == colours).int()
    shape = (tokens[..., 1:, None] == shapes).int()
    clip, asked, place = ((colour.sum(-1) * shape.sum(-1)) > 0).nonzero(as_tuple=True)
    found = table[clip, colour[clip, asked, place].argmax(-1), shape[clip, asked, place].argmax(-1)]
    labels[clip, asked, place] = labels[clip, asked, place + 1] = found
    return labels


def frame_labels(scene: Scene, clip: Sequence[Look]) -> dict[str, list[int]]:
    """For each frame of a clip: its number, what was shown before the latest change, what came first, what goes on."""
    seen = look_labels(clip)
    figures = list(zip(seen["colour"].tolist(), seen["shape"].tolist(), strict=True))
    grounds = seen["background"].tolist()
    figure_before = _before(figures, (NO_COLOUR, NO_SHAPE))
    return {
        "number": list(range(SAMPLED)),
        "colour_before": [c for c, _ in figure_before],
        "shape_before": [s for _, s in figure_before],
        "background_before": _before(grounds, len(BACKGROUNDS)),
        "colour_first": [figures[0][0]] * SAMPLED,
        "shape_first": [figures[0][1]] * SAMPLED,
        "doing": _doing(scene, clip),
    }


def _before(values: Sequence[T], none: T) -> list[T]:
    found, before = [], none
    for number, value in enumerate(values):
        if number and value != values[number - 1]:
            before = values[number - 1]
        found.append(before)
    return found


def _doing(scene: Scene, clip: Sequence[Look]) -> list[int]:
    if isinstance(scene, Parade) or scene.action is None:
        return [IGNORE] * SAMPLED
    number = DOINGS.index(scene.action)
    if scene.action in ("appears", "disappears"):
        before = clip[0].figure is None
        return [number if (look.figure is None) != before else 0 for look in clip]
    return [0, *[number] * (SAMPLED - 1)]
