"""Checkpoints whose files are laid out as older versions of transformers wrote them load and answer as new ones do."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from videval.models.catalog import load_model, model_spec
from videval.protocols import Model
from videval.types import Clip, Generation, GenerationSettings, Prompt, Text, Video

LIMITS = {"min_pixels": 784, "max_pixels": 3136}


def older(new: Path, old: Path) -> None:
    """The layout of Qwen/Qwen2.5-VL-7B-Instruct on the hub: a flat config whose rotary positions are of type "mrope",
    one file for both processors in which limits are named as pixels, the chat template in a JSON file."""
    shutil.copytree(new, old)
    (old / "config.json").write_text(json.dumps(_flat(json.loads((new / "config.json").read_text()))))
    pixels = json.loads((new / "processor_config.json").read_text())["image_processor"]
    del pixels["size"]
    told = pixels | LIMITS | {"processor_class": "Qwen2_5_VLProcessor"}
    (old / "preprocessor_config.json").write_text(json.dumps(told))
    template = (new / "chat_template.jinja").read_text()
    (old / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    (old / "processor_config.json").unlink()
    (old / "chat_template.jinja").unlink()


def _flat(config: dict[str, Any]) -> dict[str, Any]:
    text = config.pop("text_config")
    rope = text.pop("rope_parameters")
    del text["model_type"], text["layer_types"], config["vision_config"]["model_type"]
    del config["vision_config"]["rope_parameters"]
    positions = {"rope_theta": rope["rope_theta"]}
    positions["rope_scaling"] = {"type": "mrope", "mrope_section": rope["mrope_section"]}
    written = {"torch_dtype": config.pop("dtype"), "transformers_version": "4.41.2"}
    return {**text, **config, **positions, **written}


@pytest.fixture
def shown(tmp_path: Path) -> Clip:
    frames = np.random.default_rng(0).integers(0, 256, (4, 48, 64, 3), dtype=np.uint8)
    np.save(tmp_path / "clip.npy", frames)
    return Clip(
        path=str(tmp_path / "clip.npy"), frame_numbers=(0, 25, 50, 75), timestamps=(0.0, 1.0, 2.0, 3.0),
        total_frames=100, fps=25.0, width=64, height=48, decoder="none", policy="uniform",
    )  # fmt: skip


def answer(folder: Path, shown: Clip) -> Generation:
    model = load_model(model_spec(f"hf_chat:{folder}"), devices=["cpu"])
    assert isinstance(model, Model)
    prompt = Prompt(parts=(Video(), Text(text="What?")), clips=(shown,))
    return model.generate([model.prepare(prompt, GenerationSettings(max_new_tokens=12))])[0]


def test_the_layout_of_qwen2_5_vl_on_the_hub_is_the_same_model(
    tiny: Callable[[str], Path], shown: Clip, tmp_path: Path
) -> None:
    older(tiny("qwen2_5_vl"), tmp_path / "older")
    assert answer(tmp_path / "older", shown) == answer(tiny("qwen2_5_vl"), shown)


@pytest.mark.parametrize("family", ["qwen2_5_omni", "qwen3_omni_moe"])
def test_an_omni_checkpoint_with_a_voice_is_loaded_without_it(
    family: str, tiny: Callable[[str], Path], shown: Clip, tmp_path: Path
) -> None:
    whole = Path(shutil.copytree(tiny(family), tmp_path / "whole"))
    weights = load_file(whole / "model.safetensors")
    voice = {name: np.zeros((2, 2), dtype=np.float32) for name in ("talker.model.a.weight", "token2wav.b.weight")}
    save_file(weights | voice, whole / "model.safetensors", metadata={"format": "pt"})
    assert answer(whole, shown) == answer(tiny(family), shown)
