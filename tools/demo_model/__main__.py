"""`python -m tools.demo_model`: tokenizer, vision, joint training, evaluation, export. See README.md here."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast, VideoLlavaForConditionalGeneration, VideoLlavaProcessor

import videval
from tools.demo_model.evaluate import Report, evaluate, read_reports, write_reports
from tools.demo_model.export import export
from tools.demo_model.forms import Form
from tools.demo_model.joint import Plan, train_joint
from tools.demo_model.model import build_model, build_processor, save_model
from tools.demo_model.tokenizer import build_tokenizer
from tools.demo_model.vision import train_vision

log = logging.getLogger("tools.demo_model")

PACKAGED = Path(videval.__file__).parent / "models" / "tiny"
STAGES = ("tokenizer", "vision", "joint", "evaluate", "export")


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is done: steps of both trainings, held-out questions per task and the forms in which they are put."""

    vision: int = 1200
    plan: Plan = field(default_factory=lambda: Plan(dense=350, words=900, mixed=0))
    questions: int = 500
    forms: tuple[Form, ...] = ("words",)


QUICK = Size(vision=4, plan=Plan(dense=2, words=2, mixed=2, dense_clips=4, clips=4), questions=1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the stages that are not done yet; 0 if the gate is passed (or --quick), else 1."""
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    size = QUICK if options.quick else Size()
    if options.letters:
        size = replace(size, plan=replace(size.plan, mixed=options.letters), forms=("words", "letters"))
    out = options.out or (options.work / "tiny" if options.quick else PACKAGED)
    reports = run(options.work, size=size, seed=options.seed, until=STAGES.index(options.until))
    if options.until != "export":
        return 0
    command = f"python -m tools.demo_model --seed {options.seed}" + " --quick" * options.quick
    passed = export(options.work, out, reports, command=command, insist=not options.quick)
    return 0 if passed or options.quick else 1


def run(work: Path, *, size: Size, seed: int, until: int) -> list[Report]:
    """Tokenizer to evaluation, each stage resumed from what `work` holds; the held-out results."""
    tokenizer = _tokenizer(work / "tokenizer", seed)
    model = build_model(tokenizer, seed)
    if until >= STAGES.index("vision"):
        train_vision(model.model.video_tower, work / "vision.pt", steps=size.vision, seed=seed)
    if until >= STAGES.index("joint"):
        train_joint(model, tokenizer, work / "joint.pt", plan=size.plan, seed=seed)
        if _is_older(work / "candidate" / "model.safetensors", work / "joint.pt"):
            save_model(model, build_processor(tokenizer), work / "candidate")
    if until >= STAGES.index("evaluate"):
        return _evaluated(work, size=size, seed=seed)
    return []


def _tokenizer(folder: Path, seed: int) -> PreTrainedTokenizerFast:
    if not (folder / "tokenizer.json").exists():
        build_tokenizer(seed).save_pretrained(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)


def _evaluated(work: Path, *, size: Size, seed: int) -> list[Report]:
    """Results of the saved candidate, loaded as a user would; evaluated anew if its weights are newer."""
    results, weights = work / "results.json", work / "candidate" / "model.safetensors"
    if _is_older(results, weights):
        model = VideoLlavaForConditionalGeneration.from_pretrained(work / "candidate", dtype=torch.float32)
        processor = VideoLlavaProcessor.from_pretrained(work / "candidate")
        reports = evaluate(model.eval(), processor, n=size.questions, seed=seed, forms=size.forms)
        write_reports(results, reports)
    return read_reports(results)


def _is_older(made: Path, source: Path) -> bool:
    """Whether a file is to be made again: it is not there, or older than what it is made from."""
    return not made.exists() or made.stat().st_mtime < source.stat().st_mtime


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.demo_model", description=__doc__)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parser.add_argument("--work", type=Path, default=cache / "videval" / "demo_model", help="checkpoints")
    parser.add_argument("--out", type=Path, help="where the model goes; default: into the package")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="torch threads")
    parser.add_argument("--quick", action="store_true", help="a few steps of everything, to see that it runs")
    parser.add_argument(
        "--letters", type=int, default=0, help="steps more, every other one asked by letter; see README"
    )
    parser.add_argument("--until", choices=STAGES, default="export", help="the last stage to run")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
