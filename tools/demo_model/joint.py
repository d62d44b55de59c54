"""Stage 2: tower, projector and language model together learn to answer in words.

Each clip is asked several questions at once on a shared prefix. Beside the words of the answers, linear read-outs in
the middle of the language model say for each frame what it shows, which frame it is, what was shown before and what
has been going on: the comparisons between frames that the answers need, learned densely and early. They are dropped
after training.
"""

from __future__ import annotations

import logging
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedTokenizerFast, VideoLlavaForConditionalGeneration

from tools.demo_model.data import NO_COLOUR, NO_SHAPE, clip_looks, look_labels, pixels, random_scene
from tools.demo_model.forms import Form, after, before, reply
from tools.demo_model.model import FRAME_TOKENS
from tools.demo_model.training import Training, adamw, cosine, shown, warm
from tools.demo_model.vision import encode
from videval.benchmarks.shapes import (
    ACTIONS,
    BACKGROUNDS,
    COLOURS,
    DIRECTIONS,
    SAMPLED,
    SHAPES,
    Look,
    Parade,
    Question,
    Scene,
    questions,
)

log = logging.getLogger(__name__)
T = TypeVar("T")

MIDDLE, NAME, OPTION = 3, 4, 5
ABSENT = 4
IGNORE = -100
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


@dataclass(frozen=True, kw_only=True)
class Hidden:
    """Hidden states: of questions' tokens after the last layer, NAME and OPTION layers, [clips, asked, slot, width];
    of each frame's last token after MIDDLE layers, [clips, 8, width]."""

    words: torch.Tensor
    names: torch.Tensor
    options: torch.Tensor
    frames: torch.Tensor


