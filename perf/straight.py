"""Straight loops of transformers over a table of questions, as one would write them by hand; no code of videval.

`item`: every question's frames are decoded with decord, go through the processor and the model, one question after
another. `prefix`: the best loop that we could write. A clip is decoded and made into pixels once, its prompt up to the
question is computed once, and four questions are one batch on copies of that. `perf/real_model.py` runs them in
processes of their own.
"""

import copy
import csv
import json
import sys
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import torch
from decord import VideoReader
from transformers import AutoModelForImageTextToText, AutoProcessor, GenerationConfig
from transformers.video_utils import VideoMetadata

FRAMES = 8
BATCH = 4
Row = dict[str, str]


def main(checkpoint: str, table: str, shard: str, shards: str, tokens: str, way: str, policy: str) -> None:
    """Answer the questions about every `shards`-th clip, from `shard` on; says when it has loaded, and begins at the
    next line read.

    Prints JSON: when it began and ended, its CPU seconds in between, and its answers by index.
    """
    torch.set_num_threads(1)
    loop = {"item": Loop, "prefix": PrefixLoop}[way](checkpoint, int(tokens), policy)
    with Path(table).open(encoding="utf-8") as file:
        clips = [list(rows) for _, rows in groupby(csv.DictReader(file, delimiter="\t"), lambda row: row["video"])]
    print("loaded", flush=True)
    sys.stdin.readline()
    began, cpu, answers = time.time(), time.process_time(), {}
    with torch.inference_mode():
        for rows in clips[int(shard) :: int(shards)]:
            answers.update(loop.answers(Path(table).parent / rows[0]["video"], rows))
    print(json.dumps({"began": began, "ended": time.time(), "cpu": time.process_time() - cpu, "answers": answers}))


class Loop:
    """One question after another."""

    def __init__(self, checkpoint: str, tokens: int, policy: str) -> None:
        self.processor = AutoProcessor.from_pretrained(checkpoint)
        self.model = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=torch.float32).eval()
        self.ends, self.tokens, self.policy = self.model.generation_config.eos_token_id, tokens, policy

    def answers(self, video: Path, rows: list[Row]) -> Iterator[tuple[str, str]]:
        """The answers to questions about a clip, by their index."""
        for row in rows:
            inputs = self.inputs(self.decoded(video), row["question"])
            yield row["index"], self.read(self.generated(inputs))[0]

    def decoded(self, video: Path):
        reader = VideoReader(str(video), num_threads=1)
        total = len(reader)
        numbers = [int(n * total / (FRAMES + 1)) for n in range(1, FRAMES + 1)]
        if self.policy == "stride":
            numbers = [int(n * total / FRAMES) for n in range(FRAMES)]
        return reader.get_batch(numbers).asnumpy(), numbers, total, reader.get_avg_fps()

    def inputs(self, decoded, question: str):
        frames, numbers, total, fps = decoded
        has_video = getattr(self.processor, "video_processor", None) is not None
        shown = [{"type": "video", "video": frames}] if has_video else [{"type": "image", "image": f} for f in frames]
        told = {"return_tensors": "pt"}
        if has_video:
            metadata = VideoMetadata(total_num_frames=total, fps=fps, frames_indices=numbers, duration=total / fps)
            told |= {"do_sample_frames": False, "video_metadata": [[metadata]]}
        return self.processor.apply_chat_template(
            self.asked(shown, question), add_generation_prompt=True, tokenize=True, return_dict=True,
            processor_kwargs=told,
        )  # fmt: skip

    def asked(self, shown, question: str):
        return [{"role": "user", "content": [*shown, {"type": "text", "text": question}]}]

    def generated(self, inputs, **more):
        out = self.model.generate(**inputs, max_new_tokens=self.tokens, do_sample=False, **more)
        return out[:, inputs["input_ids"].shape[1] :]

    def read(self, new) -> list[str]:
        """Answers, without the tokens that end them and what follows these."""
        ends = [self.ends] if isinstance(self.ends, int) else self.ends
        rows = [row[: next((n for n, token in enumerate(row) if token in ends), None)] for row in new.tolist()]
        return [self.processor.tokenizer.decode(row, skip_special_tokens=True) for row in rows]


class PrefixLoop(Loop):
    """All questions about a clip on one computation of it; pads stand between the clip and the question."""

    def answers(self, video: Path, rows: list[Row]) -> Iterator[tuple[str, str]]:
        """The answers to questions about a clip, by their index."""
        inputs = dict(self.inputs(self.decoded(video), rows[0]["question"]))
        shown = [{"type": "video"}] if hasattr(self.processor, "video_processor") else [{"type": "image"}] * FRAMES
        ends = [self.suffix(shown, row["question"]) for row in rows]
        at = inputs["input_ids"].shape[1] - len(ends[0])
        head = inputs["input_ids"][:, :at]
        placed = [self.positions(inputs, torch.cat([head, torch.tensor([end])], 1), at) for end in ends]
        cache = self.computed(inputs, at, placed[0])
        is_windowed = any(cache.is_sliding)
        batches = groupby(range(len(rows)), lambda n: (len(ends[n]) if is_windowed else 0, n // BATCH))
        for _, batch in batches:
            own = list(batch)
            told = self.joined(head, [ends[n] for n in own], [placed[n] for n in own])
            new = self.generated(told, cache=copies(cache, len(own)))
            yield from zip([rows[n]["index"] for n in own], self.read(new), strict=True)

    def suffix(self, shown, question: str) -> list[int]:
        """The tokens from the question on."""
        text = self.processor.apply_chat_template(
            self.asked(shown, question), add_generation_prompt=True, tokenize=False
        )
        return self.processor.tokenizer(text[text.rindex(question) :], add_special_tokens=False)["input_ids"]

    def positions(self, inputs, ids, at: int):
        """Where the tokens stand, as the model itself says it of a whole prompt."""
        told = {name: value for name, value in inputs.items() if name not in ("input_ids", "attention_mask")}
        for name, value in told.items():
            if value.shape == inputs["input_ids"].shape:
                told[name] = torch.cat([value[:, :at], value.new_zeros((1, ids.shape[1] - at))], 1)
        return self.model._prepare_position_ids_for_generation(ids, told | {"attention_mask": torch.ones_like(ids)})

    def computed(self, inputs, at: int, positions):
        per_token = {n: v[:, :at] for n, v in inputs.items() if v.shape == inputs["input_ids"].shape}
        one = GenerationConfig(max_new_tokens=1, do_sample=False, return_dict_in_generate=True)
        return self.model.generate(
            **inputs | per_token, position_ids=positions[..., :at], generation_config=one
        ).cache  # fmt: skip

    def joined(self, head, ends, placed):
        longest, at = max(map(len, ends)), head.shape[1]
        pads = [longest - len(end) for end in ends]
        rows = [torch.tensor([[0] * n + end]) for n, end in zip(pads, ends, strict=True)]
        masks = [torch.tensor([[1] * at + [0] * n + [1] * (longest - n)]) for n in pads]
        spread = [
            torch.cat([p[..., :at], p.new_zeros((*p.shape[:-1], n)), p[..., at:]], -1)
            for n, p in zip(pads, placed, strict=True)
        ]
        return {
            "input_ids": torch.cat([torch.cat([head, row], 1) for row in rows]),
            "attention_mask": torch.cat(masks),
            "position_ids": torch.cat(spread, -2),
        }


def copies(cache, count: int):
    """The cache for so many questions."""
    own = copy.deepcopy(cache)
    if count > 1:
        own.batch_repeat_interleave(count)
    return own
