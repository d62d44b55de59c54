"""A straight loop of transformers over a table of questions, as one would write it by hand; no code of videval.

Every question's frames are decoded with decord, go through the processor and the model, one question after another.
`perf/real_model.py` runs it in processes of its own.
"""

import csv
import json
import sys
import time
from pathlib import Path

import torch
from decord import VideoReader
from transformers import AutoModelForImageTextToText, AutoProcessor
from transformers.video_utils import VideoMetadata

FRAMES = 8


def main(checkpoint: str, table: str, shard: str, shards: str, tokens: str) -> None:
    """Answer every `shards`-th question, from `shard` on; says when it has loaded, and begins at the next line read.

    Prints JSON: when it began and ended, its CPU seconds in between, and its answers by index.
    """
    torch.set_num_threads(1)
    processor = AutoProcessor.from_pretrained(checkpoint)
    model = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=torch.float32).eval()
    ends = model.generation_config.eos_token_id
    with Path(table).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))[int(shard) :: int(shards)]
    print("loaded", flush=True)
    sys.stdin.readline()
    began, cpu, answers = time.time(), time.process_time(), {}
    for row in rows:
        reader = VideoReader(str(Path(table).parent / row["video"]), num_threads=1)
        numbers = [int(n * len(reader) / (FRAMES + 1)) for n in range(1, FRAMES + 1)]
        frames = reader.get_batch(numbers).asnumpy()
        inputs = _inputs(processor, frames, numbers, len(reader), reader.get_avg_fps(), row["question"])
        with torch.inference_mode():
            out = model.generate(**inputs, max_new_tokens=int(tokens), do_sample=False)
        new = [t for t in out[0, inputs["input_ids"].shape[1] :].tolist() if t not in ends]
        answers[row["index"]] = processor.tokenizer.decode(new, skip_special_tokens=True)
    print(json.dumps({"began": began, "ended": time.time(), "cpu": time.process_time() - cpu, "answers": answers}))


def _inputs(processor, frames, numbers, total, fps, question):
    has_video = getattr(processor, "video_processor", None) is not None
    shown = [{"type": "video", "video": frames}] if has_video else [{"type": "image", "image": f} for f in frames]
    told = {"return_tensors": "pt"}
    if has_video:
        metadata = VideoMetadata(total_num_frames=total, fps=fps, frames_indices=numbers, duration=total / fps)
        told |= {"do_sample_frames": False, "video_metadata": [[metadata]]}
    content = [*shown, {"type": "text", "text": question}]
    return processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=True, return_dict=True,
        processor_kwargs=told,
    )  # fmt: skip