class FrameHeads(nn.Module):
    """Linear read-outs at the last token of each frame, in the middle of the language model."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.heads = nn.ModuleDict({name: nn.Linear(width, size) for name, size in HEADS.items()})
        self.place = nn.Linear(width, 3)
        self.option = nn.Linear(width, 1)
        self.turn = nn.Linear(width, ABSENT + 1)
        self.text_norm = nn.LayerNorm(width)

    def text_losses(self, hidden: Hidden, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        """Losses of what the text's own tokens should know: whether an option is right, when a figure was shown."""
        there, named = batch.marks != IGNORE, batch.turns != IGNORE
        score, wanted = self.option(self.norm(hidden.options[there]))[:, 0], batch.marks[there].float()
        loss = F.binary_cross_entropy_with_logits(score, wanted)
        right = {"option": ((score > 0).float() == wanted).float().mean().item()}
        if named.any():
            turn, at = self.turn(self.text_norm(hidden.names[named])), batch.turns[named]
            loss = loss + F.cross_entropy(turn, at)
            right["turn"] = (turn.argmax(-1) == at).float().mean().item()
        return loss, right

    def loss(self, hidden: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        """Mean loss over heads and each head's share of right answers; hidden is [clips, 8, width]."""
        hidden = self.norm(hidden)
        total, right = torch.zeros(()), {}
        for name, head in self.heads.items():
            labels = batch.frames[name]
            there = labels != IGNORE
            if there.any():
                logits = head(hidden[there])
                total = total + F.cross_entropy(logits, labels[there])
                right[name] = (logits.argmax(-1) == labels[there]).float().mean().item()
        place = (self.place(hidden) - batch.place).square().mean()
        return (total + place) / len(HEADS), right


def forward(model: VideoLlavaForConditionalGeneration, batch: Batch, depth: int | None = None) -> Hidden:
    """Run the model's own layers (the first `depth` of them) under a mask in which a question sees the prefix and
    itself."""
    core, llama = model.model, model.model.language_model
    video = core.multi_modal_projector(encode(core.video_tower, batch.images))
    clips, width = len(batch.tokens), video.shape[-1]
    begin = int((batch.prefix == model.config.video_token_index).nonzero()[0])
    end, prefix = begin + SAMPLED * FRAME_TOKENS, len(batch.prefix)
    head = llama.embed_tokens(batch.prefix[:begin]).expand(clips, -1, -1)
    tail = llama.embed_tokens(batch.prefix[end:]).expand(clips, -1, -1)
    words = llama.embed_tokens(batch.tokens.flatten(1))
    hidden = torch.cat([head, video.reshape(clips, -1, width), tail, words], 1)
    mask, positions = shared_prefix(prefix, *batch.tokens.shape[1:])
    rotary = llama.rotary_emb(hidden, position_ids=positions[None])
    after_layer = [hidden]
    for layer in llama.layers[:depth]:
        after_layer.append(layer(after_layer[-1], attention_mask=mask, position_embeddings=rotary))
    asked = (*batch.tokens.shape, width)
    return Hidden(
        words=llama.norm(after_layer[-1][:, prefix:]).view(asked),
        names=after_layer[min(NAME, len(after_layer) - 1)][:, prefix:].reshape(asked),
        options=after_layer[min(OPTION, len(after_layer) - 1)][:, prefix:].reshape(asked),
        frames=after_layer[MIDDLE][:, begin + FRAME_TOKENS - 1 : end : FRAME_TOKENS],
    )


def shared_prefix(prefix: int, asked: int, slot: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention mask, bool [1, 1, n, n], and position numbers [n] for questions side by side after one prefix."""
    owner = torch.cat([torch.zeros(prefix, dtype=torch.long), torch.arange(1, asked + 1).repeat_interleave(slot)])
    n = len(owner)
    causal = torch.ones(n, n, dtype=torch.bool).tril()
    mask = causal & ((owner[None, :] == 0) | (owner[None, :] == owner[:, None]))
    positions = torch.cat([torch.arange(prefix), prefix + torch.arange(slot).repeat(asked)])
    return mask[None, None], positions


def answer_loss(
    model: VideoLlavaForConditionalGeneration, hidden: torch.Tensor, batch: Batch
) -> tuple[torch.Tensor, dict[str, float]]:
    """Cross entropy of the answers' words, and per task the share of answers whose words are all right."""
    wanted = batch.targets != IGNORE
    logits = model.lm_head(hidden[wanted])
    loss = F.cross_entropy(logits, batch.targets[wanted])
    wrong = torch.zeros_like(batch.targets, dtype=torch.bool)
    wrong[wanted] = logits.argmax(-1) != batch.targets[wanted]
    right: dict[str, list[float]] = defaultdict(list)
    for tasks, flags in zip(batch.tasks, (~wrong.any(-1)).tolist(), strict=True):
        for task, flag in zip(tasks, flags, strict=True):
            right[task].append(float(flag))
    return loss, {task: sum(flags) / len(flags) for task, flags in right.items()}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long and how much: `dense` steps on frames alone (no questions, lower half of the layers), then `words`
    steps with questions in words, then `mixed` steps with letters every other time."""

    dense: int
    words: int
    mixed: int
    dense_clips: int = 32
    clips: int = 16
    asked: int = 4
    parades: float = 0.7
    rate: float = 1.5e-3
    tower_share: float = 0.2

    def form(self, step: int) -> Form | None:
        """How this step's questions are put; None: none are asked."""
        if step < self.dense:
            return None
        return "letters" if step >= self.dense + self.words and step % 2 else "words"

    def factor(self, step: int) -> float:
        """The learning rate factor of this step; each of the three parts warms up, the last two cool down."""
        asked, mixed = step - self.dense, step - self.dense - self.words
        if asked < 0:
            return warm(step)
        return cosine(asked, self.words) if mixed < 0 else cosine(mixed, self.mixed) * 0.7


def train_joint(
    model: VideoLlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    path: Path,
    *,
    plan: Plan,
    seed: int,
) -> None:
    """Train the model in place; the state is kept at `path` and taken up from there."""
    heads = FrameHeads(model.config.text_config.hidden_size)
    core = model.model
    rest = nn.ModuleList([core.multi_modal_projector, core.language_model, model.lm_head, heads])
    parts = nn.ModuleDict({"model": model, "heads": heads})
    optimizer = adamw((core.video_tower, plan.tower_share), (rest, 1.0))
    training = Training(path=path, parts=parts, optimizer=optimizer, rate=plan.rate)
    training.resume()
    tally = Tally()
    for step in training.steps(plan.dense + plan.words + plan.mixed):
        form = plan.form(step)
        batch = _step_batch(tokenizer, plan, step, seed)
        hidden = forward(model, batch, None if form else MIDDLE)
        loss, shares = heads.loss(hidden.frames, batch)
        tally.add("frames", shares)
        if form:
            words, right = answer_loss(model, hidden.words, batch)
            marks, known = heads.text_losses(hidden, batch)
            tally.add(form, {**right, **known})
            loss = loss + words + marks
        training.descend(loss, plan.factor(step))
        if step % 50 == 0:
            log.info("joint %d loss %.3f %.0f s", step, loss.item(), training.seconds)
            tally.write()


def _step_batch(tokenizer: PreTrainedTokenizerFast, plan: Plan, step: int, seed: int) -> Batch:
    rng, noise = random.Random(f"joint {seed} {step}"), np.random.default_rng((seed, step, 1))
    form = plan.form(step)
    count, parades = (plan.clips, plan.parades) if form else (plan.dense_clips, 0.5)
    scenes = [random_scene(rng, parades) for _ in range(count)]
    return make_batch(scenes, tokenizer, rng, noise, asked=plan.asked if form else 0, form=form or "words")


class Tally:
    """Shares of right answers since the last line of the log, by form and task."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def add(self, kind: str, shares: dict[str, float]) -> None:
        """Note one step's shares."""
        for name, share in shares.items():
            self.found[kind][name].append(share)

    def write(self) -> None:
        """Log the means, and begin anew."""
        for kind, some in self.found.items():
            log.info("    %s: %s", kind, shown({name: sum(v) / len(v) for name, v in some.items()}))
        self.found.clear()
