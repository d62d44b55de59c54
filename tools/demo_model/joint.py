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
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedTokenizerFast, VideoLlavaForConditionalGeneration

from tools.demo_model.batches import ABSENT, HEADS, IGNORE, Batch, make_batch
from tools.demo_model.data import random_scene
from tools.demo_model.forms import Form
from tools.demo_model.model import FRAME_TOKENS
from tools.demo_model.training import Training, adamw, cosine, shown, warm
from tools.demo_model.vision import encode
from videval.benchmarks.shapes.scenes import SAMPLED

log = logging.getLogger(__name__)

MIDDLE, NAME, OPTION = 3, 4, 5
"""After how many layers of the language model frames, names and options are read."""


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
