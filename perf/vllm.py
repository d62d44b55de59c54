"""vLLM in the engine beside plain offline vLLM and beside hf_chat, on the same prompts.

    .venv-vllm/bin/python -m perf.vllm
    .venv-vllm/bin/python -m perf.vllm --clips 10 --rounds 1

A tiny random Qwen2.5-VL, clips of noise (64 frames of 56x56), four questions about each, 32 new tokens, float32. All
questions are asked at once. `plain` is `LLM.generate` on the same texts and frames in a process of its own, hf_chat
answers one after another in its engine process. Each is loaded and asked one question about each of two other clips
first; rounds go through all three in turn.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil

from tests.servers import settings_for
from tests.tiny import TINY
from tests.vllm.wide import widen
from videval.models.catalog import model_spec
from videval.types import Answer, Clip, GenerationSettings, Prompt, Text, Video
from workers.device import parse_devices
from workers.engine import Engine

SETTINGS = GenerationSettings(max_new_tokens=32)
QUESTIONS = ("What happens?", "Who is there, and why?", "When does it begin?", "Where does it all end?")
FRAMES, SIZE, FPS = 64, 56, 10.0
BLOCK = 32
"""Tokens of a block of the prefix cache: by default 128 on a CPU, more than stand before a tiny question."""


def clip_of(folder: Path, number: int) -> Clip:
    """A clip of noise."""
    path = folder / f"{number}.npy"
    pixels = np.random.default_rng(number).integers(0, 256, (FRAMES, SIZE, SIZE, 3), dtype=np.uint8)
    np.save(path, pixels)
    return Clip(
        path=str(path), frame_numbers=tuple(range(FRAMES)), timestamps=tuple(n / FPS for n in range(FRAMES)),
        total_frames=FRAMES, fps=FPS, width=SIZE, height=SIZE, decoder="none", policy="uniform",
    )  # fmt: skip


def prompts_of(clips: Sequence[Clip]) -> list[Prompt]:
    """Four questions about each clip."""
    return [Prompt(parts=(Video(), Text(text=q)), clips=(clip,)) for clip in clips for q in QUESTIONS]


class Asked:
    """An engine process of videval with a model, asked by as many threads as there are questions."""

    def __init__(self, folder: Path, model: str) -> None:
        self._engine = Engine(settings_for(folder, generate_deadline=600), parse_devices("cpu:0", gpus=[])[0])
        self._engine.load(model_spec(model), "k", "float32")
        self._threads = ThreadPoolExecutor(512)

    def measure(self, clips: Sequence[Clip]) -> tuple[float, float, float]:
        """Seconds, CPU seconds of the process and the share of cached tokens, for all questions about the clips."""
        process = psutil.Process(self._engine.pid)
        before, began = sum(process.cpu_times()[:2]), time.monotonic()
        answers = list(self._threads.map(self._ask, prompts_of(clips)))
        seconds, cpu = time.monotonic() - began, sum(process.cpu_times()[:2]) - before
        cached = sum(a.generation.cached_tokens or 0 for a in answers)
        return seconds, cpu, cached / sum(a.generation.prompt_tokens or 1 for a in answers)

    def _ask(self, prompt: Prompt) -> Answer:
        how = {"alone": False, "together": prompt.clips[0].path, "load_key": "k", "on_stage": lambda stage: None}
        return self._engine.ask(prompt, SETTINGS, **how)

    def close(self) -> None:
        """End it."""
        self._engine.close()


class Plain:
    """`LLM.generate` in a process of its own."""

    def __init__(self, model: Path) -> None:
        words = [sys.executable, "-m", "perf.vllm", "--plain", str(model)]
        environ = os.environ | {
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_LOGGING_LEVEL": "ERROR",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1", "VLLM_NO_USAGE_STATS": "1",
        }  # fmt: skip
        self._process = subprocess.Popen(
            words, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def measure(self, clips: Sequence[Clip]) -> tuple[float, float, float]:
        """As that of `Asked`."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps([clip.path for clip in clips]) + "\n")
        self._process.stdin.flush()
        while not (line := self._process.stdout.readline()).startswith("["):
            assert line, "plain vLLM ended"
        seconds, cpu, cached = json.loads(line)
        return seconds, cpu, cached

    def close(self) -> None:
        """End it."""
        self._process.kill()


def plain(model: str) -> None:
    """Answer about the clips in each line of standard input; measures go out, a line each."""
    from vllm import LLM, SamplingParams

    llm = LLM(model=model, dtype="float32", enforce_eager=True, max_model_len=-1, block_size=BLOCK)
    params = SamplingParams(temperature=0, max_tokens=SETTINGS.max_new_tokens)
    for line in sys.stdin:
        given = [_given(path, question) for path in json.loads(line) for question in QUESTIONS]
        before, began = time.process_time(), time.monotonic()
        out = llm.generate(given, params, use_tqdm=False)
        seconds, cpu = time.monotonic() - began, time.process_time() - before
        share = sum(o.num_cached_tokens or 0 for o in out) / sum(len(o.prompt_token_ids) for o in out)
        print(json.dumps([seconds, cpu, share]), flush=True)


def _given(path: str, question: str) -> dict[str, Any]:
    shown = "<|vision_start|><|video_pad|><|vision_end|>"
    text = (
        f"<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n{shown}{question}<|im_end|>\n"
    )
    told = {
        "total_num_frames": FRAMES, "fps": FPS, "duration": FRAMES / FPS, "frames_indices": list(range(FRAMES)),
        "do_sample_frames": False,
    }  # fmt: skip
    frames = np.load(path)
    return {"prompt": f"{text}<|im_start|>assistant\n", "multi_modal_data": {"video": [(frames, told)]}}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plain", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.plain:
        plain(given.plain)
        return
    os.environ["VIDEVAL_VLLM_ARGS"] = json.dumps({"block_size": BLOCK})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        TINY["qwen2_5_vl"](folder / "narrow")
        widen(folder / "narrow", folder / "model")
        ways: dict[str, Callable[[], Any]] = {
            "vLLM in the engine": lambda: Asked(folder / "a", f"vllm:{folder / 'model'}"),
            "plain vLLM": lambda: Plain(folder / "model"),
            "hf_chat, one at a time": lambda: Asked(folder / "b", f"hf_chat:{folder / 'model'}"),
        }
        made = {way: make() for way, make in ways.items()}
        found: dict[str, list[tuple[float, float, float]]] = {way: [] for way in ways}
        try:
            for asked in made.values():
                asked.measure([clip_of(folder, number) for number in (10**6, 10**6 + 1)])
            for round_ in range(given.rounds):
                clips = [clip_of(folder, round_ * given.clips + n) for n in range(given.clips)]
                for way, asked in made.items():
                    found[way].append(asked.measure(clips))
        finally:
            for asked in made.values():
                asked.close()
    count = given.clips * len(QUESTIONS)
    for way, rows in found.items():
        seconds, cpu, cached = (median(column) for column in zip(*rows, strict=True))
        print(f"{way:24}{count / seconds:8.1f} questions/s {1000 * cpu / count:8.1f} CPU ms each {cached:6.0%} cached")


if __name__ == "__main__":
    main()
