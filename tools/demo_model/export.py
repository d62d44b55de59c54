"""The last stage: the trained model, its files and its model card go into the package, if the gate is passed."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

from tools.demo_model.evaluate import Report
from videval.benchmarks.shapes.questions import TASKS

log = logging.getLogger(__name__)

FILES = (
    "config.json", "generation_config.json", "model.safetensors",
    "processor_config.json", "tokenizer.json", "tokenizer_config.json",
)  # fmt: skip


def export(work: Path, out: Path, reports: Sequence[Report], *, command: str, insist: bool) -> bool:
    """Copy `work`/candidate to `out` with a model card, unless `insist` and the gate fails; whether it passes."""
    passed = all(any(r.task == task and r.form == "words" and r.passes for r in reports) for task in TASKS)
    if not passed and insist:
        log.error("not exported: %s", ", ".join(r.task for r in reports if not r.passes))
        return False
    out.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(work / "candidate" / name, out / name)
        (out / name).chmod(0o644)
    (out / "MODEL_CARD.md").write_text(model_card(reports, minutes=_minutes(work), command=command))
    log.info("exported to %s", out)
    return passed


def _minutes(work: Path) -> dict[str, float]:
    names = {"vision": "vision.pt", "joint": "joint.pt"}
    return {k: torch.load(work / v, weights_only=True)["seconds"] / 60 for k, v in names.items()}


def model_card(reports: Sequence[Report], *, minutes: dict[str, float], command: str) -> str:
    """The model card in Markdown."""
    spent = ", ".join(f"{name} {value:.1f}" for name, value in minutes.items())
    return CARD.format(table=results_table(reports), command=command, spent=spent, total=sum(minutes.values()))


def results_table(reports: Sequence[Report]) -> str:
    """One line per task and form, percent right."""
    head = "| task | form | n | chance | order-free | right | shuffled | reversed | black | other clip | gate |"
    lines = [head, "|" + "---|" * 11]
    for r in reports:
        turned = "-" if r.reversed is None else f"{r.reversed:.1%}"
        shares = [r.chance, r.order_free, r.right, r.shuffled]
        cells = [r.task, r.form, str(r.n), *(f"{s:.1%}" for s in shares), turned, f"{r.black:.1%}", f"{r.other:.1%}"]
        lines.append("| " + " | ".join([*cells, "pass" if r.passes else "fail"]) + " |")
    return "\n".join(lines)


CARD = """\
# Video-LLaVA-tiny

A Video-LLaVA of 1.9 million parameters that answers questions about short drawn clips ("moving shapes") because it
saw them: right frames in the right order give the right answer, other frames do not. It exists for demos and tests of
the videval pipeline. It knows nothing else.

- Architecture: `VideoLlavaForConditionalGeneration` with `VideoLlavaProcessor` (transformers 5), CLIP vision tower
  (48 px, patch 16, width 96, 4 layers, features of the last but one) and Llama (width 128, 6 layers); 8 frames, 10
  tokens a frame; byte-level BPE. The image tower has the video tower's weights. Stored in fp16; run it in fp32 on CPUs.
- Training data: scenes drawn by `videval/benchmarks/shapes/`, no real images. Licence: as videval (Apache-2.0).
- Trained by `{command}` on one CPU core: {spent}; {total:.0f} minutes in all.

## Prompt

`USER: <video>\\n{{question}}\\nChoose one: {{option}}; {{option}}; {{option}}; {{option}}. ASSISTANT:`; the answer is
the option's words, then the end token. One question at a time: several in one prompt, other wordings, system texts and
answers by letter were not trained.

## Results

Held-out clips, h264, read back by decord, through the real processor, greedy. *Order-free* is the best that can be
reached without the order of the frames. *Reversed* counts the time-reversed option as right.
The gate: right >= 95 %, shuffled <= order-free + 10, reversed >= 85 %, black and other clip <= chance + 10.

{table}
"""
