"""The demo model's training, a few steps of each stage: it runs, it goes on where it was cut, its export loads."""

import json
import random
from pathlib import Path

import numpy as np
import torch
from transformers import VideoLlavaForConditionalGeneration, VideoLlavaProcessor

from tools.demo_model.__main__ import main
from tools.demo_model.batches import make_batch
from tools.demo_model.data import random_scene
from tools.demo_model.joint import forward
from tools.demo_model.model import build_model
from tools.demo_model.tokenizer import build_tokenizer
from tools.demo_model.vision import train_vision
from videval.benchmarks.shapes.questions import TASKS


def test_a_quick_training_goes_on_where_it_was_cut_and_exports_a_model_that_loads(tmp_path: Path) -> None:
    work, out = tmp_path / "work", tmp_path / "tiny"
    quick = ["--quick", "--work", str(work), "--out", str(out)]
    assert main([*quick, "--until", "vision"]) == 0
    trained = (work / "vision.pt").stat().st_mtime_ns
    assert main(quick) == 0

    assert (work / "vision.pt").stat().st_mtime_ns == trained
    results = json.loads((work / "results.json").read_text())
    assert [(r["task"], r["form"]) for r in results] == [(task, "words") for task in TASKS]
    assert "python -m tools.demo_model --seed 0 --quick" in (out / "MODEL_CARD.md").read_text()
    model = VideoLlavaForConditionalGeneration.from_pretrained(out)
    VideoLlavaProcessor.from_pretrained(out)
    assert (out / "model.safetensors").stat().st_size < 5_000_000
    video, image = model.model.video_tower.state_dict(), model.model.image_tower.state_dict()
    assert all(torch.equal(video[name], image[name]) for name in video)


def test_questions_side_by_side_on_one_prefix_are_each_answered_as_alone() -> None:
    """The training's own pass gives the logits of the real model's forward."""
    tokenizer = build_tokenizer(0)
    model = build_model(tokenizer, 0).eval()
    scenes = [random_scene(random.Random(seed)) for seed in range(2)]
    batch = make_batch(scenes, tokenizer, random.Random(0), np.random.default_rng(0), asked=3)
    with torch.no_grad():
        together = model.lm_head(forward(model, batch).words)
        for clip, number in ((0, 0), (1, 2)):
            alone = model(
                input_ids=torch.cat([batch.prefix, batch.tokens[clip, number]])[None],
                pixel_values_videos=batch.images.view(2, 8, 3, 48, 48)[clip][None],
            )
            torch.testing.assert_close(
                alone.logits[0, len(batch.prefix) :], together[clip, number], atol=1e-4, rtol=1e-3
            )


def test_a_training_that_was_cut_gives_the_weights_of_one_that_was_not(tmp_path: Path) -> None:
    """The checkpoint holds all that the next step depends on."""
    tokenizer = build_tokenizer(0)
    whole = build_model(tokenizer, 0).model.video_tower
    train_vision(whole, tmp_path / "whole.pt", steps=4, seed=0, frames=8)
    cut = build_model(tokenizer, 0).model.video_tower
    train_vision(cut, tmp_path / "cut.pt", steps=4, seed=0, frames=8, stop=2)
    train_vision(cut, tmp_path / "cut.pt", steps=4, seed=0, frames=8)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), cut.parameters(), strict=True))
