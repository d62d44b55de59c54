"""Checkpoints of Video-LLaVA that cannot be loaded: each says why, none answers with random weights."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig

from tests.tiny_model import tiny_model
from videval.errors import ModelUnavailable, UsageError
from videval.models import hf
from videval.models.catalog import MODELS, load_model, model_spec


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model(), tmp_path / "copy"))


def test_a_folder_that_lost_its_weights_is_unavailable(checkpoint: Path) -> None:
    spec = model_spec(f"video_llava:{checkpoint}")
    (checkpoint / "model.safetensors").unlink()
    with pytest.raises(ModelUnavailable, match=r"no model\.safetensors"):
        load_model(spec, devices=["cpu"])


def test_a_checkpoint_that_is_not_on_this_machine_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelUnavailable) as caught:
        load_model(MODELS["Video-LLaVA-7B"], devices=["cpu"])
    assert caught.value.hint == "hf download LanguageBind/Video-LLaVA-7B-hf"


def test_torn_weights_are_unavailable(checkpoint: Path) -> None:
    weights = checkpoint / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelUnavailable, match="cannot be loaded"):
        load_model(model_spec(f"video_llava:{checkpoint}"), devices=["cpu"])


def test_an_absent_weight_is_never_filled_in_with_random_numbers(checkpoint: Path) -> None:
    weights = load_file(checkpoint / "model.safetensors")
    name = next(name for name in weights if "multi_modal_projector" in name)
    del weights[name]
    save_file(weights, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelUnavailable, match="1 of its weights are absent"):
        load_model(model_spec(f"video_llava:{checkpoint}"), devices=["cpu"])


def test_a_checkpoint_of_another_architecture_is_unavailable(checkpoint: Path) -> None:
    LlamaConfig().save_pretrained(checkpoint)
    with pytest.raises(ModelUnavailable, match="is a llama, not a video_llava"):
        load_model(model_spec(f"video_llava:{checkpoint}"), devices=["cpu"])


def test_a_device_that_is_not_there_is_unavailable() -> None:
    spec = model_spec(f"video_llava:{tiny_model()}")
    with pytest.raises(ModelUnavailable, match="torch sees"):
        load_model(spec, devices=["cuda:99"])
    with pytest.raises(ModelUnavailable, match="unknown device"):
        load_model(spec, devices=["toaster"])
    with pytest.raises(UsageError, match="int4"):
        load_model(spec, devices=["cpu"], dtype="int4")


def test_the_commit_of_a_cached_checkpoint_is_read_from_its_snapshot(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    snapshot = tmp_path / "models--LanguageBind--Video-LLaVA-7B-hf" / "snapshots" / "abc123"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    spec = replace(MODELS["Video-LLaVA-7B"], revision="abc123")
    assert hf.provenance(spec, dtype="bfloat16", device=torch.device("cpu"))["commit"] == "abc123"
